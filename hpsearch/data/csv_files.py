"""CSV files as tables. pandas guesses column by column; what it would guess without a word is refused or said here."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.files import likely_encoding
from hpsearch.core.words import listed, quoted
from hpsearch.data.reading import check_columns, reading
from hpsearch.errors import DataError
from hpsearch.portable.columns import Column

if TYPE_CHECKING:
    import pandas as pd

CSV_OPTIONS = ("sep", "decimal", "thousands", "encoding", "na_values", "comment", "header")
"""Options of CSV files. ``header`` says whether the first row holds names; the others are those of
``pandas.read_csv``."""

_SEPARATORS = ";\t|"

_LONGEST_LINE = 10_000_000
"""Bytes of the first row that are looked at before pandas reads it."""

_HEAD = 1_000
"""Rows that are looked at for codes."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV or TSV file and the options that say how it is written.

    Attributes:
        path: The file.
        options: Some of :data:`CSV_OPTIONS`.
    """

    path: Path
    options: Mapping[str, object]

    def read(self, as_text: Sequence[str] = ()) -> "pd.DataFrame":
        """The table, with each column in the type that all of its cells have.

        In a column of texts, only an empty cell is an empty cell: ``None`` or ``NA`` may be the name of a class. In
        numbers they mean that there is none.

        Args:
            as_text: Columns to read as text, whatever they hold.

        Raises:
            DataError: The file is no table, or its rows are longer or shorter than its header.
        """
        header = self._header()
        _check_header(self.path, header, self.options)
        names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
        frame = self._parse(names)
        self._check_short_rows(frame, header)
        frame = self._with_exact_numbers(frame, names)
        texts = [name for name in names if not _is_typed(frame[name]) or name in as_text]
        if texts:
            raw = self._parse(names, usecols=texts, dtype=str, keep_default_na=False, na_values=self._na_values)
            frame = frame.assign(**{name: raw[name] for name in texts})
            self._check_points(frame[[name for name in texts if name not in as_text]])
        return frame

    def leading_zeros(self, frame: "pd.DataFrame") -> list[str]:
        """Warnings about whole numbers of `frame` that the file writes as codes are written, such as 007."""
        import pandas as pd

        whole = [name for name in frame.columns if pd.api.types.is_integer_dtype(frame[name])]
        if not whole:
            return []
        head = self._parse(list(frame.columns), usecols=whole, dtype=str, keep_default_na=False, nrows=_HEAD)
        found = {name: head[name][head[name].str.match(r"\s*[+-]?0\d")] for name in whole}
        return [
            f"column {quoted(name)} is read as numbers, but has leading zeros, such as {texts.iloc[0]}. If these "
            f"are codes: "
            f'options = {{ categories = ["{name}"] }}'
            for name, texts in found.items()
            if len(texts)
        ]

    def read_like(self, columns: Sequence[Column], *, inferred: Sequence[str] | None = None) -> "pd.DataFrame":
        """A table with known columns, read as training has read them.

        Args:
            columns: What training has learnt.
            inferred: For ledgers of hpsearch 0.1, which do not say: columns to read as pandas sees them, and all words
                for "empty" count in texts. None for others.

        Raises:
            DataError: The file is no table. Missing columns are no error here.
        """
        header = self._header()
        check_twice(self.path, header)
        names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
        known = [column for column in columns if column.name in names]
        texts = {one.name for one in known if one.kind in ("category", "text") and one.name not in (inferred or ())}
        empty = self._na_values if inferred is None else [*_na_words(), *self._na_values]
        frame = self._parse(
            names,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values={
                name: empty if name in texts else [*_na_words(), *self._na_values] for name in dict.fromkeys(names)
            },
            blank_rows=len(names) == 1,
        )
        self._check_short_rows(frame, header)
        return self._with_exact_numbers(frame, names, blank_rows=len(names) == 1)

    def read_numbers(self) -> "pd.DataFrame":
        """A table of rows for a model that takes one array: a first row of numbers is data, not names."""
        first = self.first_row()
        has_names = not _are_numbers(first, self.options) or _counts(first)
        if has_names:
            check_twice(self.path, first)
        names = [name if has_names and name else str(place) for place, name in enumerate(first)]
        return self._parse(names, header=0 if has_names else None, blank_rows=len(first) == 1)

    def first_row(self) -> list[str]:
        """The cells of the first row, whether they are names or data."""
        with _explained(self.path):
            import pandas as pd

            with self.path.open("rb") as file:  # pandas would take minutes for a million cells of a row
                line = file.readline(_LONGEST_LINE)
            check_columns(self.path, 1 + line.count(str(self._given.get("sep", ",")).encode("utf-8", "replace")))
            given = {
                name: self._given[name] for name in ("sep", "engine", "encoding", "comment") if name in self._given
            }
            first = pd.read_csv(self.path, header=None, nrows=1, dtype=str, keep_default_na=False, **given)
        return [str(cell) for cell in first.iloc[0]]

    def _header(self) -> list[str]:
        first = self.first_row()
        return first if self._has_header else [str(place) for place in range(len(first))]

    @property
    def _has_header(self) -> bool:
        return self.options.get("header", True) is not False

    @property
    def _given(self) -> "dict[str, object]":
        """The options for pandas."""
        own = {name: value for name, value in self.options.items() if name not in ("header", "na_values")}
        given = {**({"sep": "\t"} if self.path.suffix.lower() == ".tsv" else {}), **own}
        sep = given.get("sep")
        # pandas' quick reader takes one character, or any number of blanks. It does not see marks that are not ASCII.
        marks = (str(given.get(name, "")) for name in ("sep", "thousands", "decimal"))
        slow = (isinstance(sep, str) and len(sep) > 1 and sep != r"\s+") or not all(map(str.isascii, marks))
        return {**given, "engine": "python"} if slow else {**given, "low_memory": False}

    @property
    def _na_values(self) -> list[str]:
        """Cells that are empty whatever a column holds."""
        more = self.options.get("na_values", [])
        return ["", *(map(str, more) if isinstance(more, list) else [str(more)])]

    def _parse(self, names: list[str], *, blank_rows: bool = False, **more: object) -> "pd.DataFrame":
        import pandas as pd

        # Whatever pandas would do with longer rows (shift the columns, cut the rows), it is wrong.
        options = {
            "header": 0 if self._has_header else None,
            "names": names,
            "index_col": False,
            "skip_blank_lines": not blank_rows,
            "na_values": self._na_values,
            **self._given,
            **more,
        }
        with _explained(self.path), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                return pd.read_csv(self.path, **options)
            except pd.errors.ParserWarning:
                self._check_widths(len(names))
                raise

    def _with_exact_numbers(self, frame: "pd.DataFrame", names: list[str], **more: bool) -> "pd.DataFrame":
        """Whole numbers beyond 2^53 as such: if a cell is empty, pandas makes float64 of them, which is less exact."""
        for name in lossy_columns(frame):
            with suppress(DataError):  # numbers with fractions among them
                exact = self._parse(names, usecols=[name], dtype="Int64", **more)[name]
                frame = frame.assign(**{name: exact})
        return frame

    def _check_points(self, texts: "pd.DataFrame") -> None:
        """Refuse numbers with a point in a file with another decimal mark: 1.234 may mean 1234."""
        if self.options.get("decimal", ".") == ".":
            return
        for name in texts:
            cells = texts[name].dropna()
            numbers = cells.str.fullmatch(r"\s*[+-]?\d*\.\d+\s*")
            if numbers.mean() > 0.5:
                grouped = cells[numbers].str.fullmatch(r"\s*[+-]?\d{1,3}(\.\d{3})+\s*").all()
                change = (
                    'if it groups the digits: [data] options = { thousands = "." }' if grouped else "write all alike"
                )
                raise DataError(
                    f"{self.path}: column {quoted(name)} has numbers with a point, such as "
                    f"{quoted(cells[numbers].iloc[0])}, but "
                    f"decimal = {quoted(self.options['decimal'])}",
                    code="decimal-point",
                    hint=f"{change}; if these are categories: options = {{ categories = [{quoted(name)}] }}",
                    path=str(self.path),
                    column=str(name),
                    options={"thousands": "."} if grouped else {},
                )

    def _check_short_rows(self, frame: "pd.DataFrame", header: Sequence[str]) -> None:
        """pandas fills short rows with empty cells. A short row has an empty last cell, so few files are read again."""
        if len(header) < 2 or not len(frame) or not frame.iloc[:, -1].isna().any():
            return
        self._check_widths(len(header))

    def _check_widths(self, wanted: int) -> None:
        """Find the row that has another number of fields than the header, if the file's dialect is a plain one."""
        sep = str(self._given.get("sep", ","))
        if len(sep) != 1 or "comment" in self._given:
            return
        encoding = str(self._given.get("encoding", "utf-8-sig"))
        with reading(self.path, "CSV"), self.path.open(encoding=encoding, newline="") as file:
            csv.field_size_limit(2**31 - 1)  # a cell may hold a whole document
            reader = csv.reader(file, delimiter=sep)
            for row in reader:
                if row and len(row) != wanted and any(row[wanted:] or [True]):
                    raise _ragged(self.path, reader.line_num, len(row), wanted)


def _is_typed(values: "pd.Series[str]") -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values))


def lossy_columns(frame: "pd.DataFrame") -> list[str]:
    """Columns of whole numbers so large that float64, which holds them, may have rounded them."""
    import pandas as pd

    floats = [name for name in frame.columns if frame[name].ndim == 1 and pd.api.types.is_float_dtype(frame[name])]
    large = [name for name in floats if frame[name].isna().any() and frame[name].abs().max() >= 2**53]
    return [name for name in large if bool((frame[name].dropna() % 1 == 0).all())]


def _na_words() -> list[str]:
    """The words that pandas takes for an empty cell."""
    from pandas._libs.parsers import STR_NA_VALUES

    return sorted(STR_NA_VALUES)


def _are_numbers(cells: Sequence[str], options: Mapping[str, object]) -> bool:
    point = str(options.get("decimal", "."))
    return all(re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", cell.replace(point, ".")) for cell in cells)


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are the names that a DataFrame without names writes: 0, 1, 2 …"""
    return list(cells) == [str(place) for place in range(len(cells))]


def _check_header(path: Path, header: Sequence[str], options: Mapping[str, object]) -> None:
    if options.get("header", True) not in (True, False):
        raise DataError(
            f"{path}: option header must be true or false, but got {quoted(options['header'])}",
            code="bad-option",
            option="header",
            value=options["header"],
        )
    if "header" not in options and _are_numbers(header, options) and not _counts(header):
        raise DataError(
            f"{path}: the first row, {listed(header, most=5)}, holds numbers, not names of columns",
            code="no-header",
            hint="add a row of names; or set [data] options = { header = false }, which names the columns 0, 1, 2 …; "
            "or header = true if these are the names",
            path=str(path),
            first=tuple(header),
            options={"header": False},
        )
    others = _SEPARATORS if path.suffix.lower() != ".tsv" else _SEPARATORS + ","
    if len(header) == 1 and "sep" not in options and (found := [one for one in others if one in header[0]]):
        raise DataError(
            f"{path} has one column only, {quoted(header[0])}",
            code="one-column",
            hint=f"if {quoted(found[0])} separates the columns: [data] options = {{ sep = {quoted(found[0])} }}",
            path=str(path),
            separator=found[0],
            options={"sep": found[0]},
        )
    check_twice(path, header)


def check_twice(source: str | Path, header: Sequence[str]) -> None:
    """Refuse two columns of one name; blank ones are another matter."""
    check_columns(source, len(header))
    counts = Counter(name for name in header if name)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise DataError(
            f"{source}: two columns are called {quoted(twice)}",
            code="duplicate-column",
            hint="rename one of them",
            source=str(source),
            column=twice,
        )


def _ragged(path: Path, line: int, found: int, wanted: int) -> DataError:
    return DataError(
        f"{path}: line {line} has {found} field{'s' * (found != 1)}, but the header has {wanted}",
        code="ragged-row",
        hint="give every row as many fields as the header; quote texts that contain the separator",
        path=str(path),
        line=line,
        found=found,
        wanted=wanted,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what is wrong with a file that pandas cannot read."""
    import pandas as pd

    with reading(path, "CSV", hint=f"[data] options can set {listed(CSV_OPTIONS)}"):
        _check_is_text(path)
        try:
            yield
        except pd.errors.EmptyDataError:
            raise DataError(
                f"{path} is empty", code="empty-file", hint="a table needs a header row and data rows", path=str(path)
            ) from None
        except UnicodeDecodeError as error:
            raise _not_decoded(path, error) from None
        except pd.errors.ParserError as error:
            long = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if long:
                raise _ragged(path, int(long[2]), int(long[3]), int(long[1])) from None
            raise


_FORMATS = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"SQLite format 3": "a SQLite database",
    b"%PDF": "a PDF",
    b"\x93NUMPY": "a NumPy array",
}


def _check_is_text(path: Path) -> None:
    """Refuse a file that is something else than its name says."""
    with path.open("rb") as file:
        start = file.read(16)
    for mark, what in _FORMATS.items():
        if start.startswith(mark):
            raise DataError(
                f"{path} is not a CSV file, but {what}",
                code="other-format",
                hint="unpack it, or save it as CSV; a Parquet file needs the suffix .parquet",
                path=str(path),
                format=what,
            )


def _not_decoded(path: Path, error: UnicodeDecodeError) -> DataError:
    with path.open("rb") as file:
        guess = likely_encoding(file.read(2))
    return DataError(
        f"{path} is not {error.encoding.upper()} text",
        code="bad-encoding",
        hint=f'name its encoding: [data] options = {{ encoding = "{guess}" }}, if that is what it is',
        path=str(path),
        encoding=error.encoding,
        guess=guess,
        options={"encoding": guess},
    )
