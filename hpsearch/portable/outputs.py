"""What a model's outputs mean: probabilities or logits of classes, or values in some unit."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OUTPUT = "output_"
"""Names of outputs that came in order begin with this: Keras gets a list of them."""

_ROUNDING = 2e-3
"""Probabilities in half precision are rounded by up to 0.001."""


def probabilities(output: NDArray[np.generic], logits: bool | None = None) -> Floats:
    """A classifier's output as probabilities of shape ``(n, classes)`` that sum to 1.

    Args:
        output: Of shape ``(n, classes)``, ``(n, 1)`` or ``(n,)``: probabilities or logits. A single column is of the
            second of two classes.
        logits: Whether they are logits; None to judge by all of them.
    """
    values = np.asarray(output, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if are_logits(values) if logits is None else logits:
        values = np.concatenate([np.zeros_like(values), values], axis=1) if values.shape[1] == 1 else values
        values = np.exp(values - values.max(axis=1, keepdims=True))
    elif values.shape[1] == 1:
        values = np.concatenate([1 - values, values], axis=1)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def label_probabilities(output: NDArray[np.generic], logits: bool | None = None) -> Floats:
    """The outputs of a multi-label model as probabilities, each label's on its own: ``(n, labels)``.

    Args:
        output: Probabilities or logits.
        logits: As for :func:`probabilities`.
    """
    values = np.asarray(output, dtype=np.float64)
    if are_logits(values) if logits is None else logits:
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -500, 500))))
    return values


def amounts(output: NDArray[np.generic], unit: float | None) -> NDArray[np.generic]:
    """Values in the data's own unit.

    Args:
        output: Values in the unit of the training targets.
        unit: What 1 is; None if it is 1.
    """
    if unit is None:
        return output
    # Half precision ends at 65,504.
    return np.asarray(output, dtype=np.result_type(output.dtype, np.float32)) * unit


def are_logits(output: NDArray[np.generic]) -> bool:
    """Whether a classifier's outputs are no probabilities: one is below 0 or above 1 by more than rounding."""
    values = np.asarray(output, dtype=np.float64)
    return bool(((values < -_ROUNDING) | (values > 1 + _ROUNDING)).any())


def in_order(names: Sequence[str]) -> bool:
    """Whether outputs of these names came in order."""
    return list(names) == [f"{OUTPUT}{place}" for place in range(len(names))]


def by_name(output: object, names: Sequence[str], own: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """What several outputs predict, by the names of their targets.

    Args:
        output: What Keras' ``predict`` returns: a dict, a list, or an array.
        names: Of the targets, in order.
        own: Names that the model gives its outputs: they say which is which in a list.
    """
    if isinstance(output, Mapping):
        found = dict(output)
        return {name: found[name] for name in names} if found.keys() == {*names} else found
    several = [np.asarray(one) for one in (output if isinstance(output, list | tuple) else [output])]
    if len(names) != len(several):
        names = [f"{OUTPUT}{place}" for place in range(len(several))]
    elif {*own} == {*names} and not in_order(names):
        several = [several[own.index(name)] for name in names]
    return dict(zip(names, several, strict=True))
