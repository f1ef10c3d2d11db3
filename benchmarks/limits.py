"""What it costs to measure a model that a study limits, and to train it all the same.

The family ``mlp`` on digits, one config: its model is built and its parameters are counted; then the latency of one row
is measured too; then its five folds are trained, with Keras `fit` and in the fused engine, compiled before.

    python -m benchmarks.limits [--write docs/search.md]
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

os.environ.setdefault("KERAS_BACKEND", "jax")

from benchmarks.pages import put_as_measured
from hpsearch.core.events import Bundle, Lane
from hpsearch.core.space import Config
from hpsearch.spec import parse_spec
from hpsearch.training.engines.base import Engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.model_limits import measure_model
from hpsearch.training.problem import Problem

STUDY = """
name = "limits"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
[objective]
metric = "val_accuracy"
at_most = {{ {limits} }}
"""

CONFIG: Config = {
    "layers": 2,
    "units": 128,
    "dropout": 0.2,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 20,
}


def problem_of(limits: str) -> Problem:
    return Problem.load(parse_spec(STUDY.format(limits=limits)))


def measured(limits: str, times: int = 9) -> list[float]:
    """Seconds of each measurement of another trial's model; the first, which imports and compiles, is left out."""
    problem = problem_of(limits)
    seconds = []
    for trial in range(times + 1):
        begun = time.perf_counter()
        measure_model(problem, CONFIG, trial)
        seconds.append(time.perf_counter() - begun)
    return seconds[1:]


def trained(engine: Engine, times: int = 3) -> list[float]:
    """Seconds of five folds; the first time, which compiles, is left out."""
    seconds = []
    for trial in range(times + 1):
        lanes = tuple(Lane(trial, fold, CONFIG) for fold in range(5))
        begun = time.perf_counter()
        for _ in engine.train(Bundle(trial, lanes), frozenset):
            pass
        seconds.append(time.perf_counter() - begun)
    return seconds[1:]


def rows() -> Iterator[str]:
    yield "| what | seconds, median | from | to |"
    yield "|---|---|---|---|"
    problem = problem_of("parameters = 1000000")
    measures: dict[str, Callable[[], list[float]]] = {
        "count the parameters": partial(measured, "parameters = 1000000"),
        "count them and measure the latency": partial(measured, "parameters = 1000000, latency_ms = 1000"),
        "train five folds, fused": lambda: trained(FusedEngine(problem)),
        "train five folds, `fit`": lambda: trained(FitEngine(problem)),
    }
    for name, measure in measures.items():
        found = measure()
        yield f"| {name} | {median(found):.2f} | {min(found):.2f} | {max(found):.2f} |"


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page to write the table into")
    put_as_measured(parser.parse_args().write, "limits", rows())


if __name__ == "__main__":
    main()
