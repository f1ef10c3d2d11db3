"""What several outputs predict, by the names of their targets."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.records import output_names, records
from hpsearch.data.dataset import Array
from hpsearch.portable.outputs import by_name

if TYPE_CHECKING:
    import keras


def named_outputs(predicted: Any, y: Array, own: Sequence[str]) -> Any:
    """Predictions by the names of their targets; as they are if there is one output, or they have other names.

    Args:
        predicted: What Keras' ``predict`` returns.
        y: The targets.
        own: Names that the model gives its outputs.
    """
    names = output_names(y)
    if not names:
        return predicted
    found = by_name(predicted, names, own)
    return found if found.keys() == {*names} else predicted


def storable(predicted: Any) -> Array | None:
    """Predictions as one array: records of several outputs. None if these have other names than their targets.

    Args:
        predicted: From :func:`named_outputs`.
    """
    if isinstance(predicted, Mapping):
        return records({name: flat(np.asarray(one)) for name, one in predicted.items()})
    return predicted if isinstance(predicted, np.ndarray) else None


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
