"""Trials from the rows of Optuna's tables: what :mod:`~hpsearch.ledger.codec` reads of them, and nothing else.

Optuna makes an object of every row, those of the curves included, and keeps all of them: for 10,000 trials of 5 folds
that takes 15 seconds and more than a gigabyte. This reader needs a tenth of the time, and decodes a value when it is
asked for.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import TrialState
from sqlalchemy import Engine, Select, Table, select

from hpsearch.core.wire import Json
from hpsearch.ledger.optuna_tables import ATTRIBUTES, PARAMS, REMARKS, TRIALS


class DamagedTextError(Exception):
    """A text in the tables is no JSON; its cause says why."""


class Texts(Mapping[str, Json]):
    """JSON values that are decoded when they are looked up, and not kept."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def put(self, key: str, text: str) -> None:
        """Add a value, or replace it."""
        self._texts[key] = text

    def __getitem__(self, key: str) -> Json:
        try:
            value: Json = json.loads(self._texts[key])
        except (ValueError, RecursionError) as error:
            raise DamagedTextError from error
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, key: object) -> bool:
        return key in self._texts


@dataclass(slots=True)
class StoredTrial:
    """A trial as :class:`optuna.trial.FrozenTrial` has it, without its values, curve and distributions."""

    number: int
    state: TrialState
    datetime_start: datetime | None
    datetime_complete: datetime | None
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: Texts = field(default_factory=Texts)
    system_attrs: Texts = field(default_factory=Texts)


def read_trials(engine: Engine, study_id: int) -> list[StoredTrial]:
    """All trials of a study, in the order in which they were entered.

    Args:
        engine: Of a database that has the tables in :mod:`~hpsearch.ledger.optuna_tables`.
        study_id: Optuna's id of the study.
    """
    with engine.connect() as connection:
        # First of all: what belongs to a trial is entered together with it, or later.
        columns = (TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state)
        times = (TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
        query = select(*columns, *times).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.trial_id)
        trials = {row[0]: StoredTrial(*row[1:]) for row in connection.execute(query)}
        in_order = _of_study(study_id, PARAMS, "param_name", "param_value", "distribution_json").order_by(
            PARAMS.c.param_id
        )
        for trial_id, name, value, text in connection.execute(in_order):
            if trial_id in trials:
                trials[trial_id].params[name] = _distribution(text).to_external_repr(value)
        for table, whose in ((REMARKS, "user_attrs"), (ATTRIBUTES, "system_attrs")):
            for trial_id, key, text in connection.execute(_of_study(study_id, table, "key", "value_json")):
                if trial_id in trials:
                    getattr(trials[trial_id], whose).put(key, text)
    return list(trials.values())


def _of_study(study_id: int, table: Table, *names: str) -> "Select[Any]":
    """The rows that belong to a study's trials: the trial's id, and columns of these names."""
    joined = table.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
    columns = (table.c.trial_id, *(table.c[name] for name in names))
    return select(*columns).select_from(joined).where(TRIALS.c.study_id == study_id)


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
