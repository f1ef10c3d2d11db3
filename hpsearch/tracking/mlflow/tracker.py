"""Keeps MLflow up to date while a study is searched: one background thread, out of the driver's way.

The driver's thread only leaves each trial's latest value in a table; the background thread compares with what MLflow
has and writes the difference. Nothing that MLflow does reaches the driver: an outage is told once, and caught up later.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpsearch.core.trial import FoldResult, Trial
from hpsearch.errors import HpsearchError, TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.search.observer import Observer
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow.address import resolve
from hpsearch.tracking.mlflow.client import explain, gone, polite, refused
from hpsearch.tracking.mlflow.projection import Projection

GATHER_SECONDS = 0.2
"""Waited before writing: the folds of a bundle often end together, and go into one call."""

LONGEST_WAIT_SECONDS = 60.0
"""Between two tries to reach MLflow."""


@dataclass(frozen=True, slots=True)
class TrackingState:
    """Where the projection stands.

    Attributes:
        caught_up: MLflow has everything.
        waiting: How many trials it may lack.
        problem: Why, in plain words; empty when caught up.
        url: The experiment's web page; empty where no server is known (`hpsearch ui` starts one).
        parent_id: MLflow's id of the study's run; empty before MLflow has been reached.
    """

    caught_up: bool
    waiting: int
    problem: str
    url: str
    parent_id: str


class Tracker(Observer):
    """Projects a study into MLflow as it is searched. Never raises.

    Args:
        tracking: Where MLflow is; relative paths start from the working directory.
        patience_s: How long :meth:`close` waits for the last writes, seconds. What is left is for :func:`sync`.
    """

    def __init__(self, tracking: TrackingSection, *, patience_s: float = 60.0) -> None:
        self._address = resolve(tracking)
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._record: StudyRecord | None = None
        self._trials: dict[int, Trial] = {}
        self._dirty: set[int] = set()
        self._files: dict[tuple[Path, str | None], None] = {}
        self._closing = False
        self._abandoned = False
        self._idle = False
        self._notes: list[str] = []
        self._problem: TrackingError | None = None
        self._wait_s = 1.0
        self._refused: dict[int, TrackingError] = {}
        self._questioned: set[tuple[int | None, str]] = set()
        self._at: int | None = None
        self._projection: Projection | None = None
        self._described = False
        self._place = ("", "")
        self._thread: threading.Thread | None = None

    # The driver's side: a lock and a table

    def open(self, record: StudyRecord) -> None:
        """Begin, or go on with, a study; trials that MLflow lacks are caught up."""
        with self._changed:
            self._record = record
            self._trials = {trial.number: trial for trial in record.trials}
            self._touch(self._trials)
        # A daemon: a second Ctrl-C must not wait for MLflow.
        self._thread = threading.Thread(target=self._serve, name="hpsearch-tracking", daemon=True)
        self._thread.start()

    def trial_started(self, trial: Trial) -> None:
        """Show the trial as running."""
        self._put(trial)

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        """Add a fold's curves to a running trial."""
        before = self._trials.get(trial.number, trial)
        folds = {one.fold: one for one in (*before.folds, *trial.folds, result)}
        self._put(replace(trial, folds=tuple(folds[fold] for fold in sorted(folds))))

    def trial_finished(self, trial: Trial) -> None:
        """Write the trial's mean curves, final metrics and status."""
        self._put(trial)

    def refit_started(self, trial: Trial) -> None:
        """Wait until the study's run exists: a worker logs the champion to it, and two must not create it at once."""
        with self._changed:
            self._changed.wait_for(lambda: self._place[1] or self._problem, self._patience_s)

    def add_file(self, path: Path, folder: str | None = None) -> None:
        """Put a file beside the parent run, such as the report; it must stay where it is until it is written."""
        with self._changed:
            self._files[path.resolve(), folder] = None
            self._touch(())

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told so far is in MLflow; False if that takes longer or MLflow is out of reach."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, timeout_s)

    def close(self, record: StudyRecord) -> None:
        """Write the study's end and wait for it, as long as the patience lasts; :attr:`state` says how it went."""
        if self._thread is None:
            return
        with self._changed:
            self._record = record
            self._trials.update((trial.number, trial) for trial in record.trials)
            self._closing = True
            self._touch(self._trials)
        self._thread.join(self._patience_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
            if self._thread.is_alive() and self._problem is None:
                self._problem = TrackingError(f"MLflow was still writing after {self._patience_s:g} s")

    @property
    def state(self) -> TrackingState:
        """Where the projection stands."""
        with self._changed:
            problem = self._problem or next(iter(self._refused.values()), None)
            if problem is None and not self._idle:
                problem = TrackingError("MLflow has not been written yet")
            waiting = len(self._dirty | self._refused.keys())
            return TrackingState(problem is None, waiting, problem.what if problem else "", *self._place)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, oldest first: outages, refusals, things restored."""
        with self._changed:
            refusals = tuple(f"trial {number}: {error.what}" for number, error in self._refused.items())
            return (*self._notes, *refusals)

    def _put(self, trial: Trial) -> None:
        with self._changed:
            self._trials[trial.number] = trial
            self._touch((trial.number,))

    def _touch(self, numbers: Sequence[int] | dict[int, Trial]) -> None:
        self._dirty.update(numbers)
        self._idle = False
        self._changed.notify_all()

    # The background thread

    def _serve(self) -> None:
        with polite():
            while self._wait_for_work():
                try:
                    self._write()
                except Exception as error:  # whatever MLflow does, the study goes on
                    if (refused(error) or gone(error)) and self._question(error) not in self._questioned:
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
            record, closing = self._record, self._closing
            files = list(self._files)
        assert record is not None
        self._at = None
        if self._projection is None:
            self._projection = Projection(record, self._address)
            with self._changed:
                self._dirty |= self._trials.keys()
                self._place = (_url(self._projection), self._projection.parent_id)
                self._notes += self._projection.notes
                self._changed.notify_all()
            self._described = False
        self._write_trials(self._projection, "RUNNING" if record.state is StudyState.RUNNING else "KILLED")
        for path, folder in files:
            if path.is_file():
                self._projection.write_file(path, folder)
            with self._changed:
                del self._files[path, folder]
                self._notes += [] if path.is_file() else [f"{path} is gone; it was not logged to MLflow"]
        # Last, because it needs the artifact store, which may fail on its own.
        if not self._described or (closing and not self._dirty):
            self._projection.write_study(record)
            self._described = True
        with self._changed:
            self._idle = not self._dirty and not self._files and closing == self._closing
            self._changed.notify_all()

    def _write_trials(self, projection: Projection, open_status: str) -> None:
        with self._changed:
            trials = [self._trials[number] for number in sorted(self._dirty)]
        for trial in trials:
            if self._abandoned:
                return
            self._at = trial.number
            try:
                projection.write_trial(trial, open_status=open_status)
            except Exception as error:
                if not refused(error) or self._question(error) not in self._questioned:
                    raise
                self._refused[trial.number] = explain(error, self._address)
            else:
                self._refused.pop(trial.number, None)
            with self._changed:
                if self._trials[trial.number] is trial:
                    self._dirty.discard(trial.number)
        self._at = None
        projection.write_trajectory(trials)

    def _question(self, error: Exception) -> tuple[int | None, str]:
        """What was refused (a trial, or the study) and why; the text would not do, for it may name a fresh run's id."""
        return self._at, str(getattr(error, "error_code", ""))

    def _lose(self, error: Exception) -> None:
        told = error if isinstance(error, HpsearchError) else explain(error, self._address)
        with self._changed:
            if self._problem is None:
                self._notes.append(f"{told.what}; the study goes on, and MLflow is caught up later")
            self._problem = told if isinstance(told, TrackingError) else explain(error, self._address)
            self._projection = None
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_SECONDS)
            self._changed.notify_all()

    def _recover(self) -> None:
        with self._changed:
            if self._problem is not None:
                self._notes.append("MLflow is back and caught up")
            self._problem, self._wait_s = None, 1.0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What :func:`sync` did.

    Attributes:
        written: How many trials were missing or stale in MLflow.
        notes: What else the user should know.
        url: The experiment's web page; empty where no server is known.
        parent_id: MLflow's id of the study's run.
    """

    written: int
    notes: tuple[str, ...]
    url: str
    parent_id: str


def sync(record: StudyRecord) -> SyncReport:
    """Bring MLflow to what the ledger has: nothing lost, nothing doubled. Runs deleted in MLflow's pages come back.

    Raises:
        TrackingError: MLflow cannot be reached or refuses; names its address and what to do.
    """
    address = resolve(record.spec.tracking)
    with polite():
        try:
            projection = Projection(record, address, restore=True)
            open_status = "RUNNING" if record.state is StudyState.RUNNING else "KILLED"
            written = sum(projection.write_trial(trial, open_status=open_status) for trial in record.trials)
            projection.write_trajectory(record.trials)
            projection.write_study(record)
        except Exception as error:
            raise explain(error, address) from error
    return SyncReport(written, tuple(projection.notes), _url(projection), projection.parent_id)


def _url(projection: Projection) -> str:
    return projection.address.experiment_url(projection.experiment_id)
