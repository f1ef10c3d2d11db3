"""Texts as whole numbers that depend on nothing but the text.

String tensors do not exist in JAX, and a numbering of "all categories of the file" would let a fold's training part
know what stands in its validation part. So a category is coded by a checksum of its text, the same in every file, fold
and process, and the model compares codes with those it met in training (:mod:`hpsearch.models.inputs`).
"""

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

MISSING = -1
"""Code of an empty cell: a category of its own."""


def category_code(value: object) -> int:
    """The upper 24 bits of the CRC-32 of the text's UTF-8 bytes; ``MISSING`` for None and NaN.

    24 bits because float32 holds them exactly. The code of ``"USA"`` can be had anywhere:
    ``zlib.crc32("USA".encode()) >> 8``. Whole numbers and booleans are coded by their text, ``"4"`` or ``"True"``; a
    whole number that arrives as a real one (4.0, as pandas has it beside an empty cell) likewise.
    """
    if value is None or value != value:
        return MISSING
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return zlib.crc32(str(value).encode()) >> 8


def category_codes(column: str, values: Iterable[object]) -> NDArray[np.int32]:
    """Codes of a whole column.

    Raises:
        DataError: Two different texts share a code (of 100 texts, one set in 3,400 does).
    """
    values = list(values)
    codes = {value: category_code(value) for value in dict.fromkeys(values) if value == value}
    by_code: dict[int, object] = {}
    for value, code in codes.items():
        other = by_code.setdefault(code, value)
        if str(other) != str(value) and other != value:
            raise DataError(
                f"column {column!r}: {str(other)!r} and {str(value)!r} have the same code, {code}",
                hint="rename one of the two",
            )
    return np.array([codes.get(value, MISSING) for value in values], dtype=np.int32)
