"""What the columns of a table seem to be besides inputs: ids, dates, times, groups, constants, copies of the target."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hpsearch.core.words import listed
from hpsearch.data.inference import counts_rows
from hpsearch.data.tables import determines
from hpsearch.proposal.dates import Dates, dates_in
from hpsearch.proposal.reading import Table

if TYPE_CHECKING:
    import pandas as pd

_ID = re.compile(r"(^|[_\W])(id|ids|uuid|guid|index|key|idx|rownum|row_?number)$|[a-z](Id|ID)$|^(id|uuid)[_\W]", re.I)
_NO_ID = re.compile(r"(grid|covid|fluid|acid|humid|solid|valid|paid|bid|mid)$", re.I)
_GROUPS = re.compile(
    r"(^|[_\W])(group|subject|patient|participant|person|user|customer|client|household|family|session|machine|device"
    r"|experiment|batch|plate|speaker|writer|student|school|hospital|site|station)s?([_\W]?(id|no|nr|number|code))?$",
    re.I,
)
_TIMES = re.compile(r"^(date|time|timestamp|datetime|day|week|month|year|period|t|ts)$", re.I)
_LEAST_STEPS, _LEAST_GROUPS, _ROWS_PER_GROUP = 10, 10, 2
_MOST_SERIES = 200
"""Values of a column that may each be a series of its own in time."""

_ALIKE = 0.9999
"""Correlation from which a column is the target in another unit."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of a table's columns.

    Attributes:
        ignore: Column to leave out → why.
        group: Column whose rows belong together; None if none looks like one.
        time: Column with the time of each row; None if none looks like one.
        in_order: Whether the rows come in the order of time, although no column says so in a way that is read.
        remarks: Why `group` and `time` were chosen: role → sentence.
    """

    ignore: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    time: str | None = None
    in_order: bool = False
    remarks: Mapping[str, str] = field(default_factory=dict)


def unpredictable(table: Table) -> dict[str, str]:
    """Columns that are no target, whatever they are called: column → why."""
    arrays = dict.fromkeys(arrays_in(table), "an array in every row")
    found = {str(name): _left_out(table, str(name)) for name in table.frame if str(name) not in arrays}
    return {**arrays, **{name: why for name, why in found.items() if why}}


def roles_of(table: Table, targets: Sequence[str]) -> Roles:
    """The roles of all columns but the targets."""
    nested = {name for name in map(str, table.frame) if _is_nested(table, name)}
    frame = table.frame.drop(columns=[*nested, *arrays_in(table)])
    names = [str(name) for name in frame if str(name) not in targets and not _nameless(str(name), frame)]
    dates = {name: found for name in names if (found := dates_in(frame[name])) is not None}
    roles = _time_of(frame, names, dates)
    ignore = {name: _unusable(table, name) for name in nested}
    for name in names:
        if name == roles.time:
            continue
        if (why := _left_out(table, name)) or (why := _copy_of(frame, name, targets)):
            ignore[name] = why
    roles = replace(roles, ignore=ignore)
    groups = [name for name in names if name not in ignore and name != roles.time and _is_group(frame[name], name)]
    return _with_group(roles, frame, groups)


def _nameless(name: str, frame: "pd.DataFrame") -> bool:
    """Whether hpsearch leaves the column out by itself, and says so."""
    nameless = re.fullmatch(r"Unnamed: \d+|\s*", name) is not None
    return nameless and (bool(frame[name].isna().all()) or counts_rows(frame[name]))


def _left_out(table: Table, name: str) -> str:
    """Why a column is neither input nor target; empty if it may be."""
    values = table.frame[name]
    filled = values.dropna()
    if _is_nested(table, name):
        return _unusable(table, name)
    if not name.strip() or "/" in name:
        return "its name cannot be that of a model's input: rename it to use it"
    if filled.empty:
        return "empty"
    if (found := dates_in(values)) is not None:
        return f"dates, such as {found.example}"
    if filled.nunique() == 1 and (len(filled) == len(values) or table.frame[name].dtype.kind in "iufb"):
        return f"one value only, {_shown(filled.iloc[0])}"
    if counts_rows(values):
        return "numbers the rows"
    named_id = _ID.search(name) is not None and _NO_ID.search(name) is None
    if named_id and values.is_unique and values.dtype.kind != "f" and len(values) > 2:
        return "an id: different in every row"
    if name in table.unusable:
        return _unusable(table, name)
    return ""


def _is_nested(table: Table, name: str) -> bool:
    """Whether its cells are lists or the like, which cannot even be counted."""
    return name in table.unusable and table.unusable[name].code == "data.nested-column"


def arrays_in(table: Table) -> list[str]:
    """Columns with an array in each cell: inputs of their own, which play no other role."""
    return [name for name, column in table.columns.items() if column.kind == "array"]


def _unusable(table: Table, name: str) -> str:
    error, filled = table.unusable[name], table.frame[name].dropna()
    example = "" if filled.empty else _shown(filled.iloc[0])
    match error.code:
        case "data.free-text":
            distinct = filled.nunique()
            if distinct == len(filled):
                return f"a different text in every row, such as {example}"
            return f"{distinct} different texts, such as {example}: free text or names"
        case "data.text-in-numbers":
            return f"numbers and texts, such as {_shown(str(error.values['value']))}"
        case "data.nested-column":
            return f"values of type {error.values['type']}"
    return f"no model can take it ({error.code.partition('.')[2]})"


def _copy_of(frame: "pd.DataFrame", name: str, targets: Sequence[str]) -> str:
    import pandas as pd

    for target in targets:
        values, wanted = frame[name], frame[target]
        numbers = all(pd.api.types.is_numeric_dtype(one) and one.dtype.kind != "b" for one in (values, wanted))
        alike = numbers and wanted.nunique() > 2 and len(frame) > 10 and abs(values.corr(wanted)) > _ALIKE
        if determines(values, wanted) or alike:
            return f"says the same as {target} in every row; keep it only if it is known when the model predicts"
    return ""


def _time_of(frame: "pd.DataFrame", names: Sequence[str], dates: Mapping[str, Dates]) -> Roles:
    """The column that orders the rows in time, or whether the rows themselves are in that order."""
    for name, found in dates.items():
        if frame[name].isna().any() or found.times.nunique() < _LEAST_STEPS:
            continue
        rising, falling = found.times.is_monotonic_increasing, found.times.is_monotonic_decreasing
        within = None if rising or falling else _series_in(frame, name, found, names, dates)
        if not (rising or falling or within):
            continue
        if found.iso:
            order = f"within each {within}, " if within else ""
            why = f"{order}the rows are in the order of {name}: every fold validates on later rows"
            return Roles(time=name, remarks={"time": why})
        if rising:
            why = f"the rows are in the order of {name}: every fold validates on later rows"
            return Roles(in_order=True, remarks={"method": why})
    for name in names:
        values = frame[name]
        numeric = values.dtype.kind in "iuf" and not values.isna().any()
        named = numeric and _TIMES.fullmatch(name) is not None and values.nunique() >= _LEAST_STEPS
        if named and (values.is_monotonic_increasing or values.is_monotonic_decreasing):
            why = f"the rows are in the order of {name}: every fold validates on later rows"
            return Roles(time=name, remarks={"time": why})
    return Roles()


def _series_in(
    frame: "pd.DataFrame", name: str, found: Dates, names: Sequence[str], dates: Mapping[str, Dates]
) -> str | None:
    """The column within each of whose values the rows are in the order of time, as several series in one file are."""
    for other in names:
        if other == name or other in dates or not 2 <= frame[other].nunique() <= min(_MOST_SERIES, len(frame) // 5):
            continue
        by = found.times.groupby(frame[other].to_numpy())
        if bool(by.size().min() >= _LEAST_STEPS) and all(part.is_monotonic_increasing for _, part in by):
            return other
    return None


def _is_group(values: "pd.Series[str]", name: str) -> bool:
    distinct = values.nunique()
    named = _GROUPS.search(name) is not None or (_ID.search(name) is not None and _NO_ID.search(name) is None)
    repeats = _LEAST_GROUPS <= distinct <= len(values) / _ROWS_PER_GROUP
    return named and repeats and values.dtype.kind != "f" and not values.isna().any()


def _with_group(roles: Roles, frame: "pd.DataFrame", groups: Sequence[str]) -> Roles:
    """The first group becomes the study's; others are ids that no model should see."""
    if not groups:
        return roles
    first, *others = groups
    ignore = {**roles.ignore, **dict.fromkeys(others, f"ids that repeat; {first} keeps the rows together")}
    if roles.time is not None or roles.in_order:
        ignore = {**roles.ignore, **dict.fromkeys(groups, "ids that repeat; time decides the folds")}
        return replace(roles, ignore=ignore)
    count = frame[first].nunique()
    why = f"{count:,} groups in {len(frame):,} rows: those of one {first} stay together in every split"
    return replace(roles, ignore=ignore, group=first, remarks={**roles.remarks, "group": why})


def _shown(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 30 else f"{text[:29]}…"


def names_of(table: Table) -> str:
    """All columns, for a message."""
    return listed(table.frame.columns, most=30)
