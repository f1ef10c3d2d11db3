"""Small problems on real digits, with the documented families or a build function of the test's own."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from typing import Any

import pytest

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFinished
from hpsearch.core.trial import FoldResult
from hpsearch.models.builder import ModelBuilder
from hpsearch.spec import parse_spec
from hpsearch.training.engines.base import Engine
from hpsearch.training.problem import Problem

STUDY = """
name = "engines"
seed = 7
[data]
{data}
max_rows = 290
test_fraction = 0.0
[validation]
method = "kfold"
folds = 3
[model]
{model}
[objective]
metric = "val_accuracy"
direction = "maximize"
[space]
{space}
"""


def make_problem(
    model: str, space: str, build: Callable[..., Any] | None = None, data: str = 'source = "sklearn:digits"'
) -> Problem:
    problem = Problem.load(parse_spec(STUDY.format(model=model, space=space, data=data)))
    if build is not None:
        problem.__dict__["builder"] = ModelBuilder("tests:build", build)
    return problem


def never() -> frozenset[int]:
    return frozenset()


def results(engine: Engine, lanes: list[Lane]) -> dict[tuple[int, int], FoldResult]:
    """Finished lanes by (trial, fold); every lane must finish, having told each epoch once."""
    events = list(engine.train(Bundle(0, tuple(lanes)), never))
    finished = {(e.trial, e.result.fold): e.result for e in events if isinstance(e, LaneFinished)}
    others = [e for e in events if not isinstance(e, LaneFinished | EpochFinished)]
    assert not others, others
    assert finished.keys() == {(lane.trial, lane.fold) for lane in lanes}
    for lane, result in finished.items():
        told = [e.epoch for e in events if isinstance(e, EpochFinished) and (e.trial, e.fold) == lane]
        assert told == list(range(result.epochs))
    return finished


SPACE = """
units = 16
batch_size = [32, 50]
epochs = { low = 1, high = 4 }
optimizer = ["sgd", "adam"]
learning_rate = { low = 0.0005, high = 0.1 }
momentum = { low = 0.0, high = 0.9 }
dropout = { low = 0.0, high = 0.5 }
"""


@pytest.fixture(scope="session")
def mlp() -> Problem:
    """Two small hidden layers; 193 or 194 training rows, so that folds differ and the last batch is partial."""
    return make_problem('family = "mlp"', SPACE)


MLP = {
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 2,
    "optimizer": "adam",
    "momentum": 0.5,
    "layers": 2,
    "units": 16,
    "dropout": 0.0,
    "activation": "relu",
    "batch_norm": False,
}
