"""Columns whose cells are arrays, such as the pictures beside a row's numbers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .columns import Column
from .errors import RowsError

if TYPE_CHECKING:
    import pandas as pd

Cells: TypeAlias = "pd.Series[str]"
"""A column, with cells of any type."""


def as_table(inputs: "Mapping[str, ArrayLike]") -> "pd.DataFrame":
    """Several inputs as one table: an array of more than one axis becomes a column with an array in each cell.

    Raises:
        RowsError: They have different lengths.
    """
    import pandas as pd

    cells = {name: _cells(values) for name, values in inputs.items()}
    if len({len(one) for one in cells.values()}) > 1:
        shown = ", ".join(f"{name!r} {len(one)}" for name, one in cells.items())
        raise RowsError(
            f"the inputs have different lengths: {shown}", code="uneven-columns", hint="one entry per row each"
        )
    return pd.DataFrame(cells)


def _cells(values: ArrayLike) -> "Cells | NDArray[np.generic] | list[NDArray[np.generic]]":
    import pandas as pd

    if isinstance(values, pd.Series):
        return values
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:  # one value per row, as a model takes it
        return array[:, 0]
    return list(array) if array.ndim > 1 else array


def is_array(cell: object) -> bool:
    """Whether a cell holds several values."""
    return isinstance(cell, np.ndarray | list | tuple)


def array_of(cell: object) -> NDArray[np.generic]:
    """A cell as an array; nested lists, as Parquet and JSON have them, too.

    Raises:
        ValueError: Its rows have different lengths.
    """
    if isinstance(cell, np.ndarray) and cell.dtype != object:
        return cell
    parts: Sequence[object] = list(cell) if isinstance(cell, np.ndarray | list | tuple) else [cell]
    return np.stack([array_of(one) for one in parts]) if parts and is_array(parts[0]) else np.asarray(parts)


def arrays_of(values: Cells, column: Column) -> NDArray[np.generic]:
    """A column of arrays as one array of shape ``(n_rows, *column.shape)``.

    Raises:
        RowsError: A cell is no array of this shape, or has values that are missing, infinite or of another kind.
    """
    shape, wanted = tuple(column.shape), np.dtype(column.dtype)
    if not len(values):
        return np.empty((0, *shape), wanted)
    found = []
    for row, cell in enumerate(values):
        try:
            one = array_of(cell) if is_array(cell) else None
        except ValueError:
            one = None
        if one is None or one.shape != shape or one.dtype.kind not in "biuf":
            what = f"an array of shape {one.shape} and dtype {one.dtype}" if one is not None else _told(cell)
            raise RowsError(
                f"column {column.name!r} needs arrays of numbers of shape {shape}, but has {what} in row {row}",
                code="wrong-array",
                hint="bring all of them to one shape",
                column=column.name,
                row=row,
                wanted=shape,
            )
        found.append(one)
    stacked = np.stack(found)
    _check_values(stacked, wanted, column.name)
    return stacked.astype(wanted, copy=False)


def _check_values(stacked: NDArray[np.generic], wanted: np.dtype[np.generic], name: str) -> None:
    if stacked.dtype == wanted and wanted.kind in "iu":
        return
    numbers: NDArray[np.float64] = np.asarray(stacked.reshape(len(stacked), -1))
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            good = np.isfinite(numbers.astype(np.float32, copy=False)).all(axis=1)
        needs, code = "finite numbers in float32", "not-finite"
    else:
        low, high = (0, 255) if wanted == np.uint8 else (-(2**31), 2**31 - 1)
        good = ((numbers >= low) & (numbers <= high)).all(axis=1)
        if numbers.dtype.kind == "f":
            good &= (numbers == np.floor(numbers)).all(axis=1)
        needs, code = f"whole numbers from {low} to {high}", "not-whole"
    bad = ~np.asarray(good)
    if bad.any():
        raise RowsError(
            f"column {name!r} needs {needs}, but row {int(bad.argmax())} has others ({int(bad.sum())} of {len(bad)} "
            "rows have)",
            code=code,
            hint="fill or convert them first",
            column=name,
            row=int(bad.argmax()),
            count=int(bad.sum()),
        )


def _told(cell: object) -> str:
    if is_array(cell):
        return "rows of different lengths"
    return f"{str(cell)[:40]!r}, which is no array,"
