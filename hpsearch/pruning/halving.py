"""Asynchronous successive halving (ASHA): at each rung only the best fraction continues."""

from collections.abc import Sequence
from typing import Self

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.spec import PruningSection

_FRACTIONS = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


class HalvingPruner(Pruner):
    """Stops a trial that is not among the best ``1 / reduction_factor`` of all trials at a rung.

    The rungs are ``min_epochs · reduction_factor**k`` epochs for k = 0, 1, …, up to but not including the trial's own
    number of epochs. A trial is compared with the trials that have reached the rung so far and waits for no other: the
    stopping variant of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"). No trial stops
    at a rung until `reduction_factor` trials have reached it. Equal values share a rank.

    The trials of a bundle reach a rung in the same epoch but are compared one after the other. Each is therefore
    compared again one epoch later, when the values of the whole bundle are known. Otherwise the first trials of each
    bundle would always continue.

    Args:
        objective: See :class:`~hpsearch.core.objective.Objective`.
        min_epochs: The first rung, in epochs, ≥ 1.
        reduction_factor: One in this many trials continues, ≥ 2.
    """

    def __init__(self, objective: Objective, *, min_epochs: int = 3, reduction_factor: int = 3) -> None:
        super().__init__(objective)
        self.min_epochs = min_epochs
        self.reduction_factor = reduction_factor

    @classmethod
    def from_section(cls, section: PruningSection, objective: Objective, *, validation_ratio: float) -> Self:
        """See :meth:`Pruner.from_section`."""
        return cls(objective, min_epochs=section.min_epochs, reduction_factor=section.reduction_factor)

    def rungs(self, epochs: int) -> list[int]:
        """The rungs of a trial with this many epochs, lowest first."""
        rungs, rung = [], self.min_epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction_factor
        return rungs

    def rungs_of(self, trial: FoldCurves) -> list[int]:
        """The rungs at which this trial may stop."""
        return self.rungs(trial.epochs)

    def rivals(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> list[FoldCurves]:
        """Those of the other trials that this one is compared with."""
        return list(others)

    def stop_reason(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """See :meth:`Pruner.stop_reason`."""
        epochs = len(trial.mean)
        if epochs >= trial.epochs:
            return None
        rung = next((rung for rung in self.rungs_of(trial) if rung in (epochs, epochs - 1)), None)
        if rung is None:
            return None
        reached = [other for other in others if len(other.mean) >= rung]
        rivals = [self.standing(other, rung) for other in self.rivals(trial, reached)]
        count = len(rivals) + 1
        if count < self.reduction_factor:
            return None
        own = self.standing(trial, rung)
        ahead = sum(self.is_losing(own, value) for value in rivals)
        if ahead < count // self.reduction_factor:
            return None
        fraction = _FRACTIONS.get(self.reduction_factor, f"1 in {self.reduction_factor}")
        return f"rung {rung}: {own:.4g} is not among the best {fraction} of {count} trials"
