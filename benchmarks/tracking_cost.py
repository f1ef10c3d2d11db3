"""Measures tracking on SQLite, without training: driver thread and background thread per trial, and memory.

    python -m benchmarks.tracking_cost [--trials 200]

Without training, the thread finds most trials finished and writes each of them at once. A trial that takes seconds is
written fold by fold, so the benchmark measures this separately.
"""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.search.observer import TrackerObserver
from hpsearch.testing.factories import make_record, make_trial
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.client import quiet
from hpsearch.tracking.mlflow.projection import Projection
from hpsearch.tracking.mlflow.tracker import MlflowTracker


def megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def fold_by_fold(record: StudyRecord, trials: tuple[Trial, ...]) -> float:
    """CPU seconds to write trials at their start, after each fold, and at their end."""
    with quiet():
        projection = Projection(record, resolve_address(record.spec.tracking))
        begun = time.process_time()
        for trial in trials:
            running = Trial(trial.number, trial.config, started=trial.started)
            for folds in range(len(trial.folds) + 1):
                projection.write_trial(replace(running, folds=trial.folds[:folds]))
            projection.write_trial(trial)
            projection.write_trajectory([trial])
        return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    count = parser.parse_args().trials
    trials = tuple(make_trial(number) for number in range(count))
    with tempfile.TemporaryDirectory() as folder:
        record = make_record((), folder=Path(folder))
        before = megabytes()
        begun = time.perf_counter()
        tracker = MlflowTracker(record.spec.tracking)
        observer = TrackerObserver(tracker)
        observer.open(record)
        tracker.flush(120)
        opened, memory_open = time.perf_counter() - begun, megabytes()
        told = 0.0
        cpu, begun = time.process_time(), time.perf_counter()
        for trial in trials:
            running = Trial(trial.number, trial.config, started=trial.started)
            start = time.perf_counter()
            observer.trial_started(running)
            for fold in trial.folds:
                observer.fold_finished(running, fold)
            observer.trial_finished(trial)
            told += time.perf_counter() - start
        tracker.flush(600)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        begun = time.perf_counter()
        tracker.close(replace(record, trials=trials, state=StudyState.FINISHED))
        closed = time.perf_counter() - begun
        more = tuple(make_trial(number) for number in range(count, count + 50))
        apart = fold_by_fold(record, more)
    print(f"{count} trials of 5 folds x 20 epochs x 4 metrics; caught up: {tracker.state.caught_up}")
    print(f"driver's thread: {1e6 * told / count:.0f} us per trial")
    print(
        f"background: {1e3 * wall / count:.0f} ms wall, {1e3 * cpu / count:.0f} ms CPU per trial in one go, "
        f"{1e3 * apart / len(more):.0f} ms CPU fold by fold"
    )
    print(f"first connection with a fresh database: {opened:.1f} s; close: {closed:.2f} s")
    print(f"peak memory: {before:.0f} MB before, {memory_open:.0f} MB connected, {megabytes():.0f} MB at the end")


if __name__ == "__main__":
    main()
