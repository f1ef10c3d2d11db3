"""A trial's rows in Optuna's tables, many in one transaction.

Optuna's storage commits every single value on its own, after it has looked the trial up anew: 30 transactions for a
trial of 5 folds and 20 epochs, where 7 do. These functions write what it would, for the caller to commit.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, func, insert, select, update

_TABLES = models.BaseModel.metadata.tables
_STUDIES, _TRIALS, _PARAMS = _TABLES["studies"], _TABLES["trials"], _TABLES["trial_params"]
_ATTRS, _STEPS, _VALUES = (
    _TABLES["trial_user_attributes"],
    _TABLES["trial_intermediate_values"],
    _TABLES["trial_values"],
)


def insert_trial(
    connection: Connection,
    study_id: int,
    number: int,
    params: Mapping[str, tuple[Any, BaseDistribution]],
    *,
    started: float,
) -> int:
    """Enter a running trial; returns its id.

    Args:
        connection: In a transaction, which then has the study to itself.
        study_id: Optuna's id of the study.
        number: The trial's number, from 0; whether it is free is for the caller to check (:func:`count_trials`).
        params: Value and distribution of each hyperparameter.
        started: Unix time.
    """
    # SQLite knows no such lock: there, the first insertion locks the whole file.
    connection.execute(select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id).with_for_update())
    row = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": _utc(started)}
    trial_id = int(connection.execute(insert(_TRIALS).values(row)).inserted_primary_key[0])  # type: ignore[index]
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in params.items()
    ]
    if rows:
        connection.execute(insert(_PARAMS), rows)
    return trial_id


def count_trials(connection: Connection, study_id: int) -> int:
    """How many trials a study has, of whatever state."""
    return int(connection.scalar(select(func.count()).where(_TRIALS.c.study_id == study_id)) or 0)


def insert_attrs(connection: Connection, trial_id: int, attrs: Mapping[str, object]) -> None:
    """Enter user attributes that the trial does not have yet."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
    connection.execute(insert(_ATTRS), rows)


def end_trial(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    *,
    value: float | None,
    curve: Sequence[float],
    finished: float,
) -> bool:
    """Set a running trial's intermediate values, value and state; returns False where it has ended already.

    Args:
        connection: In a transaction.
        trial_id: Optuna's id of the trial.
        state: Its state from now on.
        value: Its score; None for a trial without one.
        curve: Intermediate values from step 0, may hold NaN and infinities.
        finished: Unix time.
    """
    here, running = _TRIALS.c.trial_id == trial_id, _TRIALS.c.state == TrialState.RUNNING
    ended = update(_TRIALS).where(here, running).values(state=state, datetime_complete=_utc(finished))
    if not connection.execute(ended).rowcount:
        return False
    rows = []
    for step, mean in enumerate(curve):
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(float(mean))
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    if rows:
        connection.execute(insert(_STEPS), rows)
    if value is not None:
        stored, type_ = models.TrialValueModel.value_to_stored_repr(float(value))
        connection.execute(
            insert(_VALUES), {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": type_}
        )
    return True


def _utc(seconds: float) -> datetime:
    """Unix time as the tables have it: UTC, without saying so."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
