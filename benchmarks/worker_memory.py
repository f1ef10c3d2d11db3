"""Measures whether a worker's memory grows: one worker process trains 200 trials of changing shape.

    python -m benchmarks.worker_memory [--engine fit --backend tensorflow] [--trials 200]

The promise is at most 5 % growth after the first trials. The driver replaces a worker that grows by a quarter; this
benchmark does not.
"""

import argparse

from hpsearch.core.events import Bundle, BundleFinished, Lane, LaneFailed, WorkerDied
from hpsearch.executors import pool
from hpsearch.executors.processes import ProcessesExecutor
from hpsearch.spec import parse_spec
from hpsearch.training.environment import WorkerSettings

STUDY = """
name = "memory"
[data]
source = "sklearn:digits"
[validation]
folds = 2
[model]
family = "mlp"
[space]
units = {{ low = 16, high = 128 }}
dropout = {{ low = 0.0, high = 0.5 }}
epochs = 2
batch_size = [32, 64]
optimizer = ["sgd", "adam", "rmsprop"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[resources]
engine = "{engine}"
"""


def main() -> None:
    """Train, and print the resident memory every 20 trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="fit")
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    pool.GROWTH_LIMIT = float("inf")
    executor = ProcessesExecutor(parse_spec(STUDY.format(engine=options.engine)), [WorkerSettings(options.backend)])
    settled = last = 0
    print(f"{'trials':>7} {'resident MB':>12}  ({options.engine} on {options.backend})")
    for number in range(options.trials):
        config = {
            "learning_rate": 0.001 + 0.0001 * (number % 10),
            "batch_size": (32, 64)[number % 2],
            "epochs": 2,
            "optimizer": ("sgd", "adam", "rmsprop")[number % 3],
            "layers": 2,
            "units": 16 + number * 7 % 112,
            "dropout": 0.05 * (number % 9),
            "activation": "relu",
            "batch_norm": False,
        }
        executor.submit(Bundle(number, (Lane(number, number % 2, config),)))
        finished: BundleFinished | None = None
        while finished is None:
            for event in executor.events(1.0):
                if isinstance(event, LaneFailed):
                    raise SystemExit(event.failure.traceback or event.failure.message)
                if isinstance(event, WorkerDied):
                    raise SystemExit(event.reason)
                if isinstance(event, BundleFinished):
                    finished = event
        last = finished.rss_bytes
        if number + 1 == 20:
            settled = last
        if (number + 1) % 20 == 0:
            print(f"{number + 1:7d} {last / 2**20:12.0f}", flush=True)
    executor.close()
    print(f"growth from trial 20 to {options.trials}: {100 * (last / settled - 1):+.1f} %")


if __name__ == "__main__":
    main()
