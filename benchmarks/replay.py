"""Replays a study on stored curves: the same trials in the same order for every pruning rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.objective import Objective
from hpsearch.pruning import FoldCurves, Pruner


class Rule(Protocol):
    """A pruning rule in a replay, hpsearch's or a peer's."""

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        """Whether to stop `trial`. Its curves so far have the shape ``(n_folds, n_epochs)``."""

    def ended(self, trial: int, *, complete: bool) -> None:
        """Called when the trial has ended."""


@dataclass(frozen=True)
class Replay:
    """The result of a replayed study.

    Attributes:
        epochs_to_target: Epochs until some trial's score reaches the target, where one epoch is one epoch of all folds
            of a trial; None if no trial of the bank reaches it.
        epochs: Epochs of the first `trials` trials.
        stopped: How many of these trials the rule stops.
        best: The best score among those that complete.
    """

    epochs_to_target: int | None
    epochs: int
    stopped: int
    best: float


def replay(
    rule: Rule, curves: NDArray[np.float64], *, order: Sequence[int], trials: int, target: float, bundle: int
) -> Replay:
    """Train `order` bundle by bundle. The first `trials` are the study; the others only serve to reach the target.

    Args:
        rule: A fresh rule, without the memory of another replay.
        curves: Shape ``(n_configs, n_folds, n_epochs)``, larger is better.
        order: The config of each trial.
        trials: Number of trials of the study.
        target: The best score of the study without pruning.
        bundle: Number of trials that train side by side.
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
    """One of hpsearch's rules, called as the driver calls it."""

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
    """Stops no trial."""

    def stops(self, trial: int, curves: NDArray[np.float64]) -> bool:
        return False

    def ended(self, trial: int, *, complete: bool) -> None:
        """Remembers nothing."""


class OptunaRule:
    """One of Optuna's pruners behind ``trial.report`` and ``should_prune``.

    It gets the mean over all folds after every epoch. That is more than in the usual K-fold objective, where folds
    train one after the other.
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
"""Makes a fresh rule for a seed."""

OBJECTIVE = Objective("val_accuracy", "maximize")
