"""What a column of a table is, judged by all of its cells."""

import json
import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.words import percent, quoted
from hpsearch.data.array_columns import array_column
from hpsearch.data.dataset import Array
from hpsearch.errors import DataError
from hpsearch.portable.arrays import is_array
from hpsearch.portable.cells import difference, to_numbers
from hpsearch.portable.columns import CellType, Column

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES = 200
"""A text column with more distinct texts than this, or with more than half as many as rows, counts as free text."""

FEW_NUMBERS = 20
"""Texts that are all whole numbers are categories if there are at most so many different ones, else numbers."""

_FLOAT32_ROWS = 20_000
"""Rows that are looked at to see whether float32 keeps them apart."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a column is.

    Attributes:
        column: Its name, kind and cells.
        warnings: What looks like a mistake, one sentence each.
    """

    column: Column
    warnings: tuple[str, ...] = ()


def infer_column(source: str, values: "pd.Series[str]", *, forced: bool) -> Inferred:
    """What a column is, and what looks wrong with it.

    Args:
        source: For messages.
        values: All cells.
        forced: Whether to treat it as categories, whatever it looks like.

    Raises:
        DataError: No model can take it: it is empty, infinite, free text, dates or something nested.
    """
    import pandas as pd

    name = str(values.name)
    filled = values.dropna()
    if filled.empty:
        raise DataError(
            f"{source}: column {quoted(name)} is empty",
            code="empty-column",
            hint=f'leave it out: [data] ignore = ["{name}"]',
            source=source,
            column=name,
        )
    is_category = forced or isinstance(values.dtype, pd.CategoricalDtype)
    if isinstance(values.dtype, pd.CategoricalDtype):
        filled = filled.astype(values.dtype.categories.dtype)
    if filled.dtype == object and is_array(filled.iloc[0]):
        return Inferred(array_column(source, values, forced=forced))
    kind = pd.api.types.infer_dtype(filled, skipna=True)
    if is_category:
        return _category(source, filled, len(values), kind, forced=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return _number(filled)
    if kind == "boolean":
        if pd.api.types.is_bool_dtype(values):
            return Inferred(Column(name, "number", "boolean"))
        return Inferred(Column(name, "category", "boolean"))
    if kind in ("datetime64", "datetime", "date", "period") or (kind == "string" and _are_dates(filled)):
        raise DataError(
            f"{source}: column {quoted(name)} has dates, which models cannot take",
            code="date-column",
            hint=f'order the rows by it: [data] time = "{name}"; or leave it out: ignore = ["{name}"]',
            source=source,
            column=name,
        )
    mixed = kind in ("mixed", "mixed-integer") and all(isinstance(cell, str | int | float | bool) for cell in filled)
    if kind == "string" or mixed:
        return _texts(source, values, filled)
    raise _nested(source, name, filled.iloc[0])


def _nested(source: str, name: str, first: object) -> DataError:
    times = isinstance(first, time | timedelta | np.timedelta64)
    change = "convert it to numbers, such as hours" if times else "make one column per number"
    return DataError(
        f"{source}: column {quoted(name)} holds values of type {type(first).__name__}, but a cell must be a number "
        f"or a text",
        code="nested-column",
        hint=f'{change}; or leave it out: [data] ignore = ["{name}"]',
        source=source,
        column=name,
        type=type(first).__name__,
    )


def _texts(source: str, values: "pd.Series[str]", filled: "pd.Series[str]") -> Inferred:
    import pandas as pd

    name, texts = str(values.name), filled.astype(str)
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return _numbers_as_text(name, texts)
    _check_numbers(source, values, texts, numbers.notna().to_numpy())
    return _category(source, filled, len(values), pd.api.types.infer_dtype(filled), forced=False)


def _numbers_as_text(name: str, texts: "pd.Series[str]") -> Inferred:
    """Numbers that the file or the DataFrame holds as text. A CSV file has no such columns."""
    distinct = texts.unique()
    codes = len(distinct) <= FEW_NUMBERS and all(re.fullmatch(r"[+-]?\d+", one) for one in distinct)
    if codes or any(_has_leading_zero(one) for one in distinct):
        return Inferred(
            Column(name, "category", "text"),
            (f"column {quoted(name)} holds numbers as text, such as {quoted(distinct[0])}; they are categories. "
             f"Convert the column "
             "if they are amounts",),
        )  # fmt: skip
    return Inferred(
        Column(name, "number", "number"),
        (f"column {quoted(name)} holds numbers as text, such as {quoted(distinct[0])}; they are read as numbers. If "
         f"they are "
         f'categories: options = {{ categories = ["{name}"] }}',),
    )  # fmt: skip


def _number(filled: "pd.Series[str]") -> Inferred:
    name = str(filled.name)
    numbers = to_numbers(filled)
    offset, lost = float32_offset(numbers.dropna().to_numpy())
    column = Column(name, "number", "number", offset)
    if lost:
        warning = (
            f"column {quoted(name)}: different numbers, such as {_shown(numbers.iloc[0])}, are equal in float32, "
            f"which keeps "
            f"7 digits; {percent(lost)} of them even after {offset:.17g} is subtracted. Split the column into parts"
        )
        return Inferred(column, (warning,))
    if offset:
        warning = (
            f"column {quoted(name)}: float32 keeps 7 digits, too few for numbers such as {_shown(numbers.iloc[0])}; "
            f"{offset:.17g} is subtracted before they reach the model, in predictions too"
        )
        return Inferred(column, (warning,))
    return Inferred(column)


def _shown(number: float | np.integer) -> str:
    return str(number) if isinstance(number, np.integer) else f"{number:.17g}"


def float32_offset(numbers: Array) -> tuple[float, float]:
    """What to subtract so that float32 keeps different numbers apart, and the share that it merges even then.

    Args:
        numbers: Without gaps, shape ``(n,)``.

    Returns:
        0 and 0 if float32 keeps them apart as they are.
    """
    distinct = np.unique(numbers[:: -(-len(numbers) // _FLOAT32_ROWS)])
    if distinct.dtype.kind == "b" or not np.isfinite(distinct).all() or _merged(distinct) <= 0.01:
        return 0.0, 0.0
    middle = (distinct[0] + distinct[-1]) / 2 if distinct.dtype.kind == "f" else distinct[len(distinct) // 2]
    offset = float(np.floor(float(middle)))
    lost = _merged(difference(distinct, offset))
    return offset, lost if lost > 0.01 else 0.0


def counts_rows(values: "pd.Series[str]") -> bool:
    """Whether a column has every whole number from some start on exactly once, in any order."""
    import pandas as pd

    if not pd.api.types.is_integer_dtype(values) or len(values) < 3 or not values.is_unique:
        return False
    return int(values.max()) - int(values.min()) == len(values) - 1


def _merged(distinct: Array) -> float:
    """The share of different numbers that float32 does not keep apart."""
    return 1 - len(np.unique(distinct.astype(np.float32))) / len(distinct)


def _category(source: str, filled: "pd.Series[str]", rows: int, kind: str, *, forced: bool) -> Inferred:
    import pandas as pd

    name = str(filled.name)
    cells: CellType = "any"
    if kind in ("integer", "floating", "decimal", "mixed-integer-float"):
        cells = "number"
    elif kind == "boolean":
        cells = "boolean"
    elif kind == "string":
        numbers = forced and pd.to_numeric(filled, errors="coerce").notna().all()
        cells = "number" if numbers and not any(map(_has_leading_zero, filled.unique())) else "text"
    if forced:
        return Inferred(Column(name, "category", cells))
    _check_categories(source, name, filled.astype(str), rows)
    return Inferred(Column(name, "category", cells), _decorated(name, filled.astype(str)) + _odd_texts(filled))


def _has_leading_zero(text: str) -> bool:
    return re.match(r"\s*[+-]?0\d", text) is not None


def _are_dates(texts: "pd.Series[str]") -> bool:
    import pandas as pd

    few = texts.head(100)
    if not few.str.fullmatch(r"\s*\d{4}-\d{2}-\d{2}([T ].*)?").all():
        return False
    return bool(pd.to_datetime(few, format="ISO8601", errors="coerce", utc=True).notna().all())


def _check_numbers(source: str, values: "pd.Series[str]", texts: "pd.Series[str]", parsed: NDArray[np.bool_]) -> None:
    """Refuse a column of numbers in which some cells are text."""
    name = str(values.name)
    check_commas(source, name, texts)
    if parsed.mean() <= 0.5:
        return
    filled_row = int((~parsed).argmax())
    row = int(np.flatnonzero(values.notna().to_numpy())[filled_row])
    raise text_in_numbers(source, name, row, texts.iloc[filled_row], int((~parsed).sum()), len(values))


def text_in_numbers(source: str, name: str, row: int, text: str, count: int, rows: int, other: str = "") -> DataError:
    """The error for a column of numbers in which `count` of `rows` cells are text, `text` in `row` first.

    `other` says what to do if that is right as it is.
    """
    mark = _GROUPED.fullmatch(text.strip())
    options: dict[str, object] = {"na_values": [text]}
    if mark:
        sep = mark[1] or mark[2]
        options = {"thousands": sep}
        hint = f"if {quoted(sep)} groups the digits: [data] options = {{ thousands = {_toml(sep)} }}"
    else:
        other = other or f"if these are categories: options = {{ categories = [{_toml(name)}] }}"
        hint = f"if it means an empty cell: [data] options = {{ na_values = [{_toml(text[:80])}] }}; {other}"
    return DataError(
        f"{source}: column {quoted(name)} needs numbers, but row {row} has {quoted(text)} ({count} of {rows} rows "
        f"{'has' if count == 1 else 'have'} text)",
        code="text-in-numbers",
        hint=hint,
        source=source,
        column=name,
        row=row,
        value=text,
        count=count,
        options=options,
    )


_GROUPED = re.compile(r"[+-]?\d{1,3}(?:(,)\d{3}(?:,\d{3})*(?:\.\d+)?|([.'’ \u00a0\u202f])\d{3}(?:\2\d{3})*(?:,\d+)?)")
"""A number with its digits in groups: 1,234.5 or 1.234,5 or 1 234."""


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check_commas(source: str, name: str, texts: "pd.Series[str]") -> None:
    """Refuse texts that are numbers with commas.

    Raises:
        DataError: They are; the hint says which option reads them.
    """
    import pandas as pd

    few = texts.head(1000)
    grouped = few.str.fullmatch(r"\s*[+-]?\d{1,3}(\.\d{3})+,\d+\s*")
    if grouped.any() and (grouped | pd.to_numeric(few.str.replace(",", "."), errors="coerce").notna()).mean() > 0.9:
        raise DataError(
            f"{source}: column {quoted(name)} has numbers with points and commas, such as "
            f"{quoted(few[grouped].iloc[0])}",
            code="decimal-comma",
            hint='[data] options = { decimal = ",", thousands = "." }',
            source=source,
            column=name,
            options={"decimal": ",", "thousands": "."},
        )
    grouped = few.str.fullmatch(r"\s*[+-]?\d{1,3}(,\d{3})+\.\d+\s*")
    if grouped.any() and (grouped | pd.to_numeric(few.str.replace(",", ""), errors="coerce").notna()).mean() > 0.9:
        raise DataError(
            f"{source}: column {quoted(name)} has numbers with commas and points, such as "
            f"{quoted(few[grouped].iloc[0])}",
            code="decimal-comma",
            hint='[data] options = { thousands = "," }',
            source=source,
            column=name,
            options={"thousands": ","},
        )
    commas = few[few.str.contains(",", regex=False)]
    if commas.empty or few.str.fullmatch(r"\s*[+-]?\d+(,\d+)*([eE][+-]?\d+)?\s*").mean() <= 0.9:
        return
    hint, options = '[data] options = { decimal = "," }', {"decimal": ","}
    if commas.str.fullmatch(r"\s*[+-]?\d{1,3}(,\d{3})+\s*").all():
        hint = '[data] options = { thousands = "," }; or { decimal = "," } if the comma comes before the fraction'
        options = {"thousands": ","}
    raise DataError(
        f"{source}: column {quoted(name)} has numbers with commas, such as {quoted(commas.iloc[0])}",
        code="decimal-comma",
        hint=hint,
        source=source,
        column=name,
        options=options,
    )


def _decorated(name: str, texts: "pd.Series[str]") -> tuple[str, ...]:
    """A warning about numbers with a unit, a currency or a prefix."""
    distinct = texts.drop_duplicates()
    numbers = distinct.str.fullmatch(r"\s*[^\d\s]{0,3}\s*[+-]?\d[\d.,]*\s*[^\d\s]{0,3}\s*")
    if len(distinct) <= 5 or numbers.mean() < 0.9:
        return ()
    return (
        f"column {quoted(name)} holds texts such as {quoted(distinct.iloc[0])}, numbers with a prefix or a unit; "
        f"they are "
        "categories. If they are amounts, write plain numbers",
    )


_DATE = r"\s*\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([T ].*)?"
_TIME = r"\s*\d{1,3}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp][Mm])?\s*"


def _dated(texts: "pd.Series[str]") -> str | None:
    """Whether texts are dates or times that are not recognised as such, in words."""
    few = texts.head(1000)
    return next((what for what, form in (("dates", _DATE), ("times", _TIME)) if few.str.fullmatch(form).all()), None)


def _odd_texts(filled: "pd.Series[str]") -> tuple[str, ...]:
    """Warnings about texts that may not be names of categories."""
    name, texts = str(filled.name), filled.astype(str)
    found = []
    if what := _dated(texts):
        found.append(
            f"column {quoted(name)} holds {what}, such as {quoted(texts.iloc[0])}; each is a category of its own. "
            f"Convert the "
            "column to numbers, or leave it out"
        )
    blank = texts.str.strip() == ""
    if blank.any():
        found.append(
            f"column {quoted(name)}: {int(blank.sum())} of {len(texts)} texts are blank, such as "
            f"{quoted(texts[blank].iloc[0])}; "
            "they are a category of their own, distinct from empty cells"
        )
    return tuple(found)


def _check_categories(source: str, name: str, texts: "pd.Series[str]", rows: int) -> None:
    distinct = texts.nunique()
    if distinct > MAX_CATEGORIES or (distinct > 20 and distinct > rows / 2):
        if what := _dated(texts):
            raise DataError(
                f"{source}: column {quoted(name)} has {what}, such as {quoted(texts.iloc[0])}, which models cannot "
                f"take",
                code="date-column",
                hint=f'convert it to numbers; or leave it out: [data] ignore = ["{name}"]',
                source=source,
                column=name,
            )
        raise DataError(
            f"{source}: column {quoted(name)} has {distinct} distinct texts in {rows} rows, such as "
            f"{quoted(texts.iloc[0])}. "
            "This looks like free text, not categories",
            code="free-text",
            hint=f'leave it out: [data] ignore = ["{name}"]; give it to layers of your own: text = ["{name}"]; or '
            f'force it: options = {{ categories = ["{name}"] }}',
            source=source,
            column=name,
            distinct=distinct,
            rows=rows,
        )
