"""The roles that ``[data]`` gives the columns of a table: each must be there, and have one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec


def wrong_roles(source: str, frame: "pd.DataFrame", spec: "StudySpec", targets: list[str]) -> Iterator[DataError]:
    """Roles of columns that do not exist, and columns with two roles."""
    roles = [
        ("target", targets),
        ("ignore", spec.data.ignore),
        ("group", [] if spec.data.group is None else [spec.data.group]),
        ("time", [] if spec.data.time is None else [spec.data.time]),
        ("weight", [] if spec.data.weight is None else [spec.data.weight]),
        ("text", spec.data.text),
    ]
    for role, names in roles:
        for name in names:
            if name not in frame.columns:
                yield unknown_column(source, role, name, frame)
    yield from _two_roles(source, [(role, names) for role, names in roles if role not in ("target", "ignore")])
    for role, names in roles[1:]:
        for name in names:
            if name in targets:
                yield DataError(
                    f"{source}: column {quoted(name)} is both target and {role}",
                    code="two-roles",
                    hint="give it one role only",
                    source=source,
                    column=name,
                    roles=("target", role),
                )


def _two_roles(source: str, roles: Sequence[tuple[str, list[str]]]) -> Iterator[DataError]:
    """Columns that two keys of ``[data]`` claim, besides target and ignore."""
    for place, (role, names) in enumerate(roles):
        for other, others in roles[place + 1 :]:
            for name in [one for one in names if one in others]:
                yield DataError(
                    f"{source}: column {quoted(name)} is both {role} and {other}",
                    code="two-roles",
                    hint="give it one role only",
                    source=source,
                    column=name,
                    roles=(role, other),
                )


def unknown_column(source: str, role: str, name: str, frame: "pd.DataFrame") -> DataError:
    """The error for a column that a key names and the table does not have."""
    index = "; its index is not a column: reset_index() makes it one" if name in frame.index.names else ""
    return DataError(
        f"{source}: {role} names column {quoted(name)}, which does not exist{did_you_mean(name, frame.columns)}",
        code="unknown-column",
        hint=f"the table has {listed(frame.columns)}{index}",
        source=source,
        role=role,
        column=name,
        closest=closest(name, frame.columns),
    )
