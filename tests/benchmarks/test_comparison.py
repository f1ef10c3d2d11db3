"""The comparison with peers is fair: all train the same model on as many rows, and the table marks extrapolations."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from benchmarks import performance
from benchmarks.measure import Measurement
from benchmarks.study_file import study_file
from benchmarks.workloads import WORKLOADS, Workload
from hpsearch.core.facts import Task
from hpsearch.core.space import Choice, Constant, Float
from hpsearch.data.dataset import TrainingData
from hpsearch.spec import StudySpec, make_space, parse_spec


def spec_of(workload: Workload) -> StudySpec:
    return parse_spec(study_file(workload, name="x", trials=workload.trials, engine="auto", backend="jax"))


def rows_of(workload: Workload) -> TrainingData:
    """A few empty rows of the workload's shape and kind, as hpsearch's source delivers them."""
    x = {
        "sklearn:digits": np.zeros((20, 8, 8), np.uint8),
        "keras:mnist": np.zeros((20, 28, 28), np.uint8),
        "keras:imdb": np.zeros((20, 50), np.uint16),
    }[workload.source]
    binary = workload.source == "keras:imdb"
    classes = ("negative", "positive") if binary else tuple("0123456789")
    y = np.arange(20, dtype=np.int32) % len(classes)
    extra = {"words": 10_000} if binary else {"scale": 255.0}
    return TrainingData(x, y, Task.BINARY if binary else Task.MULTICLASS, classes, extra=extra)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_same_space_for_all(workload):
    space = make_space(spec_of(workload))
    for name, ours in {**workload.space, "epochs": workload.epochs}.items():
        match ours:
            case list():
                assert space[name] == Choice(tuple(ours))
            case (low, high):
                assert space[name] == Float(low, high)
            case _:
                assert space[name] == Constant(ours)
    # hpsearch searches nothing that the peers hold constant.
    assert set(space.searched()) == set(workload.searched)


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_same_model_for_all(workload):
    from hpsearch.models.builder import ModelBuilder

    spec = spec_of(workload)
    config = {name: one.grid(2)[0] for name, one in make_space(spec).items()}
    ours = ModelBuilder.of(spec).build(config, rows_of(workload), seed=1)
    theirs = workload.build(config)

    # Compare totals: the first layer on word numbers stores its bias as a row of its kernel.
    assert sum(v.value.size for v in ours.trainable_variables) == sum(v.value.size for v in theirs.trainable_variables)
    assert type(ours.optimizer) is type(theirs.optimizer)
    assert float(ours.optimizer.learning_rate) == pytest.approx(float(theirs.optimizer.learning_rate))


def test_same_number_of_rows_for_all():
    from hpsearch.training.problem import Problem

    workload = WORKLOADS["digits-mlp"]
    problem = Problem.load(spec_of(workload))
    _, y = workload.load()
    ours = [(len(fold.train), len(fold.validation)) for fold in problem.folds]
    assert sorted(ours) == sorted((len(a), len(b)) for a, b in workload.splits(y))


def row(contender: str, cache: str, *, trials: int, wall: float, best: float) -> dict[str, object]:
    one = Measurement(contender, "digits-mlp", cache, trials, wall, wall, 10.0, 12.0, best)
    return {
        "contender": contender,
        "workload": "digits-mlp",
        "cache": cache,
        "trials": trials,
        "full_trials": 40,
        "full_wall": one.projected(40),
        "best": best,
    }


def test_extrapolated_times_are_marked():
    rows = [
        row("hpsearch", "cold", trials=40, wall=20.0, best=0.98),
        row("hpsearch", "warm", trials=40, wall=10.0, best=0.98),
        row("optuna-tf", "cold", trials=4, wall=60.0, best=0.97),
        row("optuna-jax", "cold", trials=40, wall=500.0, best=0.97),
    ]
    ours, extrapolated, measured = performance.table(rows)
    assert ours[2:] == ("40 of 40", "20.0", "10.0", "0.50", "", "0.9800")
    # 60 s for 4 trials, and 36 more at 10 s each.
    assert extrapolated[2:] == ("4 of 40", "≈ 420.0", "–", "10.50", "21.0× faster", "0.9700")
    assert measured[2:] == ("40 of 40", "500.0", "–", "12.50", "25.0× faster", "0.9700")
