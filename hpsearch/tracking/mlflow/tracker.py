"""Keeps MLflow up to date while a study is searched: one background thread, out of the driver's way.

The driver's thread only leaves each trial's latest value in a table; the background thread compares with what MLflow
has and writes the difference. Nothing that MLflow does reaches the driver: an outage is told once, and caught up later.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from hpsearch.core.trial import Trial
from hpsearch.errors import HpsearchError, TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import TrackingSection
from hpsearch.tracking.base import Settle, Tracker, TrackingState
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.catching_up import catch_up
from hpsearch.tracking.mlflow.champion import champion_uri, register_champion
from hpsearch.tracking.mlflow.client import as_tracking_error, error_code, is_gone, is_refusal, quiet
from hpsearch.tracking.mlflow.projection import Projection
from hpsearch.tracking.mlflow.system_metrics import SystemMetrics
from hpsearch.tracking.mlflow.turns import Turns

GATHER_SECONDS = 0.2
"""Waited before writing: the folds of a bundle often end together, and go into one call."""

OTHERS_SECONDS = 10.0
"""For which a study that has ended still writes what dead drivers of others have left."""

LONGEST_WAIT_SECONDS = 60.0
"""Between two tries to reach MLflow."""

_CHAMPION = "champion"

T = TypeVar("T")

_Part = int | str | None
"""What is being written: a trial's number, the champion, or the study."""


class MlflowTracker(Tracker):
    """Shows a study in MLflow.

    Args:
        section: Where MLflow is; relative paths start from the working directory.
        patience_s: How long :meth:`close` waits for the last writes, seconds. What is left is for ``hpsearch sync``.
        turn: Given if several drivers show the study, each its own trials: what must not be made twice is made in such
            a block. The driver that ends the study writes what is missing of all. MLflow's system metrics of several
            machines would be one curve, so there are none.

    Raises:
        TrackingError: An environment variable that the section names is not set.
    """

    def __init__(
        self,
        section: TrackingSection,
        *,
        patience_s: float = 60.0,
        turn: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._address = resolve_address(section)
        self._patience_s, self._turn = patience_s, turn
        self._metrics = SystemMetrics(self._address.uri.reveal()) if section.system_metrics and turn is None else None
        self._thread: threading.Thread | None = None
        # Shared by both threads, under the condition's lock.
        self._changed = threading.Condition()
        self._turns = Turns()
        self._record: StudyRecord | None = None
        self._trials: dict[int, Trial] = {}
        self._dirty: set[int] = set()
        self._crowned: StudyRecord | None = None
        self._model_uri = ""
        self._files: dict[tuple[Path, str | None], None] = {}
        self._others: list[Settle] = []
        self._closing = self._leaving = False
        self._abandoned = False
        self._last_moment = math.inf
        self._idle = False
        self._notes: list[str] = []
        self._problem: TrackingError | None = None
        self._refused: dict[int | str, TrackingError] = {}
        self._place = ("", "")
        # The background thread's own.
        self._wait_s = 1.0
        self._questioned: set[tuple[_Part, str]] = set()
        self._at: _Part = None
        self._projection: Projection | None = None
        self._described = self._saw_all = False

    # The driver's side: a lock and a table

    def open(self, record: StudyRecord) -> None:
        with self._changed:
            self._record = record
            self._trials = {trial.number: trial for trial in record.trials} if self._turn is None else {}
            self._touch(self._trials)
        # A daemon: a second Ctrl-C must not wait for MLflow.
        self._thread = threading.Thread(target=self._serve, name="hpsearch-tracking", daemon=True)
        self._thread.start()

    def settle(self, other: Settle) -> None:
        with self._changed:
            self._others.append(other)
            self._touch(())

    def trial_changed(self, trial: Trial) -> None:
        with self._changed:
            self._trials[trial.number] = trial
            self._touch((trial.number,))

    def driver_waited(self, seconds: float) -> None:
        self._turns.leave(seconds)

    def champion_ready(self, record: StudyRecord) -> str:
        with self._changed:
            self._crowned = record
            self._touch(())
            return champion_uri(record.name) if self._problem is None else ""

    def add_file(self, path: Path, folder: str | None = None) -> None:
        with self._changed:
            self._files[path.resolve(), folder] = None
            self._touch(())

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until all that was told so far is in MLflow; False if that takes longer or MLflow is out of reach.

        Args:
            timeout_s: How long to wait, seconds; None waits as :meth:`close` does, and not for MLflow to come back.
        """
        with self._turns.hurry(), self._changed:
            self._changed.wait_for(
                lambda: self._idle or (timeout_s is None and self._problem is not None),
                self._patience_s if timeout_s is None else timeout_s,
            )
            return self._idle

    def leave(self) -> TrackingState:
        return self._end(None)

    def close(self, record: StudyRecord) -> TrackingState:
        return self._end(record)

    def _end(self, record: StudyRecord | None) -> TrackingState:
        """End the thread once everything is written; without a record, the study itself goes on."""
        if self._thread is None:
            return self.state
        with self._changed:
            if record is not None:
                self._record = record
                self._trials.update((trial.number, trial) for trial in record.trials)
                self._touch(self._trials)
            self._closing, self._leaving = True, record is None
            self._last_moment = time.monotonic() + OTHERS_SECONDS
            self._touch(())
        with self._turns.hurry():
            self._thread.join(self._patience_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
            if self._thread.is_alive() and self._problem is None:
                self._problem = TrackingError(
                    f"MLflow was still writing after {self._patience_s:g} s",
                    code="still-writing",
                    seconds=self._patience_s,
                )
        return self.state

    @property
    def state(self) -> TrackingState:
        with self._changed:
            problem = self._problem or next(iter(self._refused.values()), None)
            if problem is None and not self._idle:
                problem = TrackingError("MLflow has not been written yet", code="not-written-yet")
            return TrackingState(
                caught_up=problem is None,
                waiting=len(self._dirty | (self._refused.keys() - {_CHAMPION})),
                problem=problem.what if problem else "",
                url=self._place[0],
                run_id=self._place[1],
                model_uri=self._model_uri,
                notes=(*self._notes, *(_refusal_note(part, error) for part, error in self._refused.items())),
            )

    def _touch(self, numbers: Iterable[int]) -> None:
        self._dirty.update(numbers)
        self._idle = False
        self._changed.notify_all()

    # The background thread

    def _serve(self) -> None:
        with quiet():
            try:
                self._serve_until_closed()
            finally:
                if self._metrics is not None:
                    self._metrics.stop()

    def _serve_until_closed(self) -> None:
        while self._wait_for_work():
            try:
                self._write()
            except Exception as error:  # whatever MLflow does, the study goes on
                if (is_refusal(error) or is_gone(error)) and self._question(error) not in self._questioned:
                    # Something was deleted behind our back: look again, and believe the second refusal.
                    self._questioned.add(self._question(error))
                    self._projection = None
                else:
                    self._lose(error)
            else:
                self._recover()
            if self._closing and (self._idle or self._problem):
                return

    def _wait_for_work(self) -> bool:
        with self._changed:
            if self._problem is not None:
                self._changed.wait_for(lambda: self._closing, self._wait_s)
            self._changed.wait_for(lambda: not self._idle or self._closing)
            self._changed.wait_for(lambda: self._closing, GATHER_SECONDS)
            return not self._abandoned

    def _write(self) -> None:
        with self._changed:
            record = self._record
        assert record is not None
        self._at = None
        projection = self._connected(record)
        # The state and the trials of one moment: a trial that is written as running must still be due once it is not.
        with self._changed:
            assert self._record is not None
            record, closing, leaving = self._record, self._closing, self._leaving
            due = [self._trials[number] for number in sorted(self._dirty)]
        self._write_trials(projection, record, due)
        self._write_champion(projection)
        self._write_files(projection)
        # Last, because it needs the artifact store, which may fail on its own.
        if not self._described or (closing and not leaving and not self._dirty):
            projection.write_study(self._with_model_uri(record))
            self._described = True
        self._settle_others()
        with self._changed:
            waiting = self._dirty or self._files or self._crowned
            self._idle = not waiting and closing == self._closing
            self._changed.notify_all()

    def _connected(self, record: StudyRecord) -> Projection:
        if self._turn is not None and self._closing and not self._leaving and not self._saw_all:
            self._saw_all, self._projection = True, None  # to know the runs that others have made since
        if self._projection is None:
            projection = Projection(record, self._address, turn=self._turn)
            with self._changed:
                self._dirty |= self._trials.keys()
                self._place = (projection.url, projection.parent_id)
                self._notes += [note for note in projection.notes if note not in self._notes]
                self._changed.notify_all()
            self._projection, self._described = projection, False
            if self._metrics is not None and record.state is StudyState.RUNNING:
                self._metrics.go_on(projection.parent_id)
        return self._projection

    def _write_trials(self, projection: Projection, record: StudyRecord, trials: Sequence[Trial]) -> None:
        status = "RUNNING" if record.state is StudyState.RUNNING else "KILLED"
        for trial in trials:
            if self._abandoned:
                return
            with self._turns.take():
                self._attempt(trial.number, partial(projection.write_trial, trial, open_status=status))
            with self._changed:
                if self._trials[trial.number] is trial and self._record is record:
                    self._dirty.discard(trial.number)
        projection.write_trajectory(trials)

    def _settle_others(self) -> None:
        """End the runs of studies whose drivers have died. What is not done here is left to the next start."""
        while self._others and not self._has_to_end():
            with suppress(Exception):  # MLflow raises its own errors, SQLAlchemy's and the artifact store's
                self._others[0](lambda record: catch_up(record, self._address, self._has_to_end))
            with self._changed:
                del self._others[0]

    def _has_to_end(self) -> bool:
        """Whether this study's end would have to wait for what is written of others."""
        return self._abandoned or time.monotonic() > self._last_moment

    def _write_champion(self, projection: Projection) -> None:
        with self._changed:
            record = self._crowned
            trials = tuple(self._trials[number] for number in sorted(self._trials))
        if record is None or self._abandoned:
            return
        uri = self._attempt(_CHAMPION, partial(register_champion, projection, replace(record, trials=trials)))
        with self._changed:
            self._model_uri = uri or ""
            if self._crowned is record:
                self._crowned = None

    def _write_files(self, projection: Projection) -> None:
        with self._changed:
            files = list(self._files)
        for path, folder in files:
            there = path.is_file()
            if there:
                projection.write_file(path, folder)
            with self._changed:
                del self._files[path, folder]
                self._notes += [] if there else [f"{path} is gone; it was not logged to MLflow"]

    def _with_model_uri(self, record: StudyRecord) -> StudyRecord:
        """The study with its champion's address, which the driver learns last."""
        if record.champion is None or not self._model_uri:
            return record
        return replace(record, champion=replace(record.champion, model_uri=self._model_uri))

    def _attempt(self, part: int | str, write: Callable[[], T]) -> T | None:
        """Write one part, unless MLflow refuses it a second time, which must not hold up the others."""
        self._at = part
        try:
            result = write()
        except Exception as error:  # MLflow raises its own errors, SQLAlchemy's and the artifact store's
            final = is_refusal(error) and self._question(error) in self._questioned
            if not (final or isinstance(error, TrackingError)):
                raise
            with self._changed:
                self._refused[part] = as_tracking_error(error, self._address)
            result = None
        else:
            with self._changed:
                self._refused.pop(part, None)
        self._at = None
        return result

    def _question(self, error: Exception) -> tuple[_Part, str]:
        """What was refused and why; the text would not do, for it may name a fresh run's id."""
        return self._at, error_code(error)

    def _lose(self, error: Exception) -> None:
        told = error if isinstance(error, HpsearchError) else as_tracking_error(error, self._address)
        with self._changed:
            if self._problem is None:
                self._notes.append(f"{told.what}; the study goes on, and MLflow is caught up later")
            self._problem = told if isinstance(told, TrackingError) else as_tracking_error(error, self._address)
            self._projection = None
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_SECONDS)
            self._changed.notify_all()

    def _recover(self) -> None:
        with self._changed:
            if self._problem is not None:
                self._notes.append("MLflow is back and caught up")
            self._problem, self._wait_s = None, 1.0


def _refusal_note(part: int | str, error: TrackingError) -> str:
    return f"{part if isinstance(part, str) else f'trial {part}'}: {error.what}"
