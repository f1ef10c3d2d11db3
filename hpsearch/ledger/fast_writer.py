"""Trials as rows of Optuna's tables, one transaction per step of a trial.

Optuna's storage looks the trial up and commits for every single value: 30 transactions for a trial of 5 folds and 20
epochs. This writer needs 7.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, update

from hpsearch.core.space import Space
from hpsearch.core.trial import Trial
from hpsearch.core.wire import Json
from hpsearch.ledger.codec import OUTCOME
from hpsearch.ledger.optuna_tables import ATTRIBUTES, PARAMS, REMARKS, STEPS, STUDIES, TRIALS, VALUES
from hpsearch.ledger.trial_writer import (
    TrialEnd,
    TrialWriter,
    distribution_of,
    ended_already,
    first_attributes,
    number_taken,
    searched_values,
)


class FastWriter(TrialWriter):
    """Writes rows.

    Args:
        engine: The engine of a database that has the tables in :mod:`~hpsearch.ledger.optuna_tables`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, study_id: int, trial: Trial, space: Space) -> int:
        with self._engine.begin() as connection:
            # On SQLite, which has no such lock, the first insertion locks the whole file.
            connection.execute(select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
            row = {
                "number": trial.number,
                "study_id": study_id,
                "state": TrialState.RUNNING,
                "datetime_start": _utc(trial.started),
            }
            added = connection.execute(insert(TRIALS).values(row)).inserted_primary_key
            assert added is not None
            trial_id = int(added[0])
            _insert_params(connection, trial_id, trial, space)
            _insert_attrs(connection, trial_id, first_attributes(trial, space))
            others = connection.scalar(select(func.count()).where(TRIALS.c.study_id == study_id)) or 0
            if (found := int(others) - 1) != trial.number:
                raise number_taken(trial.number, found)
            self._added(connection, trial_id)
        return trial_id

    def _added(self, connection: Connection, trial_id: int) -> None:
        """A trial is there once this transaction is through."""

    @contextmanager
    def _changing(self, trial_id: int, *, ends: bool = False) -> Iterator[Connection]:
        """A transaction that changes a trial, or `ends` it."""
        del trial_id, ends  # of no interest where a study has one driver
        with self._engine.begin() as connection:
            yield connection

    def adopt(self, trial_id: int, trial: Trial, space: Space) -> None:
        waiting = TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.WAITING
        begun = {"state": TrialState.RUNNING, "datetime_start": _utc(trial.started)}
        with self._changing(trial_id) as connection:
            if not connection.execute(update(TRIALS).where(*waiting).values(begun)).rowcount:
                raise ended_already(trial.number)
            connection.execute(delete(PARAMS).where(PARAMS.c.trial_id == trial_id))
            _insert_params(connection, trial_id, trial, space)
            _insert_attrs(connection, trial_id, first_attributes(trial, space))

    def add(self, trial_id: int, attrs: Mapping[str, Json]) -> None:
        with self._changing(trial_id) as connection:
            _insert_attrs(connection, trial_id, attrs)

    def end(self, trial_id: int, end: TrialEnd) -> None:
        here, running = TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.RUNNING
        ended = update(TRIALS).where(here, running).values(state=end.state, datetime_complete=_utc(end.finished))
        with self._changing(trial_id, ends=True) as connection:
            if not connection.execute(ended).rowcount:
                raise ended_already(end.number)
            _insert_curve(connection, trial_id, end)
            if end.value is not None:
                stored, kind = _stored(end.value)
                row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
                connection.execute(insert(VALUES), row)
            # Whoever has enqueued the trial may have given it attributes of these names.
            theirs = REMARKS.c.trial_id == trial_id, REMARKS.c.key.in_(list(end.remarks))
            connection.execute(delete(REMARKS).where(*theirs))
            _insert_attrs(connection, trial_id, end.remarks, REMARKS)
            _insert_attrs(connection, trial_id, {**end.attributes, OUTCOME: end.outcome})


def _insert_params(connection: Connection, trial_id: int, trial: Trial, space: Space) -> None:
    rows = []
    for name, value in searched_values(trial, space).items():
        distribution = distribution_of(space[name])
        rows.append(
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": distribution_to_json(distribution),
            }
        )
    if rows:
        connection.execute(insert(PARAMS), rows)


def _insert_attrs(connection: Connection, trial_id: int, attrs: Mapping[str, Json], table: Table = ATTRIBUTES) -> None:
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
    connection.execute(insert(table), rows)


def _insert_curve(connection: Connection, trial_id: int, end: TrialEnd) -> None:
    rows = []
    for step, mean in enumerate(end.curve):
        stored, kind = _stored(mean)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    if rows:
        connection.execute(insert(STEPS), rows)


def _stored(value: float) -> tuple[float | None, str]:
    """A number as the tables have it, because not every database has NaN and infinities."""
    value = float(value)
    if math.isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def _utc(seconds: float) -> datetime:
    """Unix time as the tables have it: UTC, without a time zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
