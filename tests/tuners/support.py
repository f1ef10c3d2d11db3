"""All algorithms, for all tuner tests."""

import importlib.util
from functools import partial

import pytest

from hpsearch.core.registries import TUNERS
from hpsearch.core.space import Config, Float, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts import TunerCase
from hpsearch.tuners import Tuner, TunerProvider, TunerSettings, make_tuner
from hpsearch.tuners import keras_tuner as keras_tuner_tuners

ALGORITHMS = {name: TUNERS.load_class(name, TunerProvider).algorithms for name in TUNERS.names()}

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="algorithm 'gp' needs PyTorch")


_SLOW = {("keras-tuner", "bayesian"), ("optuna", "gp")}
"""A suggestion costs up to a second."""


def _marks(tuner: str, algorithm: str) -> list[pytest.MarkDecorator]:
    return {("optuna", "gp"): [needs_torch], ("keras-tuner", "bayesian"): [pytest.mark.slow]}.get(
        (tuner, algorithm), []
    )


PAIRS = [
    pytest.param((tuner, algorithm), id=f"{tuner}-{algorithm}", marks=_marks(tuner, algorithm))
    for tuner, algorithms in ALGORITHMS.items()
    for algorithm in algorithms
]
Pair = tuple[str, str]

SQUARE = Space({"x": Float(-5.0, 5.0), "y": Float(-5.0, 5.0)})


def build(
    pair: Pair,
    child: keras_tuner_tuners.OracleProcess,
    space: Space,
    seed: int = 7,
    direction: str = "minimize",
    startup_trials: int | None = 4,
) -> Tuner:
    """A new tuner."""
    return case(pair, child).make(TunerSettings(space, direction, seed, startup_trials, grid_points=3))


def case(pair: Pair, child: keras_tuner_tuners.OracleProcess) -> TunerCase:
    """What the contract checks. KerasTuner's tuners share one child process, which keeps no state between requests."""
    tuner, algorithm = pair
    make = partial(keras_tuner_tuners.make, child=child) if tuner == "keras-tuner" else partial(make_tuner, tuner)
    return TunerCase(partial(make, algorithm), slow=pair in _SLOW)


def asks(pair: Pair, many: int, few: int) -> int:
    """How many suggestions to test."""
    return few if pair in _SLOW else many


def square(config: Config) -> float:
    """Quadratic with its minimum of 0 at (3, -2)."""
    return (float(config["x"]) - 3.0) ** 2 + (float(config["y"]) + 2.0) ** 2


def best(tuner: Tuner, count: int, sign: float) -> float:
    """The smallest value of :func:`square` among `count` suggestions; the tuner gets `sign` times that as the score."""
    history: list[Trial] = []
    for number in range(count):
        config = tuner.suggest(history)
        assert config is not None
        history.append(Trial(number, config, TrialState.COMPLETE, score=sign * square(config), epoch=0))
    return min(square(trial.config) for trial in history)
