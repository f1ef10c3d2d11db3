"""Measures how many workers a machine should have: the same trials by one worker with all cores, and by one per core.

    python -m benchmarks.workers [--workers 1 2] [--engines fused fit] [--trials 16] [--repeats 1]

The clock runs from the start of the first worker to the end of the last lane: imports, data, compilation and training.
"cold" has no compiled program to begin with, "warm" has those of an earlier run. "staggered" workers are given nothing
before the first one has finished its first epoch, so that they find its programs compiled. Of several rounds, the least
counts: other programs on the machine only make them longer.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.machine import describe
from hpsearch.core.events import Bundle, BundleFinished, EpochFinished, Lane, LaneFailed, WorkerDied
from hpsearch.core.hardware import usable_cores
from hpsearch.core.space import Config
from hpsearch.executors.processes import ProcessesExecutor
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.training.environment import WorkerSettings

FOLDS, EPOCHS = 5, 10
TRIALS_PER_BUNDLE = {"fused": 8, "fit": 1}

STUDY = """
name = "workers"
[data]
source = "sklearn:digits"
[validation]
method = "stratified"
folds = {folds}
[model]
family = "mlp"
layers = 2
[space]
learning_rate = {{ low = 0.001, high = 0.04, log = true }}
batch_size = [32, 64]
epochs = {epochs}
units = [32, 64, 128]
dropout = {{ low = 0.0, high = 0.5 }}
optimizer = ["sgd", "adam", "rmsprop"]
[objective]
metric = "val_accuracy"
[resources]
engine = "{engine}"
"""


def bundles(engine: str, trials: int, workers: int) -> Iterator[Bundle]:
    """Random trials of the digits study, the same ones for any number of workers, in bundles as the driver makes them.

    Args:
        engine: Decides how many trials a bundle has.
        trials: How many.
        workers: No worker goes without a bundle because another one has a large one.
    """
    random = np.random.default_rng(7)
    configs: list[Config] = [
        {
            "learning_rate": float(10 ** random.uniform(-3, -1.4)),
            "batch_size": int(random.choice([32, 64])),
            "epochs": EPOCHS,
            "layers": 2,
            "units": int(random.choice([32, 64, 128])),
            "dropout": float(random.uniform(0, 0.5)),
            "optimizer": str(random.choice(["sgd", "adam", "rmsprop"])),
            "momentum": 0.0,
            "activation": "relu",
            "batch_norm": False,
        }
        for _ in range(trials)
    ]
    size = min(TRIALS_PER_BUNDLE[engine], -(-trials // workers))
    for number, start in enumerate(range(0, trials, size)):
        chosen = range(start, min(start + size, trials))
        yield Bundle(number, tuple(Lane(trial, fold, configs[trial]) for trial in chosen for fold in range(FOLDS)))


def measure(spec: StudySpec, work: Sequence[Bundle], workers: int, cache: str, *, staggered: bool) -> float:
    """Seconds until all is trained.

    Raises:
        RuntimeError: A lane or a worker failed: nothing has been measured.
    """
    threads = max(1, usable_cores() // workers) if workers > 1 else None
    waiting, running, epochs = list(work), 0, 0
    begun = time.perf_counter()
    executor = ProcessesExecutor(
        spec, [WorkerSettings("jax", None, threads, cache, place=place) for place in range(workers)]
    )
    try:
        while waiting or running:
            while waiting and executor.idle and (epochs or not running or not staggered):
                executor.submit(waiting.pop(0))
                running += 1
            for event in executor.events(0.05):
                if isinstance(event, LaneFailed | WorkerDied):
                    raise RuntimeError(str(event))
                epochs += isinstance(event, EpochFinished)
                running -= isinstance(event, BundleFinished)
        return time.perf_counter() - begun
    finally:
        executor.close()


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, usable_cores()])
    parser.add_argument("--engines", nargs="+", choices=sorted(TRIALS_PER_BUNDLE), default=["fused", "fit"])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    about = describe()
    print(f"{about['processor']}; {about['device']}; {options.trials} trials on {FOLDS} folds, {EPOCHS} epochs each\n")
    print("| engine | workers | start | cold cache, s | warm cache, s |\n|---|---|---|---|---|")
    for engine in options.engines:
        spec = parse_spec(STUDY.format(engine=engine, folds=FOLDS, epochs=EPOCHS))
        ways = [(count, late) for count in options.workers for late in (False, True) if count > 1 or not late]
        found: dict[tuple[int, bool], list[list[float]]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for workers, late in ways:  # in turns: what else the machine does changes with time
                work = list(bundles(engine, options.trials, workers))
                with tempfile.TemporaryDirectory() as cache:
                    both = [measure(spec, work, workers, cache, staggered=late) for _ in ("cold", "warm")]
                found[workers, late].append(both)
        for (workers, late), rounds in found.items():
            cold, warm = (f"{min(seconds):.1f}" for seconds in zip(*rounds, strict=True))
            print(f"| {engine} | {workers} | {'staggered' if late else 'at once'} | {cold} | {warm} |", flush=True)


if __name__ == "__main__":
    main()
