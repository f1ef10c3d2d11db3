"""A pruner: stop a trial that no longer improves."""

from collections.abc import Sequence
from typing import Self

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.spec import PruningSection


class PatiencePruner(Pruner):
    """Stops a trial whose mean curve has not improved for `patience` epochs.

    Args:
        objective: What the study optimises.
        patience: Epochs without improvement, ≥ 1.
    """

    def __init__(self, objective: Objective, *, patience: int) -> None:
        super().__init__(objective)
        self.patience = patience

    @classmethod
    def from_section(cls, section: PruningSection, objective: Objective, *, validation_ratio: float) -> Self:
        """Here ``[pruning] min_epochs`` is the patience, so no trial stops before it has that many epochs."""
        return cls(objective, patience=section.min_epochs)

    def stop_reason(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """Look at the trial alone; other rules compare it with `others`."""
        epochs = len(trial.mean)
        if epochs >= trial.epochs:
            return None  # it is done: there is nothing left to save
        best = self.best_epoch(trial, epochs)
        if epochs - 1 - best < self.patience:
            return None
        return f"after {epochs} epochs: no improvement since epoch {best + 1}"
