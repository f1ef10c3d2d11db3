"""Parts of the families' layers that are there only if the config names them: penalties of weights, shortcuts."""

import keras

from hpsearch.core.space import Config


def penalty(config: Config) -> keras.regularizers.Regularizer | None:
    """The regularizer of kernels: ``l1`` times the sum of |w|, and ``l2`` times the sum of w²; None for neither.

    A factor of 0 stays a regularizer, so that configs that differ only in factors share a program.
    """
    known = {name: float(config[name]) for name in ("l1", "l2") if name in config}
    if not known:
        return None
    kinds = {"l1": keras.regularizers.L1, "l2": keras.regularizers.L2}
    if len(known) == 1:
        [(name, factor)] = known.items()
        return kinds[name](factor)
    return keras.regularizers.L1L2(**known)


def penalized(config: Config) -> dict[str, keras.regularizers.Regularizer]:
    """Arguments of a Dense or Conv2D layer for :func:`penalty`."""
    found = penalty(config)
    return {} if found is None else {"kernel_regularizer": found}


def with_shortcut(before: keras.KerasTensor, x: keras.KerasTensor, config: Config, name: str) -> keras.KerasTensor:
    """The sum of a block's input and its output; of other width, the input goes through a linear layer first.

    Args:
        before: The block's input, shape ``(batch, …, width)``.
        x: Its output, of the same shape but for the width.
        config: Hyperparameters.
        name: Of the block.
    """
    if before.shape[-1] != x.shape[-1]:
        settings = {"use_bias": False, "name": f"shortcut_{name}", **penalized(config)}
        width = int(x.shape[-1])
        if len(x.shape) == 2:
            before = keras.layers.Dense(width, **settings)(before)
        else:
            before = keras.layers.Conv2D(width, 1, **settings)(before)
    return keras.layers.Add(name=f"add_{name}")([before, x])
