"""Cells of a column as what a model takes: numbers as float32, categories as codes.

JAX has no string tensors. Numbering the categories of a whole file would leak the categories of the validation rows
into training. So the code of a category is a checksum of its text, the same in every file, fold and process.
The model compares codes with those of its training rows (:mod:`hpsearch.models.inputs`).
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .arrays import arrays_of
from .columns import NUMBERS, CellType, Column
from .errors import RowsError
from .spelling import other_spelling, told_apart

if TYPE_CHECKING:
    import pandas as pd

MISSING = -1
"""Code of an empty cell, which is a category of its own."""

Cells: TypeAlias = "pd.Series[str]"
"""A column, with cells of any type."""

_BOOLEANS = {"true": True, "false": False}


def table_inputs(table: "pd.DataFrame", columns: Sequence[Column]) -> dict[str, NDArray[np.generic]]:
    """The columns of a table as the model takes them. Other columns are ignored.

    A category that is new gets its code like any other, and the model treats it as unknown.

    Raises:
        RowsError: A column is missing, or its cells are not what it needs.
    """
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        wanted, verb = ", ".join(column.name for column in columns), "is" if len(missing) == 1 else "are"
        have = [str(name) for name in table.columns]
        pairs = [told_apart(other, name) for name in missing if (other := other_spelling(name, have))]
        more = "".join(f"; rename {other} to {name}" for other, name in pairs)
        raise RowsError(
            f"the model needs the columns {wanted}, but {', '.join(missing)} {verb} missing",
            code="missing-columns",
            hint=f"the rows have {', '.join(have)}{more}",
            missing=tuple(missing),
        )
    return {column.name: inputs_of(table[column.name], column) for column in columns}


def inputs_of(values: Cells, column: Column) -> NDArray[np.generic]:
    """A column as the model takes it: float32 with NaN for empty cells, int32 codes, or texts, of shape ``(n_rows,)``;
    or an array of shape ``(n_rows, *column.shape)``.

    Raises:
        RowsError: The column needs numbers and has text or an infinite value, it needs texts and has numbers, or it
            needs arrays of one shape and has others.
    """
    if column.kind == "array":
        return arrays_of(values, column)
    if column.kind == "text":
        return texts_of(values)
    if column.kind == "category":
        return codes_of(values, column)
    numbers = _moved(to_numbers(values, column.cells), column.offset)
    infinite = np.isinf(numbers)
    _check(infinite, values, "not-finite", "has an infinite value", "the largest float32 is 3.4e38")
    return numbers


def texts_of(values: Cells) -> NDArray[np.object_]:
    """Free text as Keras takes it; an empty cell is an empty text."""
    return np.array(
        ["" if empty else str(cell) for cell, empty in zip(values, values.isna(), strict=True)], dtype=object
    )


def packed(inputs: Mapping[str, NDArray[np.generic]], columns: Sequence[Column]) -> dict[str, NDArray[np.generic]]:
    """The inputs with all number columns in one array of shape ``(n_rows, n_columns)``, called :data:`NUMBERS`."""
    numbers = [column.name for column in columns if column.kind == "number"]
    rest = {column.name: inputs[column.name] for column in columns if column.kind != "number"}
    return {NUMBERS: np.stack([inputs[name] for name in numbers], axis=1), **rest}


def to_numbers(values: Cells, cells: CellType = "number") -> "pd.Series[float]":
    """A column as numbers of its own precision, NaN where a cell is empty.

    Raises:
        RowsError: A cell is text, or a number other than 0 and 1 where true or false is needed.
    """
    import pandas as pd

    if values.dtype == object:
        values = values.map(lambda cell: float(cell) if isinstance(cell, Decimal) else cell)
    if cells == "boolean" and not pd.api.types.is_bool_dtype(values):
        values = _as_booleans(values)
    numbers = pd.to_numeric(values, errors="coerce")
    _check((numbers.isna() & values.notna()).to_numpy(), values, "text-in-numbers", "needs numbers, but has text")
    if cells == "boolean":
        wrong = (numbers.notna() & ~numbers.isin([0, 1])).to_numpy()
        _check(wrong, values, "not-boolean", "needs true or false, but has another number")
    return numbers


def _moved(numbers: "pd.Series[float]", offset: float) -> NDArray[np.float32]:
    """float32, after the offset has been subtracted in the column's own precision."""
    moved = np.full(len(numbers), np.nan)
    known = numbers.notna().to_numpy()
    moved[known] = difference(numbers[known].to_numpy(), offset)
    with np.errstate(over="ignore"):
        return moved.astype(np.float32)


def difference(numbers: NDArray[np.generic], offset: float) -> NDArray[np.float64]:
    """Numbers without gaps less an offset. Whole numbers of 64 bits are more exact than float64, and so is this."""
    if not offset or numbers.dtype.kind not in "iu" or not float(offset).is_integer():
        return numbers.astype(np.float64) - offset
    unsigned = numbers.dtype.kind == "u"
    exact = numbers.astype(np.uint64 if unsigned else np.int64)
    limits = np.iinfo(np.uint64 if unsigned else np.int64)
    whole = min(max(int(offset), int(limits.min)), int(limits.max))
    # Unsigned numbers cannot be negative, and differences of signed ones may need a bit more than they have.
    modulo, subtracted = exact.astype(np.uint64), np.uint64(whole % 2**64)
    above = (modulo - subtracted).astype(np.float64)
    below = (subtracted - modulo).astype(np.float64)
    return np.asarray(np.where(exact >= whole, above, -below) - (offset - whole))


def codes_of(values: Cells, column: Column) -> NDArray[np.int32]:
    """The codes of a column of categories; an empty cell is ``MISSING``.

    Raises:
        RowsError: The categories are texts, and a cell is a number: ``7`` may have been ``007``.
    """
    cells = list(category_texts(values, column))
    codes = {text: category_code(text) for text in dict.fromkeys(cells)}
    return np.array([codes[text] for text in cells], dtype=np.int32)


def category_texts(values: Cells, column: Column) -> Iterator[str | None]:
    """The text that each category is known by; None for an empty cell. See :func:`codes_of`."""
    plain = values.astype(object).where(values.notna(), None)
    if column.cells == "text":
        wrong = np.array([cell is not None and not isinstance(cell, str) for cell in plain], dtype=bool)
        hint = "read the file with this column as text: 7 may have been 007"
        _check(wrong, values, "numbers-in-texts", "needs texts, but has numbers", hint)
    convert = _CONVERT[column.cells]
    return (None if cell is None else convert(cell) for cell in plain)


def _text(cell: object) -> str:
    if isinstance(cell, float | np.floating | Decimal) and float(cell).is_integer():
        cell = int(cell)
    return str(cell)


def _number_text(cell: object) -> str:
    try:
        return _text(float(cell) if isinstance(cell, str) else cell)
    except ValueError:
        return str(cell)


def _boolean_text(cell: object) -> str:
    return str(_BOOLEANS.get(cell.strip().lower(), cell)) if isinstance(cell, str) else _text(cell)


_CONVERT: dict[CellType, Callable[[object], str]] = {
    "text": _text,
    "any": _text,
    "number": _number_text,
    "boolean": _boolean_text,
}


def category_code(value: object) -> int:
    """The upper 24 bits of the CRC-32 of the text's UTF-8 bytes; ``MISSING`` for None and NaN.

    float32 represents 24 bits exactly. Other programs can compute the code of ``"USA"`` as
    ``zlib.crc32("USA".encode()) >> 8``. Whole numbers and booleans are coded by their text, ``"4"`` or ``"True"``. So
    are whole numbers stored as floats (4.0), which pandas makes of them if the column has an empty cell.
    """
    if value is None or value != value:
        return MISSING
    return zlib.crc32(_text(value).encode()) >> 8


def _as_booleans(values: Cells) -> Cells:
    return values.map(lambda cell: _BOOLEANS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell)


def _check(bad: NDArray[np.bool_], values: Cells, code: str, what: str, hint: str = "") -> None:
    if not bad.any():
        return
    row, count = int(bad.argmax()), int(bad.sum())
    value = str(values.iloc[row])[:80]
    raise RowsError(
        f"column {values.name!r} {what}: {value!r} in row {row} ({count} of {len(values)} rows)",
        code=code,
        hint=hint,
        column=str(values.name),
        row=row,
        value=value,
        count=count,
    )
