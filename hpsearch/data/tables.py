"""Tables: the role of each column, what it becomes, and the checks that go with it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.facts import Column
from hpsearch.core.words import did_you_mean, listed
from hpsearch.data.categories import category_codes
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

MAX_CATEGORIES = 200
"""A text column with more distinct texts than this, or with more than half as many as rows, counts as free text."""

EXAMPLES = 5
"""Number of rows that are kept unchanged, as examples of what a model takes."""


def from_frame(frame: "pd.DataFrame", spec: "StudySpec", y: Array | None = None) -> Loaded:
    """Inputs, targets, groups and time of a table, by the roles that ``[data]`` gives its columns.

    All columns without a role become inputs: numbers and booleans as float32 (empty cells stay NaN, and the model fills
    them), texts as category codes.

    Args:
        frame: The table.
        spec: The study file.
        y: The targets if they are not columns of the table.

    Raises:
        DataError: A column is unknown, missing or unusable.
    """
    data, source = spec.data, spec.data.source
    _check_names(source, frame)
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
    _check_roles(source, frame, spec, targets)
    left_out = {*targets, *data.ignore, data.group, data.time}
    names = [name for name in frame.columns if name not in left_out]
    x, columns = inputs_of(source, frame[names], _categories(spec))
    if y is None:
        y = frame[targets[0]].to_numpy() if len(targets) == 1 else frame[targets].to_numpy()
    return Loaded(
        x,
        y,
        groups=None if data.group is None else _without_gaps(source, frame, data.group).astype(str),
        time=None if data.time is None else _time(source, frame, data.time),
        columns=columns,
        examples={name: frame[name].head(EXAMPLES).to_numpy() for name in names},
    )


def inputs_of(
    source: str, frame: "pd.DataFrame", categories: Sequence[str] = ()
) -> tuple[dict[str, Array], tuple[Column, ...]]:
    """Every column as an array of shape ``(n_rows,)``, and what it is.

    Args:
        source: For messages.
        frame: Input columns only.
        categories: Columns to treat as categories although they look like numbers.

    Raises:
        DataError: A column is empty, infinite, free text or dates; or `categories` names an unknown one.
    """
    if len(frame) == 0:
        raise DataError(
            f"{source} has no rows",
            code="no-rows",
            hint="check the file, or the filters of the function",
            source=source,
        )
    for name in categories:
        if name not in frame.columns:
            raise _unknown(source, "option categories", name, frame)
    columns = tuple(_column(source, frame[name], forced=name in categories) for name in frame.columns)
    return {column.name: values_of(source, frame[column.name], column) for column in columns}, columns


def _categories(spec: "StudySpec") -> list[str]:
    names = spec.data.options.get("categories", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{spec.data.source}: option categories must be a list of columns, but got {names!r}",
            code="bad-option",
            hint='write options = { categories = ["…"] }',
            source=spec.data.source,
            option="categories",
            value=names,
        )
    return names


def rows_of(source: str, frame: "pd.DataFrame", columns: Sequence[Column]) -> dict[str, Array]:
    """The inputs of a table whose columns are known, as ``hpsearch predict`` reads it. Extra columns are ignored.

    A category that is new gets its code like any other, and the model treats it as unknown.

    Raises:
        DataError: A column is missing, or the model needs numbers and the column has text.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise DataError(
            f"{source}: the model needs the columns {listed(column.name for column in columns)}, but "
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            code="missing-columns",
            hint=f"the file has {listed(frame.columns)}",
            source=source,
            missing=tuple(missing),
        )
    return {column.name: values_of(source, frame[column.name], column) for column in columns}


def values_of(source: str, values: "pd.Series", column: Column) -> Array:
    """One column as numbers (float32, NaN for empty cells) or category codes (int32).

    Raises:
        DataError: The column needs numbers, but has a text or an infinite value.
    """
    import pandas as pd

    if column.kind == "category":
        return category_codes(column.name, values.astype(object).where(values.notna(), None))
    numbers = pd.to_numeric(values, errors="coerce")
    bad = numbers.isna() & values.notna()
    if bad.any():
        raise _text(source, values, bad)
    result: Array = numbers.to_numpy(dtype=np.float32, na_value=np.nan)
    if np.isinf(result).any():
        row = int(np.isinf(result).argmax())
        raise DataError(
            f"{source}: column {column.name!r} has an infinite value in row {row}",
            code="not-finite",
            hint="replace it with a number or an empty cell (the largest float32 is 3.4e38)",
            source=source,
            column=column.name,
            row=row,
        )
    return result


def _column(source: str, values: "pd.Series", *, forced: bool) -> Column:
    """What a column becomes, judged by what pandas found in it."""
    import pandas as pd

    name = str(values.name)
    filled = values.dropna()
    if filled.empty:
        raise DataError(
            f"{source}: column {name!r} is empty",
            code="empty-column",
            hint=f'leave it out: [data] ignore = ["{name}"]',
            source=source,
            column=name,
        )
    if forced:
        return Column(name, "category")
    if pd.api.types.is_bool_dtype(filled) or pd.api.types.is_numeric_dtype(filled):
        return Column(name, "number")
    if pd.api.types.is_datetime64_any_dtype(filled):
        raise DataError(
            f"{source}: column {name!r} has dates, which models cannot take",
            code="date-column",
            hint=f'order the rows by it: [data] time = "{name}"; or leave it out: ignore = ["{name}"]',
            source=source,
            column=name,
        )
    texts = filled.astype(str)
    if pd.to_numeric(texts, errors="coerce").notna().mean() > 0.5:
        raise _text(source, values, values.notna() & pd.to_numeric(values, errors="coerce").isna())
    _check_categories(source, name, texts, len(values))
    return Column(name, "category")


def _check_categories(source: str, name: str, texts: "pd.Series", rows: int) -> None:
    distinct = texts.nunique()
    if distinct > MAX_CATEGORIES or (distinct > 20 and distinct > rows / 2):
        raise DataError(
            f"{source}: column {name!r} has {distinct} distinct texts in {rows} rows, such as {texts.iloc[0]!r}. "
            "This looks like free text, not categories",
            code="free-text",
            hint=f'leave it out: [data] ignore = ["{name}"]; or force it: options = {{ categories = ["{name}"] }}',
            source=source,
            column=name,
            distinct=distinct,
            rows=rows,
        )


def _text(source: str, values: "pd.Series", bad: "pd.Series") -> DataError:
    row = int(bad.to_numpy().argmax())
    count = int(bad.sum())
    return DataError(
        f"{source}: column {values.name!r} needs numbers, but row {row} has {values.iloc[row]!r} "
        f"({count} of {len(values)} rows {'has' if count == 1 else 'have'} text)",
        code="text-in-numbers",
        hint=f'if it means an empty cell: [data] options = {{ na_values = ["{values.iloc[row]}"] }}',
        source=source,
        column=str(values.name),
        row=row,
        value=str(values.iloc[row]),
        count=count,
    )


def _check_names(source: str, frame: "pd.DataFrame") -> None:
    names = _names(frame)
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{source}: two columns are called {name!r}",
                code="duplicate-column",
                hint="rename one of them",
                source=source,
                column=name,
            )
        if not name.strip() or "/" in name:
            raise DataError(
                f"{source}: {name!r} cannot be the name of a model's input",
                code="bad-column-name",
                hint="rename the column: not blank, and without a slash",
                source=source,
                column=name,
            )


def _check_roles(source: str, frame: "pd.DataFrame", spec: "StudySpec", targets: list[str]) -> None:
    roles = [
        ("target", targets),
        ("ignore", spec.data.ignore),
        ("group", [] if spec.data.group is None else [spec.data.group]),
        ("time", [] if spec.data.time is None else [spec.data.time]),
    ]
    for role, names in roles:
        for name in names:
            if name not in frame.columns:
                raise _unknown(source, role, name, frame)
    for role, names in roles[1:]:
        for name in names:
            if name in targets:
                raise DataError(
                    f"{source}: column {name!r} is both target and {role}",
                    code="two-roles",
                    hint="give it one role only",
                    source=source,
                    column=name,
                    roles=("target", role),
                )


def _unknown(source: str, role: str, name: str, frame: "pd.DataFrame") -> DataError:
    return DataError(
        f"{source}: {role} names column {name!r}, which does not exist{did_you_mean(name, frame.columns)}",
        code="unknown-column",
        hint=f"the table has {listed(frame.columns)}",
        source=source,
        role=role,
        column=name,
    )


def _without_gaps(source: str, frame: "pd.DataFrame", name: str) -> Array:
    missing = frame[name].isna().to_numpy()
    if missing.any():
        count, first = int(missing.sum()), int(missing.argmax())
        raise DataError(
            f"{source}: column {name!r} is empty in {count} row{'s' if count > 1 else ''}, first in row {first}",
            code="gaps-in-role",
            hint="it decides the folds: fill these cells or drop the rows",
            source=source,
            column=name,
            count=count,
            row=first,
        )
    return np.asarray(frame[name])


def _time(source: str, frame: "pd.DataFrame", name: str) -> Array:
    import pandas as pd

    values = _without_gaps(source, frame, name)
    if values.dtype.kind in "iufM":
        return values
    try:
        return np.asarray(pd.to_datetime(pd.Series(values), format="ISO8601"))
    except (ValueError, TypeError):
        raise DataError(
            f"{source}: time column {name!r} has {values[0]!r}, which is neither a number nor a date",
            code="bad-time",
            hint="use numbers, or dates such as 2024-05-31",
            source=source,
            column=name,
            value=str(values[0]),
        ) from None


def _names(frame: "pd.DataFrame") -> list[str]:
    return [str(name) for name in frame.columns]
