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
    """Targets of several outputs as records, one per row.

    Args:
        outputs: Name → targets, shape ``(n_rows, …)``.
    """
    kinds = np.dtype([(name, one.dtype, one.shape[1:]) for name, one in outputs.items()])
    found = np.empty(len(next(iter(outputs.values()))), dtype=kinds)
    for name, one in outputs.items():
        found[name] = one
    return np.asarray(found)


def output_names(y: Array) -> tuple[str, ...]:
    """Names of the outputs that targets have; empty for one."""
    return y.dtype.names or ()


def output_of(y: Array, name: str) -> Array:
    """What one of several outputs has; all there is, if its name is empty."""
    if not name:
        return y
    fields: Any = y
    return np.ascontiguousarray(fields[name])
