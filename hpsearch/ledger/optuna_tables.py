"""Optuna's tables as hpsearch was tested with them: those of Optuna 5.0.0.

hpsearch writes into Optuna's tables only if they are exactly these.
"""

from typing import TYPE_CHECKING

from optuna.trial import TrialState
from sqlalchemy import Column, DateTime, Enum, Float, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeEngine

if TYPE_CHECKING:
    import optuna

DATABASE_VERSION = "v3.2.0.a"
"""Revision of the schema, as the database records it."""

_METADATA = MetaData()

STUDIES = Table(
    "studies",
    _METADATA,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", String(512)),
)

TRIALS = Table(
    "trials",
    _METADATA,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
    Column("state", Enum(TrialState)),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)

PARAMS = Table(
    "trial_params",
    _METADATA,
    Column("param_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("param_name", String(512)),
    Column("param_value", Float(precision=53)),
    Column("distribution_json", Text()),
)


def _attributes(whose: str) -> Table:
    return Table(
        f"trial_{whose}_attributes",
        _METADATA,
        Column(f"trial_{whose}_attribute_id", Integer, primary_key=True),
        Column("trial_id", Integer),
        Column("key", String(512)),
        Column("value_json", Text()),
    )


ATTRIBUTES, REMARKS = _attributes("system"), _attributes("user")

STEPS = Table(
    "trial_intermediate_values",
    _METADATA,
    Column("trial_intermediate_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("step", Integer),
    Column("intermediate_value", Float(precision=53)),
    Column("intermediate_value_type", Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")),
)

VALUES = Table(
    "trial_values",
    _METADATA,
    Column("trial_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("objective", Integer),
    Column("value", Float(precision=53)),
    Column("value_type", Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")),
)


def find_difference(storage: "optuna.storages.RDBStorage") -> str | None:
    """The first thing about Optuna's tables that is not as tested; None if there is none.

    Args:
        storage: The open database.
    """
    found = storage.get_current_version()
    if found != DATABASE_VERSION:
        return f"the database has Optuna's schema {found}, not {DATABASE_VERSION}"
    try:
        from optuna.storages._rdb.models import BaseModel

        theirs = BaseModel.metadata.tables
    except (ImportError, AttributeError):
        return "Optuna's module of tables is not where it was"
    for ours in _METADATA.sorted_tables:
        if ours.name not in theirs:
            return f"Optuna has no table {ours.name}"
        expected, actual = _columns(ours), _columns(theirs[ours.name])
        if different := sorted(dict(expected.items() ^ actual.items())):
            return f"the table {ours.name} differs in {', '.join(different)}"
    return None


def _columns(table: Table) -> dict[str, str]:
    return {column.name: _kind(column.type) for column in table.columns}


def _kind(type_: TypeEngine[object]) -> str:
    """A column's type in words, the values of an enumeration included."""
    return f"{type_.name}: {' '.join(sorted(type_.enums))}" if isinstance(type_, Enum) else str(type_)
