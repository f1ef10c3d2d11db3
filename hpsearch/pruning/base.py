"""The interface of all pruning rules: curves in, a reason to stop out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from hpsearch.core.objective import Objective, mean
from hpsearch.spec import PruningSection


@dataclass(frozen=True, slots=True)
class FoldCurves:
    """The objective's curves of one trial, over the epochs that all its folds have finished.

    Creating one averages the folds. Create one per epoch of a running trial and keep the last one when it ends.

    Attributes:
        trial: Number of the trial.
        folds: One curve per fold, in fold order, all of the same length.
        complete: Whether the trial has trained all its epochs.
        epochs: Number of epochs that the trial is to train.
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
        if len(set(lengths)) != 1:
            raise ValueError(f"trial {self.trial}: all folds must have the same length, but got lengths {lengths}")
        object.__setattr__(self, "mean", tuple(mean(values) for values in zip(*self.folds, strict=True)))


class Pruner(ABC):
    """Decides after each epoch whether a trial is worth continuing. A pure function of curves.

    Args:
        objective: What the study optimises. All curves are of its metric.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @classmethod
    @abstractmethod
    def from_section(cls, section: PruningSection, objective: Objective, *, validation_ratio: float) -> Self:
        """The rule that a study file asks for.

        Args:
            section: The ``[pruning]`` section.
            objective: What the study optimises.
            validation_ratio: Validation rows per training row; see ``DataFacts.validation_ratio``.
        """

    @abstractmethod
    def stop_reason(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """Why to stop a running trial now. Call it each time all folds of the trial have finished one more epoch.

        Args:
            trial: The running trial.
            others: All other trials with at least one epoch, whether complete, running or stopped, in any order.

        Returns:
            The reason, in words for the user; None to continue.
        """

    def best_epoch(self, curves: FoldCurves, epochs: int) -> int:
        """Index of the epoch that would be scored if training had ended after `epochs` epochs."""
        last = epochs - 1
        if self.objective.epoch == "last":
            return last
        sign = -1.0 if self.objective.direction == "maximize" else 1.0
        return min(range(epochs), key=lambda e: (sign * v if math.isfinite(v := curves.mean[e]) else math.inf, e))

    def standing(self, curves: FoldCurves, epochs: int) -> float:
        """The trial's score if training had ended after `epochs` epochs. The curves must have that many."""
        # Rules ask this of a thousand trials between two epochs, hence the fast path.
        if self.objective.epoch == "last":
            return curves.mean[epochs - 1]
        value = max(curves.mean[:epochs]) if self.objective.direction == "maximize" else min(curves.mean[:epochs])
        return value if math.isfinite(value) else curves.mean[self.best_epoch(curves, epochs)]

    def is_losing(self, own: float, bar: float) -> bool:
        """Whether `own` is strictly worse than `bar`. A value that is not finite always is."""
        return not math.isfinite(own) or (math.isfinite(bar) and self.objective.better(bar, own))
