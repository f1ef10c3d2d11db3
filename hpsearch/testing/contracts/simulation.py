"""Spaces and simulated studies: a tuner suggests, and trials end in every possible way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hpsearch.core.space import Choice, Config, Constant, Float, Int, Space
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState

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

SMALL = Space({name: MIXED[name] for name in ("rate", "optimizer", "momentum")})
"""Three of them, one with a condition."""

FINITE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "momentum": Float(0.1, 0.7, step=0.3, when={"optimizer": ("sgd",)}),
        "depth": Int(1, 2),
        "epochs": Constant(20),
    }
)
"""Eight configs."""

LATE = (0, 3, 1, 4, 0, 2)
"""Delays with which results come late and out of order."""


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
    """Ask for suggestions, one trial after the other.

    Args:
        suggest: See :meth:`hpsearch.tuners.base.Tuner.suggest`.
        count: Number of suggestions. There are fewer if None is suggested; it is the last one then.
        delays: Trial k is still running for the next ``delays[k % len(delays)]`` suggestions.
    """
    trials: list[Trial] = []
    suggested: list[Config | None] = []
    for number in range(count):
        history = [
            finish(trial, score=float(trial.number * 5 % 11))
            if trial.number + delays[trial.number % len(delays)] < number
            else trial
            for trial in trials
        ]
        config = suggest(history)
        suggested.append(config)
        if config is None:
            break
        trials.append(Trial(number, config))
    return suggested
