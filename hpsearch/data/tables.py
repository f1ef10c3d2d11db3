"""Tables: which column plays which role, what each is made into, and the checks that go with it."""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.facts import Column
from hpsearch.data.categories import category_codes
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

MAX_CATEGORIES = 200
"""A text column with more different texts than this, or more than half as many as rows, counts as free text."""

EXAMPLES = 5
"""Rows of a table that are kept as they are, to show what a model takes."""


def from_frame(frame: "pd.DataFrame", spec: "StudySpec", y: Array | None = None) -> Loaded:
    """Inputs, targets, groups and time of a table, by the roles that ``[data]`` gives its columns.

    Columns that are no target, group, time or ignored become inputs: numbers and booleans as float32 (empty cells stay
    NaN, for the model to fill), texts as category codes.

    Args:
        frame: The table.
        spec: The study file.
        y: Targets, where they come beside the table; None where they are columns of it.

    Raises:
        DataError: A column is unknown, missing or of no use.
    """
    data, source = spec.data, spec.data.source
    _check_names(source, frame)
    if y is None and data.target is None:
        raise DataError(
            f"{source}: which column is the target? It has {_listed(frame.columns)}",
            hint=f'name it: [data] target = "{frame.columns[-1]}"',
        )
    targets = [] if y is not None or data.target is None else data.target
    targets = [targets] if isinstance(targets, str) else list(targets)
    _check_roles(source, frame, spec, targets)
    left_out = {*targets, *data.ignore, data.group, data.time}
    names = [name for name in frame.columns if name not in left_out]
    x, columns = inputs_of(source, frame[names], data.options.get("categories", ()))
    if y is None:
        y = frame[targets[0]].to_numpy() if len(targets) == 1 else frame[targets].to_numpy()
    return Loaded(
        x,
        y,
        groups=None if data.group is None else _whole(source, frame, data.group).astype(str),
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
        categories: Columns that hold categories although they look like numbers.

    Raises:
        DataError: A column is free text, dates, empty or infinite; or `categories` names an unknown one.
    """
    if len(frame) == 0:
        raise DataError(f"{source}: holds no rows", hint="check the file, and the filters of a function source")
    for name in categories:
        if name not in frame.columns:
            raise _unknown(source, "option categories", name, frame)
    columns = tuple(_column(source, frame[name], forced=name in categories) for name in frame.columns)
    return {column.name: values_of(source, frame[column.name], column) for column in columns}, columns


def rows_of(source: str, frame: "pd.DataFrame", columns: Sequence[Column]) -> dict[str, Array]:
    """A table with known columns, as ``hpsearch predict`` gets it: extra columns are left out.

    Categories that training never met get their code like any other; the model treats them as unknown.

    Raises:
        DataError: A column is missing, or holds text where the model needs numbers.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise DataError(
            f"{source}: the model needs the columns {_listed(column.name for column in columns)}, but "
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint=f"the file has {_listed(frame.columns)}",
        )
    return {column.name: values_of(source, frame[column.name], column) for column in columns}


def values_of(source: str, values: "pd.Series[Any]", column: Column) -> Array:
    """One column as numbers (float32, NaN where empty) or category codes (int32).

    Raises:
        DataError: Text, or an infinite value, where numbers are needed.
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
        raise DataError(
            f"{source}: column {column.name!r} holds an infinite value in row {int(np.isinf(result).argmax())}",
            hint="replace it by a number or an empty cell (float32 ends at 3.4e38)",
        )
    return result


def _column(source: str, values: "pd.Series[Any]", *, forced: bool) -> Column:
    """What a column is made into, by what pandas found in it."""
    import pandas as pd

    name = str(values.name)
    filled = values.dropna()
    if filled.empty:
        raise DataError(f"{source}: column {name!r} is empty", hint=f'leave it out: [data] ignore = ["{name}"]')
    if forced:
        return Column(name, "category")
    if pd.api.types.is_bool_dtype(filled) or pd.api.types.is_numeric_dtype(filled):
        return Column(name, "number")
    if pd.api.types.is_datetime64_any_dtype(filled):
        raise DataError(
            f"{source}: column {name!r} holds dates, which no model takes as they are",
            hint=f'[data] time = "{name}" orders rows by it; or leave it out: ignore = ["{name}"]',
        )
    texts = filled.astype(str)
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().mean() > 0.5:
        raise _text(source, values, values.notna() & pd.to_numeric(values, errors="coerce").isna())
    different = texts.nunique()
    if different > MAX_CATEGORIES or (different > 20 and different > len(values) / 2):
        raise DataError(
            f"{source}: column {name!r} holds {different} different texts in {len(values)} rows, such as "
            f"{texts.iloc[0]!r}: free text, not categories",
            hint=f'leave it out: [data] ignore = ["{name}"]; or force it: options = {{ categories = ["{name}"] }}',
        )
    return Column(name, "category")


def _text(source: str, values: "pd.Series[Any]", bad: "pd.Series[bool]") -> DataError:
    row = int(bad.to_numpy().argmax())
    count = int(bad.sum())
    return DataError(
        f"{source}: column {values.name!r} needs numbers, but row {row} holds {values.iloc[row]!r} "
        f"({count} of {len(values)} rows {'is' if count == 1 else 'are'} text)",
        hint=f'if it stands for an empty cell: [data] options = {{ na_values = ["{values.iloc[row]}"] }}',
    )


def _check_names(source: str, frame: "pd.DataFrame") -> None:
    names = [str(name) for name in frame.columns]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{source}: two columns are called {name!r}", hint="rename one")
        if not name.strip() or "/" in name:
            raise DataError(
                f"{source}: {name!r} cannot be the name of a model's input",
                hint="rename the column: not blank, and without a slash",
            )


def _check_roles(source: str, frame: "pd.DataFrame", spec: "StudySpec", targets: list[str]) -> None:
    roles: list[tuple[str, list[Any]]] = [
        ("target", targets),
        ("ignore", spec.data.ignore),
        ("group", [spec.data.group]),
        ("time", [spec.data.time]),
    ]
    for role, names in roles:
        for name in names:
            if name is not None and name not in frame.columns:
                raise _unknown(source, role, name, frame)
    for role, names in roles[1:]:
        for name in names:
            if name in targets:
                raise DataError(f"{source}: column {name!r} is both target and {role}", hint="one role is enough")


def _unknown(source: str, role: str, name: str, frame: "pd.DataFrame") -> DataError:
    close = difflib.get_close_matches(str(name), [str(one) for one in frame.columns], n=1)
    return DataError(
        f"{source}: {role} names column {name!r}, which is not there"
        + (f" (did you mean {close[0]!r}?)" if close else ""),
        hint=f"it has {_listed(frame.columns)}",
    )


def _whole(source: str, frame: "pd.DataFrame", name: str) -> Array:
    missing = frame[name].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{source}: column {name!r} is empty in {int(missing.sum())} rows, the first is row "
            f"{int(missing.argmax())}",
            hint="folds are made by it: fill or drop those rows",
        )
    return np.asarray(frame[name])


def _time(source: str, frame: "pd.DataFrame", name: str) -> Array:
    import pandas as pd

    values = _whole(source, frame, name)
    if values.dtype.kind in "iufM":
        return values
    try:
        return np.asarray(pd.to_datetime(pd.Series(values), format="ISO8601"))
    except (ValueError, TypeError):
        raise DataError(
            f"{source}: time column {name!r} holds {values[0]!r}, which is neither a number nor a date",
            hint="use numbers, or dates such as 2024-05-31",
        ) from None


def _listed(names: Any) -> str:
    return ", ".join(str(name) for name in names)
