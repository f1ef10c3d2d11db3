"""What a Keras optimizer does not say in public."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """The learning rate as the optimizer keeps it: a variable, a ``LearningRateSchedule`` or a function.

    The public ``learning_rate`` is the value that a schedule has now.
    """
    return optimizer._learning_rate


@contextmanager
def finalized_once(model: keras.Model) -> Iterator[None]:
    """Keep ``fit`` from finalizing the weights at its end; do it once, at the end of the block.

    With ``use_ema``, ``fit`` ends by putting the averages in place of the weights. Called epoch by epoch, it would
    train on from the averages. On JAX, weights and averages would also be one buffer, which the next step cannot give
    away twice. The method is public, but hiding it on one optimizer is not.
    """
    optimizer = model.optimizer
    finalize = getattr(optimizer, "finalize_variable_values", None)
    if finalize is None:
        yield
        return
    vars(optimizer)["finalize_variable_values"] = lambda _: None
    try:
        yield
    finally:
        del vars(optimizer)["finalize_variable_values"]
    finalize(model.trainable_weights)
