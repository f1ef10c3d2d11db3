"""The median rule: stop a trial that is worse than half of the complete trials were at the same epoch."""

from collections.abc import Sequence
from statistics import median
from typing import Self

from hpsearch.core.objective import Objective, mean
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.spec import PruningSection


class MedianPruner(Pruner):
    """Stops a trial whose best value so far is worse than the median of the complete trials at the same epoch.

    Each complete trial counts with the average of its mean curve up to that epoch, which is lenient while curves still
    rise: the rule of Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.2. Both
    sides are averages over all folds, so luck in a single fold decides nothing.

    Args:
        objective: See :class:`~hpsearch.core.objective.Objective`.
        min_epochs: No trial stops before this many epochs, ≥ 1.
        startup_trials: No trial stops before this many trials are complete, ≥ 1.
    """

    def __init__(self, objective: Objective, *, min_epochs: int = 3, startup_trials: int = 5) -> None:
        super().__init__(objective)
        self.min_epochs = min_epochs
        self.startup_trials = startup_trials

    @classmethod
    def from_section(cls, section: PruningSection, objective: Objective, *, validation_ratio: float) -> Self:
        """See :meth:`Pruner.from_section`."""
        return cls(objective, min_epochs=section.min_epochs, startup_trials=section.startup_trials)

    def stop_reason(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """See :meth:`Pruner.stop_reason`."""
        epochs = len(trial.mean)
        if not self.min_epochs <= epochs < trial.epochs:
            return None
        if sum(other.complete for other in others) < self.startup_trials:
            return None
        rivals = [mean(other.mean[:epochs]) for other in others if other.complete and len(other.mean) >= epochs]
        if not rivals:
            return None
        own, bar = self.standing(trial, epochs), median(rivals)
        if not self.is_losing(own, bar):
            return None
        return f"after {epochs} epochs: {own:.4g} is worse than {bar:.4g}, the median of {len(rivals)} complete trials"
