"""What several outputs have for each row, as one array: records with a field for each output."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


def as_floats(values: Array) -> Array:
    """Numbers in double precision; records as they are."""
    return values if output_names(values) else values.astype(np.float64)


def records(outputs: Mapping[str, Array]) -> Array:
    """What several outputs have, targets or predictions, as records, one per row.

    Args:
        outputs: Name → values, shape ``(n_rows, …)``.
    """
    kinds = np.dtype([(name, one.dtype, one.shape[1:]) for name, one in outputs.items()])
    found = np.empty(len(next(iter(outputs.values()))), dtype=kinds)
    for name, one in outputs.items():
        found[name] = one
    return np.asarray(found)


def output_names(values: Array) -> tuple[str, ...]:
    """Names of the outputs in records; empty for one output."""
    return values.dtype.names or ()


def output_of(values: Array, name: str) -> Array:
    """What one of several outputs has; all there is, if its name is empty."""
    if not name:
        return values
    fields: Any = values
    return np.ascontiguousarray(fields[name])
