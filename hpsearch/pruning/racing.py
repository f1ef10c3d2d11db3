"""Racing: stop a trial once a paired test over folds says that it will not beat the best one."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

from hpsearch.core.objective import Objective, mean
from hpsearch.pruning.base import FoldCurves, Pruner

_LOOK_RATIO = 1.5


class RacingPruner(Pruner):
    """Stops a trial whose projected end is worse, fold by fold, than what the best other trial already has.

    *Projection.* Each fold's curve goes on from its value at the trial's best epoch by what a straight line over the
    logarithm of the epoch, fitted to the last doubling of epochs (the newer half of the curve), gains until the
    trial's last epoch; never downwards. Learning curves flatten on this scale (error ≈ a + b · epoch^-c), so the
    projection is generous: it is the trend's fault, not the noise's, when a late bloomer is stopped.

    *Test.* The projected ends are compared with the best other trial's values on the same folds by a one-sided paired
    t-test with the variance of Nadeau & Bengio 2003, "Inference for the Generalization Error", eq. 9: ``s² · (1/n +
    q)`` over n folds with q validation rows per training row, because folds share training rows and so share errors.
    The opponent is a complete trial, or, where the score is the best epoch's, also a running one by what it has
    reached already: its score can only get better. The idea of racing: Maron & Moore 1994, "Hoeffding Races".

    *Error rate.* Of trials that would have beaten the opponent, at most ``1 - confidence`` are stopped, over the whole
    training of a trial and not per test, as far as curves flatten and projection errors are normal: a trial is looked
    at only after `min_epochs` epochs and then each time it has grown by half, and the looks share the error rate
    evenly (Bonferroni). What it is on synthetic and real curves is measured by ``benchmarks/racing_error_rate.py``.

    A single fold, as in a holdout, allows no paired test: nothing is stopped.

    Args:
        objective: See :class:`~hpsearch.core.objective.Objective`.
        min_epochs: No trial is stopped with fewer epochs, ≥ 1; below 2 there is no trend, so 2 is the least used.
        startup_trials: Other trials to wait for that are complete or have come at least as far, ≥ 1.
        confidence: See above; within (0.5, 1).
        validation_ratio: q above; None for ``1 / (n - 1)``, which is right for n plain folds.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        min_epochs: int = 3,
        startup_trials: int = 5,
        confidence: float = 0.95,
        validation_ratio: float | None = None,
    ) -> None:
        super().__init__(objective)
        self.min_epochs = max(2, min_epochs)
        self.startup_trials = startup_trials
        self.confidence = confidence
        self.validation_ratio = validation_ratio

    def looks(self, epochs: int) -> list[int]:
        """After which epochs a trial of so many epochs is tested, in order."""
        looks, look = [], self.min_epochs
        while look < epochs:
            looks.append(look)
            look = math.ceil(look * _LOOK_RATIO)
        return looks

    def verdict(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """See :meth:`Pruner.verdict`."""
        epochs, n_folds = len(trial.mean), len(trial.folds)
        looks = self.looks(trial.epochs)
        if epochs not in looks or n_folds < 2:
            return None
        if sum(other.complete or len(other.mean) >= epochs for other in others) < self.startup_trials:
            return None
        best = self._opponent(others, n_folds)
        if best is None:
            return None
        best_epoch = self.best_epoch(best, len(best.mean))
        target, projected = _at(best, best_epoch), self._project(trial)
        sign = 1.0 if self.objective.direction == "maximize" else -1.0
        behind = [sign * (goal - end) for goal, end in zip(target, projected, strict=True)]
        if not all(map(math.isfinite, behind)):
            return None
        ratio = self.validation_ratio if self.validation_ratio is not None else 1 / (n_folds - 1)
        error = (1 - self.confidence) / len(looks)
        margin = critical_t(error, n_folds - 1) * stdev(behind) * math.sqrt(1 / n_folds + ratio)
        if fmean(behind) <= margin:
            return None
        return (
            f"after {epochs} epochs: it is heading for {fmean(projected):.4g}, "
            f"but trial {best.trial} has {best.mean[best_epoch]:.4g} on the same folds"
        )

    def _opponent(self, others: Sequence[FoldCurves], n_folds: int) -> FoldCurves | None:
        """The best of the trials whose score is certain not to get worse."""
        known = [
            o for o in others if len(o.folds) == n_folds and (o.complete or self.objective.epoch == "best") and o.mean
        ]
        sign = 1.0 if self.objective.direction == "maximize" else -1.0
        scored = [(sign * value, -o.trial, o) for o in known if math.isfinite(value := self.standing(o, len(o.mean)))]
        return max(scored, default=(0.0, 0, None))[2]

    def _project(self, trial: FoldCurves) -> list[float]:
        """Each fold's value at the trial's last epoch, by the trend of its last doubling."""
        epochs = len(trial.mean)
        start = max(1, epochs // 2)
        logs = [math.log(epoch) for epoch in range(start, epochs + 1)]
        centre = fmean(logs)
        spread = sum((one - centre) ** 2 for one in logs)
        slopes = [
            sum((one - centre) * value for one, value in zip(logs, fold[start - 1 :], strict=True)) / spread
            for fold in trial.folds
        ]
        improving = self.objective.better(mean(slopes), 0.0)
        ahead = math.log(trial.epochs / epochs) if improving else 0.0
        levels = _at(trial, self.best_epoch(trial, epochs))
        return [level + slope * ahead for level, slope in zip(levels, slopes, strict=True)]


def _at(curves: FoldCurves, epoch: int) -> list[float]:
    return [fold[epoch] for fold in curves.folds]


@cache
def critical_t(error: float, degrees: int) -> float:
    """The value that Student's t exceeds with probability `error`, for so many degrees of freedom."""
    # Imported here: only racing needs SciPy, and `hpsearch --help` does not.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - error))
