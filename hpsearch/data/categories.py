"""Texts as whole numbers that depend on nothing but the text.

JAX has no string tensors. Numbering the categories of a whole file would leak the categories of the validation rows
into training. So the code of a category is a checksum of its text, the same in every file, fold and process.
The model compares codes with those of its training rows (:mod:`hpsearch.models.inputs`).
"""

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

MISSING = -1
"""Code of an empty cell, which is a category of its own."""


def category_code(value: object) -> int:
    """The upper 24 bits of the CRC-32 of the text's UTF-8 bytes; ``MISSING`` for None and NaN.

    float32 represents 24 bits exactly. Other programs can compute the code of ``"USA"`` as
    ``zlib.crc32("USA".encode()) >> 8``. Whole numbers and booleans are coded by their text, ``"4"`` or ``"True"``. So
    are whole numbers stored as floats (4.0), which pandas makes of them if the column has an empty cell.
    """
    if value is None or value != value:
        return MISSING
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return zlib.crc32(str(value).encode()) >> 8


def category_codes(column: str, values: Iterable[object]) -> NDArray[np.int32]:
    """Codes of a whole column.

    Raises:
        DataError: Two different texts have the same code (this happens in one of 3,400 sets of 100 texts).
    """
    values = list(values)
    codes = {value: category_code(value) for value in dict.fromkeys(values) if value == value}
    by_code: dict[int, object] = {}
    for value, code in codes.items():
        other = by_code.setdefault(code, value)
        if str(other) != str(value) and other != value:
            raise DataError(
                f"column {column!r}: {str(other)!r} and {str(value)!r} have the same code, {code}",
                code="category-clash",
                hint="rename one of the two",
                column=column,
                texts=(str(other), str(value)),
                checksum=code,
            )
    return np.array([codes.get(value, MISSING) for value in values], dtype=np.int32)
