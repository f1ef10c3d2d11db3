"""What several outputs predict, by the names of their targets."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.output_metrics import metric_values
from hpsearch.core.records import output_names, records
from hpsearch.data.dataset import Array, Dataset
from hpsearch.portable.outputs import by_name, in_order

if TYPE_CHECKING:
    import keras


def named_outputs(predicted: Any, y: Array, own: Sequence[str]) -> Any:
    """Predictions by the names of their targets, without outputs that have no targets.

    Args:
        predicted: What Keras' ``predict`` returns.
        y: The targets.
        own: Names that the model gives its outputs.

    Returns:
        The array of one output; a dict of several. If several have other names than their targets, `predicted`.
    """
    names = output_names(y)
    if not names:
        several = list(predicted.values()) if isinstance(predicted, Mapping) else predicted
        return several[0] if isinstance(several, list | tuple) and len(several) == 1 else predicted
    if isinstance(predicted, list | tuple) and len(own) == len(predicted) and {*names} <= {*own}:
        predicted = predicted if in_order(names) else dict(zip(own, predicted, strict=True))
    found = by_name(predicted, names, own)
    return {name: found[name] for name in names} if {*names} <= found.keys() else predicted


def is_named(predicted: Any, y: Array) -> bool:
    """Whether predictions of several outputs have the names of their targets."""
    return isinstance(predicted, Mapping) and (*predicted,) == output_names(y)


def storable(predicted: Any, y: Array) -> Array | None:
    """Predictions as one array: records of several outputs. None if these have other names than their targets.

    Args:
        predicted: From :func:`named_outputs`.
        y: The targets.
    """
    if is_named(predicted, y):
        return records({name: flat(np.asarray(one)) for name, one in predicted.items()})
    return predicted if isinstance(predicted, np.ndarray) and not output_names(y) else None


def of_targets(
    dataset: Dataset, model: "keras.Model", names: Collection[str]
) -> Callable[[Array, Any, Array | None], dict[str, float]]:
    """What computes metrics of the targets: of targets, what Keras' ``predict`` returns, and weights."""
    own = own_names(model)

    def of(y: Array, predicted: Any, weights: Array | None) -> dict[str, float]:
        return metric_values(dataset, y, named_outputs(predicted, y, own), names, weights=weights)

    return of


def rows_in(predicted: Any, rows: slice | NDArray[np.generic]) -> Any:
    """Some rows of what Keras' ``predict`` returns, in the same form."""
    import keras

    return keras.tree.map_structure(lambda one: one[rows], predicted)


def numbers_in(predicted: Any) -> int:
    """How many numbers Keras' ``predict`` has returned."""
    import keras

    return sum(one.size for one in keras.tree.flatten(predicted))


def rows_of(predicted: Any) -> int:
    """How many rows Keras' ``predict`` has returned."""
    import keras

    return next((len(one) for one in keras.tree.flatten(predicted)), 0)


def flat(output: Array) -> Array:
    """A single column without its axis."""
    return output[:, 0] if output.ndim == 2 and output.shape[1] == 1 else output


def own_names(model: "keras.Model") -> Sequence[str]:
    """Names that a model gives its outputs; empty if it is none of layers alone."""
    return tuple(getattr(model, "output_names", ()))
