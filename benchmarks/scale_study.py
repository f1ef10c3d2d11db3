"""Synthetic studies for :mod:`benchmarks.scale`: a real driver, ledger and tracker; only the training is pretended."""

import heapq
import itertools
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from hpsearch.core.events import Bundle, BundleFinished, BundleStarted, EpochFinished, Event, Lane, LaneFinished
from hpsearch.core.space import Config
from hpsearch.core.trial import Curves, FoldResult, Trial
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.best_predictions import BestPredictions
from hpsearch.search.driver import Driver
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer, Observers, TrackerObserver
from hpsearch.search.preparation import make_suggester, new_schedule, tuner_settings
from hpsearch.search.progress import Progress
from hpsearch.search.watchdog import Watchdog
from hpsearch.testing.synthetic import curve, make_record, make_spec
from hpsearch.tracking.mlflow.tracker import MlflowTracker

CATCHING_UP_S = 3600.0
"""For which a tracker may write after the last trial."""


class PretendedExecutor(Executor):
    """Trains without a CPU: a bundle takes `seconds` of real time, its epochs evenly spread over it.

    Args:
        slots: Bundles at a time.
        seconds: What a bundle takes. With 0, all its events are there at once.
    """

    def __init__(self, slots: int, seconds: float) -> None:
        self._slots, self._seconds = slots, seconds
        self._due: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._running: dict[int, float] = {}
        self.spells: list[tuple[float, float]] = []

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def idle(self) -> int:
        return self._slots - len(self._running)

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        raise AssertionError(f"no call is expected here, but got {method.__name__}")

    def submit(self, bundle: Bundle) -> None:
        begun = time.monotonic()
        self._running[bundle.id] = begun
        self.spells.append((begun, begun + self._seconds))
        events: list[Event] = [BundleStarted(bundle.id)]
        for lane in bundle.lanes:
            events += _lane_events(lane)
        for place, event in enumerate(events):
            self._add(begun + self._seconds * place / len(events), event)
        self._add(begun + self._seconds, BundleFinished(bundle.id))

    def _add(self, due: float, event: Event) -> None:
        heapq.heappush(self._due, (due, next(self._order), event))

    def stop(self, trials: frozenset[int]) -> None:
        raise AssertionError("no rule stops trials here")

    def events(self, timeout_s: float) -> Sequence[Event]:
        if not self._due:
            return ()
        if (wait := min(self._due[0][0] - time.monotonic(), timeout_s)) > 0:
            time.sleep(wait)
        found: list[Event] = []
        while self._due and self._due[0][0] <= time.monotonic():
            found.append(heapq.heappop(self._due)[2])
            if isinstance(event := found[-1], BundleFinished):
                del self._running[event.id]
        return found

    def close(self) -> None:
        pass

    def busy_share(self) -> float:
        """Share of the slots' time that was trained in, from the first bundle until the last one was handed out."""
        if not self.spells:
            return 1.0
        first, last = self.spells[0][0], self.spells[-1][0]
        trained = sum(min(end, last) - begun for begun, end in self.spells)
        return trained / (self._slots * (last - first)) if last > first else 1.0


def _lane_events(lane: Lane) -> list[Event]:
    epochs = int(lane.config["epochs"])
    curves = _curves(tuple(lane.config.items()), lane.fold, epochs)
    told: list[Event] = [
        EpochFinished(lane.trial, lane.fold, epoch, {name: values[epoch] for name, values in curves.items()})
        for epoch in range(epochs)
    ]
    result = FoldResult(lane.fold, curves, started=time.time(), seconds=0.5)
    return [*told, LaneFinished(lane.trial, result, parameters=100 * int(lane.config["units"]))]


@lru_cache(maxsize=1)
def _curves(config: tuple[tuple[str, object], ...], fold: int, epochs: int) -> Curves:
    values: Config = dict(config)  # type: ignore[arg-type]
    return curve(values, fold, epochs)


@dataclass(frozen=True)
class Reading:
    """Finished trials, wall seconds, CPU seconds of all threads, resident MB."""

    trials: int
    wall: float
    cpu: float
    memory: float


class Gauge(Observer):
    """Takes a reading every so many trials."""

    def __init__(self, every: int, begun: int) -> None:
        self._every, self.ended = every, begun
        self.readings = [read(begun)]

    def trial_finished(self, trial: Trial) -> None:
        self.ended += 1
        if self.ended % self._every == 0:
            self.readings.append(read(self.ended))


def read(trials: int) -> Reading:
    """A reading now."""
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Reading(trials, time.monotonic(), time.process_time(), memory)


def peak_mb() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@dataclass(frozen=True)
class Case:
    """One study to drive.

    Attributes:
        algorithm: ``"random"``, ``"tpe"`` or ``"bayesian"``.
        trials: How many it has in the end.
        folds: Of each trial.
        epochs: Of each fold.
        slots: Bundles at a time.
        seconds: Real time that a bundle takes.
        tracking: Whether MLflow is written (SQLite).
    """

    algorithm: str = "random"
    trials: int = 1000
    folds: int = 5
    epochs: int = 20
    slots: int = 1
    seconds: float = 0.0
    tracking: bool = False


@dataclass
class Driven:
    """What driving a study has cost.

    Attributes:
        readings: Over the search.
        caught_up: When MLflow had everything.
        busy: See :meth:`PretendedExecutor.busy_share`.
        peak: Most memory of the process, MB.
        problem: Why MLflow lacks something; empty if it does not.
    """

    readings: list[Reading]
    caught_up: Reading
    busy: float
    peak: float
    problem: str = ""

    def cost(self, begin: int, end: int) -> float:
        """CPU seconds of all threads per trial between two numbers of trials."""
        inside = [one for one in self.readings if begin <= one.trials <= end]
        return (inside[-1].cpu - inside[0].cpu) / (inside[-1].trials - inside[0].trials)

    def per_second(self, *, caught_up: bool) -> float:
        """Trials per second of wall time."""
        begun, ended = self.readings[0], self.caught_up if caught_up else self.readings[-1]
        return (ended.trials - begun.trials) / (ended.wall - begun.wall)


def address(folder: Path) -> str:
    """The ledger in a folder."""
    return f"sqlite:///{folder}/mlruns/ledger.db"


def create(folder: Path, case: Case) -> StudyRecord:
    """Enter a study, with the schedule that it would have."""
    ledger = Ledger(address(folder), create=True)
    tuner = "hpsearch" if case.algorithm == "bayesian" else "optuna"
    spec = make_spec(
        ledger.uri,
        folds=max(2, case.folds),
        epochs=case.epochs,
        trials=case.trials,
        tuner=tuner,
        algorithm=case.algorithm,
        uri=f"sqlite:///{folder}/mlruns/mlflow.db",
    )
    if case.folds == 1:
        spec = spec.model_copy(update={"validation": spec.validation.model_copy(update={"method": "holdout"})})
    record = make_record(spec)
    data = replace(record.facts.data, folds=record.facts.data.folds[: case.folds])
    record = replace(record, facts=replace(record.facts, data=data))
    settings = tuner_settings(spec, record.space)
    schedule = new_schedule(spec, settings, record.facts.plan, case.slots, on_gpu=False)
    record = replace(record, facts=replace(record.facts, schedule=schedule))
    ledger.create(record)
    return record


def drive(folder: Path, case: Case, *, every: int = 100) -> Driven:
    """Drive a study that :func:`create` has entered to its end, as a session does, and measure what that costs.

    Args:
        folder: Of the study.
        case: The study.
        every: Trials between two readings.
    """
    ledger = Ledger(address(folder))
    record = workspace.read(ledger, "synthetic")
    executor = PretendedExecutor(case.slots, case.seconds)
    gauge = Gauge(every, sum(trial.state.finished for trial in record.trials))
    tracker = _tracker(record) if case.tracking else None
    watching: list[Observer] = [TrackerObserver(tracker)] if tracker else []
    watching += [Progress(), BestPredictions(folder / "predictions", record.objective), gauge]
    for one in watching[1 if tracker else 0 :]:
        one.open(record)
    driver = Driver(
        record,
        ledger,
        executor=executor,
        suggester=make_suggester(record.spec, record.space, record.facts, executor),
        monitor=PruningMonitor(record),
        observer=Observers(watching),
        interrupted=lambda: False,
        watchdog=Watchdog(record.spec.resources),
    )
    gauge.readings = [read(gauge.ended)]
    driver.search()
    ended = read(gauge.ended)
    if gauge.readings[-1].trials < ended.trials:
        gauge.readings.append(ended)
    ledger.set_state(record.name, StudyState.FINISHED)
    problem = ""
    if tracker:
        problem = tracker.close(replace(record, trials=tuple(driver.trials), state=StudyState.FINISHED)).problem
    return Driven(gauge.readings, read(ended.trials), executor.busy_share(), peak_mb(), problem)


def _tracker(record: StudyRecord) -> MlflowTracker:
    """A tracker that has made its database: that is done once per study, whatever its size."""
    tracker = MlflowTracker(record.spec.tracking, patience_s=CATCHING_UP_S)
    tracker.open(record)
    tracker.flush(CATCHING_UP_S)
    return tracker
