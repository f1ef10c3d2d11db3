"""Successive halving without waiting (ASHA): at each rung only the best fraction goes on."""

from collections.abc import Sequence

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner

_FRACTIONS = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


class HalvingPruner(Pruner):
    """Stops a trial that is not among the best ``1 / reduction_factor`` at a rung.

    Rungs are ``min_epochs · reduction_factor**k`` epochs, k = 0, 1, …, below the trial's own number of epochs. A trial
    is compared with all that have reached the rung by then, and waits for nobody: the stopping form of ASHA (Li et al.
    2020, "A System for Massively Parallel Hyperparameter Tuning"). Until `reduction_factor` trials have reached a rung
    nobody is stopped there, and equal values share a place.

    Trials of one bundle reach a rung together, yet are judged one by one. So each is judged once more an epoch later,
    when the whole bundle's values are known; otherwise the first lanes of every bundle would pass unopposed.

    Args:
        objective: See :class:`~hpsearch.core.objective.Objective`.
        min_epochs: The first rung, in epochs, ≥ 1.
        reduction_factor: One trial in so many goes on, ≥ 2.
    """

    def __init__(self, objective: Objective, *, min_epochs: int = 3, reduction_factor: int = 3) -> None:
        super().__init__(objective)
        self.min_epochs = min_epochs
        self.reduction_factor = reduction_factor

    def rungs(self, epochs: int) -> list[int]:
        """The rungs of a trial of so many epochs, lowest first."""
        rungs, rung = [], self.min_epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction_factor
        return rungs

    def verdict(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """See :meth:`Pruner.verdict`."""
        epochs = len(trial.mean)
        if epochs >= trial.epochs:
            return None
        rung = next((rung for rung in self.rungs(trial.epochs) if rung in (epochs, epochs - 1)), None)
        if rung is None:
            return None
        field = [self.standing(other, rung) for other in others if len(other.mean) >= rung]
        count = len(field) + 1
        if count < self.reduction_factor:
            return None
        own = self.standing(trial, rung)
        ahead = sum(self.is_losing(own, value) for value in field)
        if ahead < count // self.reduction_factor:
            return None
        fraction = _FRACTIONS.get(self.reduction_factor, f"1 in {self.reduction_factor}")
        return f"rung {rung}: {own:.4g} is not among the best {fraction} of {count} trials"
