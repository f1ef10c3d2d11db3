"""Drives a synthetic study in this process, from its start or from wherever the ledger says it was left.

As a program (``python -m tests.search.drive LEDGER TRAINED TUNER ALGORITHM TRIALS KILL_AT WINDOW``) it kills itself
with SIGKILL at the given epoch event, and leaves what it has trained in the file TRAINED, so that tests can resume
what a dead driver left behind.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Config
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.first_trials import first_configs
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import tuner_settings
from hpsearch.search.suggesting import Ask, Suggester
from hpsearch.search.transfer import other_study, take
from hpsearch.search.watchdog import Watchdog
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec


def drive(
    ledger_uri: str,
    executor: SyntheticExecutor,
    *,
    schedule: Schedule | None = None,
    trials_per_bundle: int = 1,
    interrupted: Callable[[], bool] = lambda: False,
    observer: Observer | None = None,
    ask: Ask | None = None,
    first: Sequence[Config] = (),
    watchdog: Watchdog | None = None,
    **changes: Any,
) -> StudyRecord:
    """Search to the end; returns the study as the ledger then has it."""
    ledger = Ledger(ledger_uri, create=True)
    spec = make_spec(ledger_uri, **changes)
    if not ledger.has(spec.name):
        record = make_record(spec, schedule=schedule, trials_per_bundle=trials_per_bundle)
        if (other := other_study(spec)) is not None:
            record = replace(record, facts=replace(record.facts, taken=take(other, spec, record.space)))
        ledger.create(record)
    record = ledger.load(spec.name)
    settings = replace(tuner_settings(spec, record.space, record.facts.guide), startup_trials=4, grid_points=3)
    first = first or first_configs(spec, record.facts)
    suggester = Suggester(spec.search.tuner, spec.search.algorithm, settings, ask, first=first)
    try:
        Driver(
            record,
            ledger,
            executor=executor,
            suggester=suggester,
            monitor=PruningMonitor(record),
            observer=observer or Observer(),
            interrupted=interrupted,
            watchdog=watchdog or Watchdog(spec.resources, trains_inline=not executor.ends_workers),
        ).search()
    finally:
        suggester.close()
    return ledger.load(spec.name)


def main(ledger_uri: str, trained: str, tuner: str, algorithm: str, trials: int, kill_at: int, slots: int) -> None:
    """Drive until the `kill_at`-th round of epochs, then die as by ``kill -9``."""
    left = [kill_at]

    def countdown() -> None:
        left[0] -= 1
        if left[0] < 0:
            Path(trained).write_text(json.dumps(executor.trained))
            os.kill(os.getpid(), signal.SIGKILL)

    executor = SyntheticExecutor(slots=slots, on_epoch=countdown)
    drive(
        ledger_uri, executor, schedule=Schedule(startup=4, batch=slots), tuner=tuner, algorithm=algorithm, trials=trials
    )


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(int, sys.argv[5:]))
