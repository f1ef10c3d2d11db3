"""Reading a table for the first time: which options it needs, and what its columns are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.words import listed
from hpsearch.data.csv_files import CsvFile
from hpsearch.data.files import csv_file, read_table
from hpsearch.data.inference import infer_column
from hpsearch.data.tables import no_rows
from hpsearch.errors import DataError
from hpsearch.portable.columns import Column

if TYPE_CHECKING:
    import pandas as pd

_MOST_OPTIONS = 20
"""How often a table is read again with one more option."""

_FEW = 0.2
"""Share of cells with text up to which a column of numbers has gaps, and is not something else."""

_NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*")
_YEAR = re.compile(r"\s*(19|20)\d\d\s*")


@dataclass(frozen=True, slots=True)
class Table:
    """A table and how it was read.

    Attributes:
        frame: All columns.
        options: ``[data] options`` that it needs.
        remarks: Why it needs them, one sentence each.
        columns: Usable column → what it is.
        unusable: Other column → why no model can take it.
    """

    frame: "pd.DataFrame"
    options: Mapping[str, object] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    unusable: Mapping[str, DataError] = field(default_factory=dict)


def read(path: Path) -> Table:
    """Read a table, with whatever options make sense of it.

    Raises:
        DataError: It is no table, has no rows, or no option helps.
    """
    options: dict[str, object] = {}
    remarks: list[str] = []
    for _ in range(_MOST_OPTIONS):
        try:
            if path.suffix.lower() != ".parquet" and "header" not in options:
                _check_has_names(csv_file(path, options))
            frame = read_table(path, options)
            if not len(frame):
                raise no_rows(str(path))
            return Table(frame, options, tuple(remarks), *_judged(path, frame))
        except DataError as error:
            more = _more_options(error, options)
            if more is None:
                raise
            options |= more
            remarks.append(_because(error, more))
    return _given_up(path, options, remarks)


def _given_up(path: Path, options: Mapping[str, object], remarks: Sequence[str]) -> Table:
    frame = read_table(path, options)
    return Table(frame, options, tuple(remarks), *_judged(path, frame, final=True))


def _judged(
    path: Path, frame: "pd.DataFrame", *, final: bool = False
) -> tuple[dict[str, Column], dict[str, DataError]]:
    """What the columns are.

    Raises:
        DataError: An option would make a column usable.
    """
    columns: dict[str, Column] = {}
    unusable: dict[str, DataError] = {}
    for place, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, place]
        try:
            columns[name] = infer_column(str(path), values.rename(name), forced=False).column
        except DataError as error:
            found = error.values.get("options")
            count = error.values.get("count")
            if found and not final and not (isinstance(count, int) and count > _FEW * len(frame)):
                raise
            unusable[name] = error
    return columns, unusable


def _more_options(error: DataError, options: Mapping[str, object]) -> dict[str, object] | None:
    """The options that an error asks for in addition; None if it asks for nothing new."""
    found = error.values.get("options")
    if not isinstance(found, dict) or not found:
        return None
    words = found.get("na_values")
    if isinstance(words, list):
        known = options.get("na_values", [])
        assert isinstance(known, list)
        return None if set(words) <= set(known) else {"na_values": [*known, *words]}
    return found if any(name not in options for name in found) else None


def _because(error: DataError, more: Mapping[str, object]) -> str:
    if error.code == "data.text-in-numbers" and "na_values" in more:
        return f"{error.values['value']!r} among the numbers of {error.values['column']!r} is taken for an empty cell"
    reasons = {
        "data.one-column": f"{error.values.get('separator')!r} separates the columns",
        "data.no-header": "the first row holds data, so the columns are called 0, 1, 2 …",
        "data.bad-encoding": f"the file is not UTF-8 text; it looks like {error.values.get('guess')}",
        "data.decimal-comma": f"{error.values.get('column')!r} has numbers with commas",
        "data.text-in-numbers": f"{error.values.get('column')!r} has digits in groups, "
        f"such as {error.values.get('value')!r}",
        "data.decimal-point": f"{error.values.get('column')!r} has digits grouped by points",
    }
    return reasons.get(error.code, error.what)


def _check_has_names(file: CsvFile) -> None:
    """Refuse a first row that mixes numbers and texts as rows of data do. A row of numbers is refused on reading.

    Raises:
        DataError: Such a row; the option ``header`` reads it.
    """
    first = file.first_row()
    numbers = [cell for cell in first if _NUMBER.fullmatch(cell) and not _YEAR.fullmatch(cell)]
    counts = [cell.strip() for cell in numbers] == [str(place) for place in range(len(numbers))]
    if len(first) < 2 or len(numbers) < len(first) / 2 or counts:
        return
    raise DataError(
        f"{file.path}: the first row, {listed(first, most=5)}, holds data, not names of columns",
        code="no-header",
        hint="add a row of names",
        path=str(file.path),
        options={"header": False},
    )
