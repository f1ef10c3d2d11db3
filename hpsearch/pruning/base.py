"""The one interface of all pruning rules: curves in, verdict out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpsearch.core.objective import Objective, mean


@dataclass(frozen=True, slots=True)
class FoldCurves:
    """The objective's curves of one trial, over the epochs that all its folds have finished.

    Build it once per epoch of a running trial and keep it for finished ones: the mean over folds is taken on creation.

    Attributes:
        trial: Number of the trial.
        folds: One curve per fold, in fold order, all of one length.
        complete: The trial has ended with all its epochs.
        epochs: How many epochs the trial was to train.
        mean: The average over folds, one value per finished epoch.

    Raises:
        ValueError: There is no fold, or the folds differ in length.
    """

    trial: int
    folds: tuple[tuple[float, ...], ...]
    complete: bool
    epochs: int
    mean: tuple[float, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        lengths = [len(fold) for fold in self.folds]
        if not lengths or len(set(lengths)) > 1:
            raise ValueError(f"trial {self.trial}: folds of one length are needed, but got lengths {lengths}")
        object.__setattr__(self, "mean", tuple(mean(values) for values in zip(*self.folds, strict=True)))


class Pruner(ABC):
    """Decides between two epochs whether a trial is worth going on with. A pure function of curves."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @abstractmethod
    def verdict(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """Judge a running trial; to be asked each time all its folds have one more epoch.

        Args:
            trial: The trial to judge.
            others: All other trials with at least one epoch: complete, running and stopped ones, in any order.

        Returns:
            None to go on; otherwise the reason to stop in plain words, for the user.
        """

    def best_epoch(self, curves: FoldCurves, epochs: int) -> int:
        """Index of the epoch that would be the score if training had ended after `epochs` epochs."""
        last = epochs - 1
        if self.objective.epoch == "last":
            return last
        sign = -1.0 if self.objective.direction == "maximize" else 1.0
        return min(range(epochs), key=lambda e: (sign * v if math.isfinite(v := curves.mean[e]) else math.inf, e))

    def standing(self, curves: FoldCurves, epochs: int) -> float:
        """The trial's score if training had ended after `epochs` epochs; at least that many must be there."""
        # The quick way matters: rules ask this of a thousand trials between two epochs.
        if self.objective.epoch == "last":
            return curves.mean[epochs - 1]
        value = max(curves.mean[:epochs]) if self.objective.direction == "maximize" else min(curves.mean[:epochs])
        return value if math.isfinite(value) else curves.mean[self.best_epoch(curves, epochs)]

    def is_losing(self, own: float, bar: float) -> bool:
        """Whether `own` is strictly worse than `bar`; a value that is not finite always is."""
        return not math.isfinite(own) or (math.isfinite(bar) and self.objective.better(bar, own))
