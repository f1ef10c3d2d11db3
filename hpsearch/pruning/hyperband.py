"""Hyperband: successive halving in several brackets, which differ in how early they begin to stop trials."""

from collections.abc import Sequence
from functools import cache

from hpsearch.pruning.base import FoldCurves
from hpsearch.pruning.halving import HalvingPruner


class HyperbandPruner(HalvingPruner):
    """Successive halving that also spends epochs on trials that start slowly.

    Halving stops most trials at its first rung, however slowly their curves rise. Hyperband (Li et al. 2018,
    "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18) hedges: bracket 0 has all rungs
    of `successive-halving`, bracket 1 lacks the first one, and so on; the last bracket has none and trains every trial
    to its end. Of m + 1 brackets, bracket b gets trials in proportion to ``η^(m-b) · (m + 1) / (m - b + 1)``, which
    gives all brackets about the same number of epochs. A trial is compared with those of its own bracket only.

    The bracket follows from the trial's number alone, so a resumed study goes on with the same brackets. They take
    turns such that any few trials in a row are shared out in nearly these proportions.
    """

    def bracket(self, trial: int, epochs: int) -> int:
        """The bracket of a trial with this many epochs, from 0."""
        turns = _turns(len(self.rungs(epochs)), self.reduction_factor)
        return turns[trial % len(turns)]

    def rungs_of(self, trial: FoldCurves) -> list[int]:
        """See :meth:`HalvingPruner.rungs_of`."""
        return self.rungs(trial.epochs)[self.bracket(trial.trial, trial.epochs) :]

    def rivals(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> list[FoldCurves]:
        """See :meth:`HalvingPruner.rivals`."""
        own = self.bracket(trial.trial, trial.epochs)
        return [other for other in others if self.bracket(other.trial, other.epochs) == own]


@cache
def _turns(rungs: int, reduction_factor: int) -> tuple[int, ...]:
    """The brackets of the first trials, in order; later trials repeat them.

    Each turn goes to the bracket that is furthest behind its share.
    """
    top = min(rungs, _MOST_RUNGS)
    sizes = [-(-(reduction_factor ** (top - b)) * (top + 1) // (top - b + 1)) for b in range(top + 1)]
    behind, turns = [0] * len(sizes), []
    for _ in range(sum(sizes)):
        behind = [debt + size for debt, size in zip(behind, sizes, strict=True)]
        chosen = max(range(len(sizes)), key=lambda b: (behind[b], -b))
        behind[chosen] -= sum(sizes)
        turns.append(chosen)
    return tuple(turns)


_MOST_RUNGS = 6
"""More brackets would come up so rarely that no study has enough trials for them."""
