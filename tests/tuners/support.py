"""Spaces, simulated studies and the nine algorithms, for all tests of tuners."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from hpsearch.core.registries import TUNERS
from hpsearch.core.space import Choice, Config, Constant, Float, Int, Space
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState
from hpsearch.tuners import Tuner, TunerProvider, TunerSettings, make_tuner
from hpsearch.tuners import keras_tuner as keras_tuner_tuners

ALGORITHMS = {name: TUNERS.load_class(name, TunerProvider).algorithms for name in TUNERS.names()}

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="algorithm 'gp' needs PyTorch")

PAIRS = [
    pytest.param((tuner, algorithm), id=f"{tuner}-{algorithm}", marks=[needs_torch] if algorithm == "gp" else [])
    for tuner, algorithms in ALGORITHMS.items()
    for algorithm in algorithms
]
Pair = tuple[str, str]
Suggest = Callable[[Sequence[Trial]], Config | None]

MIXED = Space(
    {
        "rate": Float(0.001, 0.1, log=True),
        "momentum": Float(0.0, 0.9, when={"optimizer": ("sgd",)}),
        "optimizer": Choice(("adam", "sgd", True, 1)),
        "units": Int(32, 512, log=True),
        "dropout": Float(0.0, 0.5, step=0.05),
        "depth": Int(2, 9, step=3, when={"optimizer": ("adam", True), "dropout": (0.15, 0.3, 0.35, 0.4, 0.45, 0.5)}),
        "epochs": Constant(20),
        "only": Float(0.25, 0.25),
    }
)
"""Every kind of hyperparameter, with a condition on two others."""

FINITE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "momentum": Float(0.1, 0.7, step=0.3, when={"optimizer": ("sgd",)}),
        "depth": Int(1, 2),
        "epochs": Constant(20),
    }
)
"""Eight configs."""

SMALL = Space({name: MIXED[name] for name in ("rate", "optimizer", "momentum")})

SQUARE = Space({"x": Float(-5.0, 5.0), "y": Float(-5.0, 5.0)})


def build(
    pair: Pair,
    child: keras_tuner_tuners.OracleProcess,
    space: Space,
    seed: int = 7,
    direction: str = "minimize",
    startup_trials: int | None = 4,
) -> Tuner:
    """A new tuner; KerasTuner's share one child process, which keeps nothing between requests."""
    settings = TunerSettings(space, direction, seed, startup_trials, grid_points=3)
    if pair[0] == "keras-tuner":
        return keras_tuner_tuners.make(pair[1], settings, child)
    return make_tuner(*pair, settings)


def mixed(pair: Pair) -> Space:
    """A space with a condition: with all kinds of hyperparameters, or with three where suggestions are slow."""
    return SMALL if pair[1] in ("bayesian", "gp") else MIXED


def asks(pair: Pair, many: int, few: int) -> int:
    """How many suggestions to test: a Bayesian one costs up to a second."""
    return few if pair[1] in ("bayesian", "gp") else many


def square(config: Config) -> float:
    """Quadratic with its minimum of 0 at (3, -2)."""
    return (float(config["x"]) - 3.0) ** 2 + (float(config["y"]) + 2.0) ** 2


def finish(trial: Trial, score: float) -> Trial:
    """End a trial in one of the four ways, by its number."""
    if trial.number % 7 == 2:
        return replace(trial, state=TrialState.DIVERGED, failure=Failure(FailureKind.DIVERGED, "loss is nan"))
    if trial.number % 7 == 4:
        return replace(trial, state=TrialState.FAILED, failure=Failure(FailureKind.ERROR, "ValueError: no"))
    if trial.number % 7 == 5:
        return replace(trial, state=TrialState.PRUNED, score=score + 1.0, epoch=3)
    return replace(trial, state=TrialState.COMPLETE, score=score, epoch=19)


def simulate(suggest: Suggest, count: int, delays: Sequence[int] = (0,)) -> list[Config | None]:
    """Ask `count` times; trial k is still running for the next ``delays[k % len(delays)]`` suggestions."""
    trials: list[Trial] = []
    suggested: list[Config | None] = []
    for number in range(count):
        history = [
            finish(trial, score=float(trial.number * 5 % 11))
            if trial.number + delays[trial.number % len(delays)] < number
            else trial
            for trial in trials
        ]
        suggested.append(suggest(history))
        if suggested[-1] is None:
            break
        trials.append(Trial(number, suggested[-1]))
    return suggested


def best(tuner: Tuner, count: int, sign: float) -> float:
    """The smallest value of :func:`square` among `count` suggestions; the tuner is told `sign` times that."""
    history: list[Trial] = []
    for number in range(count):
        config = tuner.suggest(history)
        assert config is not None
        history.append(Trial(number, config, TrialState.COMPLETE, score=sign * square(config), epoch=0))
    return min(square(trial.config) for trial in history)
