"""A joined driver of a synthetic study, as a program: ``python -m tests.search.joined LEDGER FOLDER OPTIONS``.

In FOLDER, ``trained`` gets a line for each lane that is trained, by whichever driver; ``told.PID`` one for each note.
``epoch.PID`` is there while a driver is in an epoch, and writes nothing.
OPTIONS are JSON: ``pause`` (seconds that an epoch takes), ``lease`` (seconds), ``slots``, ``crew`` (drivers that begin
together), ``refit`` (seconds that the champion takes; without it, there is none), and changes of the study. ``refits``
gets a line for each refit that begins.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpsearch import tracking
from hpsearch.core.events import Event
from hpsearch.core.trial import Champion
from hpsearch.executors.base import P, T, WorkerCall
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.joining import JoinedClaims, taking_a_seat
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import tuner_settings
from hpsearch.search.session import Session
from hpsearch.search.signals import stop_on_signals
from hpsearch.search.suggesting import Suggester
from hpsearch.search.watchdog import Watchdog
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from hpsearch.training.protocol import WorkerProtocol


def in_an_epoch(mark: Path, pause: float) -> None:
    """Take so many seconds. While `mark` is there, the driver does nothing else."""
    mark.touch()
    time.sleep(pause)
    mark.unlink()


class Writing(SyntheticExecutor):
    """Writes down each lane that it has trained, with its process."""

    def __init__(self, path: Path, pause: float, slots: int) -> None:
        super().__init__(slots, on_epoch=lambda: in_an_epoch(path.with_name(f"epoch.{os.getpid()}"), pause))
        self._path, self._written = path, 0
        self.refit_s = 0.0

    def events(self, timeout_s: float) -> Sequence[Event]:
        events = super().events(timeout_s)
        with self._path.open("a") as file:
            for trial, fold in self.trained[self._written :]:
                file.write(f"{trial} {fold} {os.getpid()}\n")
        self._written = len(self.trained)
        return events

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert method is WorkerProtocol.refit
        (order,) = args
        best = order.trials[0]
        with self._path.with_name("refits").open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.refit_s)
        order.folder.mkdir(parents=True, exist_ok=True)
        path = order.folder / "champion.keras"
        path.write_text("model")
        (order.folder / "MLmodel").touch()
        made = str(order.folder)
        return Champion(best.trial, best.config, best.epochs, {}, {}, str(path), "sha", 1, 5, 0.1, mlflow_model=made)


class Noting(Observer):
    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, text: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{text}\n")


def drive_joined(
    uri: str,
    folder: Path,
    *,
    pause: float,
    lease: float,
    slots: int = 1,
    crew: int = 1,
    refit: float | None = None,
    mlflow: str = "",
    **changes: Any,
) -> StudyRecord:
    """Search the study with others; returns it as the ledger then has it."""
    spec = make_spec(uri, uri=mlflow or "sqlite:///mlruns/mlflow.db", **changes)
    observer = Noting(folder / f"told.{os.getpid()}")
    with taking_a_seat(uri, spec.name, observer) as seat, tracking.environment(spec):
        ledger = Ledger(uri)
        if not ledger.has(spec.name):
            ledger.create(make_record(spec))
        record = ledger.load(spec.name)
        claims = JoinedClaims(record, ledger, seat, observer, seconds=lease)
        ledger.set_state(spec.name, StudyState.RUNNING)
        seat.pass_on()
        while seat.others < crew - 1:
            time.sleep(0.05)
        executor = Writing(folder / "trained", pause, slots)
        if refit is not None:
            executor.refit_s = refit
            try:
                return Session(record, ledger, executor, observer, claims).run()
            finally:
                claims.close()
        suggester = Suggester(spec.search.tuner, spec.search.algorithm, tuner_settings(spec, record.space))
        with stop_on_signals() as stop:
            try:
                Driver(
                    record,
                    ledger,
                    executor=executor,
                    suggester=suggester,
                    monitor=PruningMonitor(record),
                    observer=observer,
                    interrupted=stop.asked.is_set,
                    watchdog=Watchdog(spec.resources),
                    claims=claims,
                ).search()
            finally:
                suggester.close()
                claims.close()
        return ledger.load(spec.name)


if __name__ == "__main__":
    drive_joined(sys.argv[1], Path(sys.argv[2]), **json.loads(sys.argv[3]))
