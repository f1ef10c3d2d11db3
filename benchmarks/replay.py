"""Replays a study on banked curves: the same trials in the same order, whatever rule prunes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.objective import Objective
from hpsearch.pruning import FoldCurves, Pruner


class Rule(Protocol):
    """What a replay asks of a pruning rule, ours or a peer's."""

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        """Whether to stop `trial`, whose curves have shape ``(n_folds, n_epochs so far)``."""

    def ended(self, trial: int, *, complete: bool) -> None:
        """The trial is over."""


@dataclass(frozen=True)
class Replay:
    """What a pruned study did.

    Attributes:
        epochs_to_target: Trial epochs (all folds of one trial for one epoch) spent until some trial's score reached
            the target; None if none did within the whole bank.
        epochs: Spent on the first `trials` trials.
        stopped: How many of those were stopped.
        best: Best score among those that completed.
    """

    epochs_to_target: int | None
    epochs: int
    stopped: int
    best: float


def replay(
    rule: Rule, curves: NDArray[np.float64], *, order: Sequence[int], trials: int, target: float, bundle: int
) -> Replay:
    """Train `order` bundle by bundle; the first `trials` are the study, the rest is used only to reach the target.

    Args:
        rule: Fresh, without memory of another replay.
        curves: Shape ``(n_configs, n_folds, n_epochs)``, larger is better.
        order: Config of each trial.
        trials: Size of the study.
        target: Best score of the unpruned study.
        bundle: Trials that train side by side.
    """
    spent, reached, stopped, best, epochs = 0, None, 0, -np.inf, 0
    for first in range(0, len(order), bundle):
        if first >= trials and reached is not None:
            break
        alive = {t: curves[order[t]] for t in range(first, min(first + bundle, len(order)))}
        for epoch in range(1, curves.shape[2] + 1):
            spent += len(alive)
            standing = {t: one[:, :epoch].mean(0).max() for t, one in alive.items()}
            if reached is None and max(standing.values(), default=-np.inf) >= target:
                reached = spent
            if epoch == curves.shape[2]:
                break
            for t in [t for t, one in alive.items() if rule.stops(t, one[:, :epoch])]:
                rule.ended(t, complete=False)
                del alive[t]
                stopped += t < trials
        for t in alive:
            rule.ended(t, complete=True)
            best = max(best, standing[t]) if t < trials else best
        epochs = spent if first < trials else epochs
    return Replay(reached, epochs, stopped, float(best))


class OurRule:
    """One of hpsearch's rules, fed as the driver feeds it."""

    def __init__(self, pruner: Pruner, epochs: int) -> None:
        self.pruner, self.epochs = pruner, epochs
        self.seen: dict[int, FoldCurves] = {}

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        own = FoldCurves(trial, tuple(map(tuple, curves.tolist())), False, self.epochs)
        self.seen[trial] = own
        return self.pruner.stop_reason(own, [c for t, c in self.seen.items() if t != trial]) is not None

    def ended(self, trial: int, *, complete: bool) -> None:
        self.seen[trial] = FoldCurves(trial, self.seen[trial].folds, complete, self.epochs)


class NoRule:
    """Never stops anything."""

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        return False

    def ended(self, trial: int, *, complete: bool) -> None:
        """Nothing to remember."""


class OptunaRule:
    """One of Optuna's pruners behind ``trial.report`` and ``should_prune``.

    It is given the mean over all folds after every epoch, which is more than it gets in the usual K-fold objective,
    where folds train one after the other.
    """

    def __init__(self, pruner: object, *, name: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # HyperbandPruner draws a trial's bracket from the study's name and the trial's number.
        sampler = optuna.samplers.RandomSampler(seed=1)
        self.study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler, study_name=name)  # type: ignore[arg-type]
        self.trials: dict[int, optuna.Trial] = {}
        self.best: dict[int, float] = {}

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        while trial not in self.trials:
            asked = self.study.ask()
            self.trials[asked.number] = asked
        mean = curves.mean(0)
        self.best[trial] = float(mean.max())
        self.trials[trial].report(float(mean[-1]), len(mean))
        return self.trials[trial].should_prune()

    def ended(self, trial: int, *, complete: bool) -> None:
        from optuna.trial import TrialState

        state = TrialState.COMPLETE if complete else TrialState.PRUNED
        self.study.tell(self.trials[trial], self.best[trial] if complete else None, state=state)


MakeRule = Callable[[int], Rule]
"""A fresh rule for a seed."""

OBJECTIVE = Objective("val_accuracy", "maximize")
