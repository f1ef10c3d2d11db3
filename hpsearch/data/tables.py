"""Tables: the role of each column, what it becomes, and the checks that go with it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.words import listed, quoted
from hpsearch.data.array_columns import text_column
from hpsearch.data.column_roles import unknown_column, wrong_roles
from hpsearch.data.csv_files import check_twice
from hpsearch.data.dataset import Array
from hpsearch.data.inference import Inferred, counts_rows, infer_column
from hpsearch.data.likeness import alike
from hpsearch.data.loaded import Loaded
from hpsearch.data.targets import target_values
from hpsearch.data.weights import weight_column
from hpsearch.errors import DataError
from hpsearch.portable.arrays import is_array
from hpsearch.portable.cells import category_code, category_texts, table_inputs
from hpsearch.portable.columns import Column
from hpsearch.portable.errors import RowsError
from hpsearch.spec.messages import Mistakes
from hpsearch.spec.rows import INPUTS, NONE

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

EXAMPLES = 5
"""Number of rows that are kept unchanged, as examples of what a model takes."""


def from_frame(
    frame: "pd.DataFrame", spec: "StudySpec", y: Array | None = None, *, warnings: Sequence[str] = ()
) -> Loaded:
    """Inputs, targets, groups, time and weights of a table, by the roles that ``[data]`` gives its columns.

    All columns without a role become inputs: numbers and booleans as float32 (empty cells stay NaN, and the model fills
    them), texts as category codes.

    Args:
        frame: The table.
        spec: The study file.
        y: The targets if they are not columns of the table.
        warnings: What reading the table has found.

    Raises:
        DataError: A column is unknown, missing or unusable.
    """
    data, source = spec.data, spec.data.source
    frame, nameless = _without_nameless(source, frame, spec)
    nameless += _index_left_out(frame)
    _check_names(source, frame)
    if y is None and data.target in (INPUTS, NONE) and data.target not in frame.columns:
        y = np.zeros((len(frame), 0), np.float32)
    if y is None and data.target is None:
        raise DataError(
            f"{source}: which column is the target? The table has {listed(frame.columns)}",
            code="no-target",
            hint=f'name it: [data] target = "{frame.columns[-1]}"',
            source=source,
            columns=_names(frame),
        )
    targets = [] if y is not None or data.target is None else data.target
    targets = [targets] if isinstance(targets, str) else list(targets)
    mistakes = Mistakes(source)
    mistakes.found += wrong_roles(source, frame, spec, targets)
    unknown_target = any(target not in frame.columns for target in targets)
    left_out = {*targets, *data.ignore, data.group, data.time, data.weight}
    names = [name for name in frame.columns if name not in left_out]
    forced = mistakes.of(_categories, spec) or []
    # A column whose role is misspelt looks like an input. What is wrong with it as an input is no mistake then.
    inputs = None if mistakes.found else mistakes.of(_Inputs.of, source, frame[names], forced, spec.data.text)
    if y is None and not unknown_target:
        y = mistakes.of(target_values, source, frame[targets], spec.data.task)
    known = {*frame.columns}
    groups = mistakes.of(_group, source, frame, data.group) if data.group and data.group in known else None
    time = mistakes.of(_time, source, frame, data.time) if data.time and data.time in known else None
    weights = mistakes.of(weight_column, source, frame, data.weight) if data.weight and data.weight in known else None
    mistakes.end()
    assert inputs is not None
    assert y is not None
    twins = [text for name in names for target in targets if (text := _determined(frame[name], frame[target]))]
    return Loaded(
        inputs.x,
        y,
        groups=groups,
        time=time,
        weights=weights,
        columns=inputs.columns,
        categories=inputs.categories,
        target_is_column=bool(targets),
        examples={name: frame[name].head(EXAMPLES).to_numpy() for name in names},
        warnings=(*nameless, *warnings, *inputs.warnings, *twins),
    )


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The input columns of a table.

    Attributes:
        x: Every column as an array of shape ``(n_rows,)``.
        columns: What they are.
        categories: Category column → its texts.
        warnings: What looks like a mistake.
    """

    x: dict[str, Array]
    columns: tuple[Column, ...]
    categories: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, source: str, frame: "pd.DataFrame", forced: Sequence[str], texts: Sequence[str]) -> "_Inputs":
        """Judge and convert all columns.

        Raises:
            DataError: A column is empty, infinite, free text or dates; or `forced` names an unknown one.
        """
        if len(frame) == 0:
            raise no_rows(source)
        mistakes = Mistakes(source)
        for name in forced:
            if name not in frame.columns:
                mistakes.found.append(unknown_column(source, "option categories", name, frame))
        judged = [
            mistakes.of(_as_text, source, frame[name])
            if name in texts
            else mistakes.of(infer_column, source, frame[name], forced=name in forced)
            for name in frame.columns
        ]
        mistakes.end()
        found = [one for one in judged if one is not None]
        columns = tuple(one.column for one in found)
        categories = {one.name: _texts_of(frame[one.name], one) for one in columns if one.kind == "category"}
        warnings = [text for one in found for text in one.warnings]
        warnings += [text for one in columns if (text := _looks_like_id(frame[one.name], one))]
        warnings += [
            f"column {quoted(name)}: {text}" for name, texts in categories.items() if (text := alike(texts)) is not None
        ]
        return cls(rows_of(source, frame, columns), columns, categories, tuple(warnings))


def _as_text(source: str, values: "pd.Series[str]") -> Inferred:
    return Inferred(text_column(source, values))


def _texts_of(values: "pd.Series[str]", column: Column) -> tuple[str, ...]:
    """The texts of a column's categories, in order.

    Raises:
        DataError: Two of them have the same code (this happens in one of 3,400 sets of 100 texts).
    """
    texts = sorted({text for text in category_texts(values, column) if text is not None})
    by_code: dict[int, str] = {}
    for text in texts:
        other = by_code.setdefault(category_code(text), text)
        if other != text:
            raise DataError(
                f"column {quoted(column.name)}: {quoted(other)} and {quoted(text)} have the same code, "
                f"{category_code(text)}",
                code="category-clash",
                hint="rename one of the two",
                column=column.name,
                texts=(other, text),
                checksum=category_code(text),
            )
    return tuple(texts)


def _determined(values: "pd.Series[str]", target: "pd.Series[str]") -> str | None:
    """A warning if a column is the target in other words or another unit."""
    if not determines(values, target):
        return None
    return (
        f"column {quoted(values.name)} determines {quoted(target.name)} in every row. If it is not known at "
        f"prediction time: "
        f'[data] ignore = ["{values.name}"]'
    )


def determines(values: "pd.Series[str]", target: "pd.Series[str]") -> bool:
    """Whether a column is the target in other words or another unit."""
    import pandas as pd

    if any(values.dtype == object and is_array(values.iloc[0]) for values in (values, target)):
        return False
    distinct = target.head(_HEAD).nunique()
    if distinct <= min(len(target), _HEAD) / 2:
        # Each value of one goes with one value of the other.
        return bool(values.head(_HEAD).nunique(dropna=False) == distinct > 1 and _pairs(values, target))
    if pd.api.types.is_numeric_dtype(values) and pd.api.types.is_numeric_dtype(target):
        return bool(abs(values.corr(target)) > 1 - 1e-12 and len(values) > 2)
    return False


def _pairs(values: "pd.Series[str]", target: "pd.Series[str]") -> bool:
    pairs = len(set(zip(values, target, strict=True)))
    return bool(pairs == target.nunique() == values.nunique(dropna=False))


_HEAD = 1_000
"""Rows that are looked at first."""


def _looks_like_id(values: "pd.Series[str]", column: Column) -> str | None:
    if column.kind != "number" or column.cells != "number":
        return None
    if counts_rows(values):
        what = "numbers the rows. Rows are often sorted by their target, which it then gives away"
    elif re.search(r"(^|_|\b)(id|ID|Id|uuid|index)$", column.name) and values.is_unique and len(values) > 2:
        what = "has a different number in every row, like an id"
    else:
        return None
    return f'column {quoted(column.name)} {what}. If it is only an identifier: [data] ignore = ["{column.name}"]'


def _categories(spec: "StudySpec") -> list[str]:
    names = spec.data.options.get("categories", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{spec.data.source}: option categories must be a list of columns, but got {quoted(names)}",
            code="bad-option",
            hint='write options = { categories = ["…"] }',
            source=spec.data.source,
            option="categories",
            value=names,
        )
    return names


def rows_of(source: str, frame: "pd.DataFrame", columns: Sequence[Column]) -> dict[str, Array]:
    """The inputs of a table whose columns are known; see :func:`~hpsearch.portable.cells.table_inputs`.

    Raises:
        DataError: A column is missing, or its cells are not what it needs.
    """
    try:
        return table_inputs(frame, columns)
    except RowsError as error:
        raise data_error(source, error) from None


def data_error(source: str, error: RowsError) -> DataError:
    """The same, as an error of hpsearch."""
    return DataError(f"{source}: {error.what}", code=error.code, hint=error.hint, source=source, **error.values)


def _without_nameless(source: str, frame: "pd.DataFrame", spec: "StudySpec") -> tuple["pd.DataFrame", list[str]]:
    """The table without nameless columns that are no data, and a warning for each; pandas calls them ``Unnamed: 0``."""
    warnings = []
    for name in [str(name) for name in frame.columns if re.fullmatch(r"Unnamed: \d+|\s*", str(name))]:
        if name in spec.data.ignore:
            continue
        values = frame[name]
        if values.ndim == 1 and values.isna().all():
            reason = "is empty: the lines end with a separator"
        elif values.ndim == 1 and counts_rows(values):
            reason = "numbers the rows, like the index of a DataFrame"
        else:
            raise DataError(
                f"{source}: a column has no name (it is called {quoted(name)} here)",
                code="nameless-column",
                hint=f'name it in the file; or leave it out: [data] ignore = ["{name}"]',
                source=source,
                column=name,
            )
        frame = frame.drop(columns=name)
        warnings.append(f"a column without a name {reason}; it is left out")
    return frame, warnings


def _index_left_out(frame: "pd.DataFrame") -> list[str]:
    """A warning about an index that has a name and so may be data."""
    return [
        f"the table's index {quoted(name)} is not a column and is left out; reset_index() makes it one"
        for name in frame.index.names
        if name is not None
    ]


def _check_names(source: str, frame: "pd.DataFrame") -> None:
    names = _names(frame)
    check_twice(source, names)
    for name in names:
        if not name.strip() or "/" in name:
            raise DataError(
                f"{source}: {quoted(name)} cannot be the name of a model's input",
                code="bad-column-name",
                hint="rename the column: not blank, and without a slash",
                source=source,
                column=name,
            )


def _without_gaps(source: str, frame: "pd.DataFrame", name: str) -> Array:
    missing = frame[name].isna().to_numpy()
    if missing.any():
        count, first = int(missing.sum()), int(missing.argmax())
        raise DataError(
            f"{source}: column {quoted(name)} is empty in {count} row{'s' if count > 1 else ''}, first in row {first}",
            code="gaps-in-role",
            hint="it decides the folds: fill these cells or drop the rows",
            source=source,
            column=name,
            count=count,
            row=first,
        )
    return np.asarray(frame[name])


def _group(source: str, frame: "pd.DataFrame", name: str) -> Array:
    return _without_gaps(source, frame, name).astype(str)


def _time(source: str, frame: "pd.DataFrame", name: str) -> Array:
    import pandas as pd

    values = _without_gaps(source, frame, name)
    if values.dtype.kind in "iufM":
        return values
    zoned = [re.search(r"(Z|[+-]\d\d:?\d\d)$", str(value)) is not None for value in values]
    if any(zoned) and not all(zoned):
        row = zoned.index(not zoned[0])
        raise DataError(
            f"{source}: time column {quoted(name)} has times with and without an offset from UTC: "
            f"{quoted(values[0])} in row 0, "
            f"{quoted(values[row])} in row {row}",
            code="mixed-times",
            hint="give all of them an offset, or none",
            source=source,
            column=name,
            row=row,
        )
    try:
        times = pd.to_datetime(pd.Series(values), format="ISO8601", utc=any(zoned))
    except (ValueError, TypeError):
        raise DataError(
            f"{source}: time column {quoted(name)} has {quoted(values[0])}, which is neither a number nor an ISO date",
            code="bad-time",
            hint="use numbers, or dates such as 2024-05-31 or 2024-05-31T12:30",
            source=source,
            column=name,
            value=str(values[0]),
        ) from None
    return np.asarray(times.dt.tz_localize(None) if any(zoned) else times)


def _names(frame: "pd.DataFrame") -> list[str]:
    return [str(name) for name in frame.columns]


def no_rows(source: str) -> DataError:
    """The error for data without rows."""
    return DataError(
        f"{source} has no rows", code="no-rows", hint="check the file, or the filters of the function", source=source
    )
