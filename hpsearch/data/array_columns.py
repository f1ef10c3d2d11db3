"""Columns of arrays and of free text: inputs of their own beside a row's numbers and categories."""

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.words import quoted
from hpsearch.errors import DataError
from hpsearch.portable.arrays import array_of, is_array
from hpsearch.portable.columns import Column

if TYPE_CHECKING:
    import pandas as pd


def array_column(source: str, values: "pd.Series[str]", *, forced: bool) -> Column:
    """What a column is that has an array in each cell: of the first one's shape; pixels, whole numbers or float32.

    Args:
        source: For messages.
        values: All cells.
        forced: Whether the study file lists it among the categories.

    Raises:
        DataError: A cell is empty, the arrays hold no numbers, or they are to be categories.
    """
    name, filled = str(values.name), values.dropna()
    gaps = len(values) - len(filled)
    try:
        first = array_of(filled.iloc[0])
    except ValueError:
        first = np.empty(0, dtype=object)
    if forced or gaps or first.dtype.kind not in "biuf" or not first.size:
        what = (
            f"{gaps} empty cell{'s' if gaps > 1 else ''} among its arrays"
            if gaps
            else f"arrays of shape {first.shape} and dtype {first.dtype}"
        )
        raise DataError(
            f"{source}: column {quoted(name)} has {what}, but an input needs an array of numbers in every row",
            code="nested-column",
            hint=f'fill or convert them; or leave it out: [data] ignore = ["{name}"]',
            source=source,
            column=name,
            type=type(filled.iloc[0]).__name__,
        )
    pixels = first.dtype == np.uint8 and first.ndim >= 2
    whole = first.dtype.kind in "iu" and all(array_of(cell).dtype.kind in "iu" for cell in filled)
    dtype = "uint8" if pixels else "int32" if whole else "float32"
    return Column(name, "array", shape=first.shape, dtype=dtype)


def text_column(source: str, values: "pd.Series[str]") -> Column:
    """A column that the study file calls free text.

    Raises:
        DataError: It holds arrays.
    """
    name = str(values.name)
    if len(values) and is_array(values.iloc[0]):
        raise DataError(
            f"{source}: text names column {quoted(name)}, which holds arrays",
            code="nested-column",
            hint="leave it out of text: an array is an input of its own",
            source=source,
            column=name,
            type=type(values.iloc[0]).__name__,
        )
    return Column(name, "text", "text")
