"""Measures the driver: time per trial for suggestions, ledger and tracking, and memory. Training takes no time here.

    python -m benchmarks.driver_cost [--trials 1000] [--algorithm tpe] [--no-tracking]

The promise is at most 60 ms per trial on SQLite, with curves of 5 folds × 20 epochs, and at most 350 MB that do not
grow over 1,000 trials.

MLflow takes seconds to start, once per study: to import it, which `hpsearch run` does while its workers load, and to
create its database. The benchmark prints both separately. They count for the whole study, but not for the trials from
100 on. Trials that take seconds are written fold by fold, which costs 10 ms more: see benchmarks/tracking_cost.py.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer, Observers, TrackerObserver
from hpsearch.search.suggesting import Suggester
from hpsearch.search.watchdog import Watchdog
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from hpsearch.tracking.mlflow.client import import_mlflow
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tuners.base import TunerSettings


class Reading(NamedTuple):
    """One reading: finished trials, wall seconds, CPU seconds of all threads, resident MB."""

    trials: int
    wall: float
    cpu: float
    memory: float


class Gauge(Observer):
    """Takes a reading every hundred trials. Before the first one, it waits for MLflow to catch up."""

    def __init__(self, tracker: MlflowTracker | None) -> None:
        self.tracker = tracker
        self.readings = [read(0)]

    def trial_finished(self, trial: Trial) -> None:
        if trial.number == 99 and self.tracker is not None:
            self.tracker.flush(60)
        if (trial.number + 1) % 100 == 0:
            self.readings.append(read(trial.number + 1))


def read(trials: int) -> Reading:
    return Reading(trials, time.perf_counter(), time.process_time(), resident_mb())


def resident_mb() -> float:
    """Resident memory of this process in MB; its peak if /proc is missing."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def per_trial(before: Reading, after: Reading) -> str:
    count = after.trials - before.trials
    wall, cpu = (1000 * (after[field] - before[field]) / count for field in (1, 2))
    return f"{wall:.1f} ms per trial, CPU of all threads {cpu:.1f} ms"


def open_mlflow(record: StudyRecord) -> MlflowTracker:
    """Open a tracker as a study does, step by step, and print the cost of each step."""
    begun = read(0)
    import_mlflow(record.spec.tracking)
    imported = read(0)
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    tracker.flush(60)
    made = read(0)
    print(f"once: import MLflow {imported.cpu - begun.cpu:.1f} s CPU", end=", ")
    print(f"make its database and the study's run {made.cpu - imported.cpu:.1f} s CPU")
    return tracker


def main() -> None:
    """Drive a synthetic study and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--algorithm", default="tpe")
    parser.add_argument("--no-tracking", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    ledger = Ledger(f"sqlite:///{folder}/ledger.db", create=True)
    spec = make_spec(ledger.uri, folds=5, epochs=20, trials=options.trials, algorithm=options.algorithm)
    record = make_record(spec)
    ledger.create(record)
    begun, tracker = read(0), None
    if not options.no_tracking:
        tracker = open_mlflow(record)
    gauge = Gauge(tracker)
    driver = Driver(
        record,
        ledger,
        executor=SyntheticExecutor(),
        suggester=Suggester("optuna", options.algorithm, TunerSettings(record.space, "maximize", spec.seed)),
        monitor=PruningMonitor(record),
        observer=Observers([TrackerObserver(tracker), gauge] if tracker else [gauge]),
        interrupted=lambda: False,
        watchdog=Watchdog(spec.resources),
    )
    driver.search()
    if tracker:
        tracker.close(ledger.load(spec.name))
        assert tracker.state.caught_up, tracker.state.problem
    ended = read(options.trials)
    print(f"{'trials':>8} {'ms per trial since the last row':>32} {'resident MB':>12}")
    for before, after in zip(gauge.readings, gauge.readings[1:], strict=False):
        spent = 1000 * (after.wall - before.wall) / (after.trials - before.trials)
        print(f"{after.trials:8d} {spent:32.1f} {after.memory:12.0f}")
    caught_up = " with MLflow caught up" if tracker else ""
    if options.trials > 100:
        print(f"from trial 100 to the end{caught_up}: {per_trial(gauge.readings[1], ended)}")
    print(f"the whole study{caught_up}: {per_trial(begun, ended)}")


if __name__ == "__main__":
    main()
