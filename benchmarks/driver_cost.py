"""What the driver costs: suggest + ledger + tracking per trial, and its memory, with training that takes no time.

    python -m benchmarks.driver_cost [--trials 1000] [--algorithm tpe]

Promises: ≤ 60 ms per trial on SQLite with 5 folds × 20 epochs of curves; ≤ 350 MB, flat over 1,000 trials.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from hpsearch.driver import Driver
from hpsearch.engines.base import EnginePlan
from hpsearch.ledger import Ledger
from hpsearch.observer import Observer, Observers
from hpsearch.tracking import Tracker
from hpsearch.trial import Trial
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerSettings
from tests.synthetic import SyntheticExecutor, make_record, make_spec


class Gauge(Observer):
    """Notes time and memory every hundred trials."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float]] = []
        self.begun = time.perf_counter()

    def trial_finished(self, trial: Trial) -> None:
        if (trial.number + 1) % 100 == 0:
            self.rows.append((trial.number + 1, time.perf_counter() - self.begun, resident_mb()))


def resident_mb() -> float:
    """Resident memory of this process, MB (its peak where /proc is missing)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Drive a synthetic study and print the gauge's table."""
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
    gauge, tracker = Gauge(), Tracker(spec.tracking)
    observers = Observers([gauge] if options.no_tracking else [tracker, gauge])
    observers.open(record)
    tuner = make_tuner("optuna", options.algorithm, TunerSettings(record.space, "maximize", spec.seed))
    cpu = time.process_time()
    driver = Driver(
        record,
        ledger,
        executor=SyntheticExecutor(),
        tuner=tuner,
        plan=EnginePlan("fit", "synthetic"),
        window=1,
        observer=observers,
        interrupted=lambda: False,
    )
    driver.search()
    searched = time.perf_counter() - gauge.begun
    observers.close(ledger.load(spec.name))
    total = time.perf_counter() - gauge.begun
    print(f"{'trials':>8} {'ms per trial since the last row':>32} {'resident MB':>12}")
    before = (0, 0.0)
    for trials, seconds, memory in gauge.rows:
        print(f"{trials:8d} {1000 * (seconds - before[1]) / (trials - before[0]):32.1f} {memory:12.0f}")
        before = (trials, seconds)
    print(
        f"search {1000 * searched / options.trials:.1f} ms per trial; with MLflow caught up "
        f"{1000 * total / options.trials:.1f} ms per trial; "
        f"CPU of all threads {1000 * (time.process_time() - cpu) / options.trials:.1f} ms per trial"
    )


if __name__ == "__main__":
    main()
