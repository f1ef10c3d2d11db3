"""Racing: stop a trial once a paired test over folds shows that it will not beat the best one."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev
from typing import Self

from hpsearch.core.objective import Objective, mean
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.spec import PruningSection

_LOOK_RATIO = 1.5


class RacingPruner(Pruner):
    """Stops a trial whose projected end is worse, fold by fold, than what the best other trial already has.

    *Projection.* Each fold starts from its value at the trial's best epoch. It adds what a straight line over the
    logarithm of the epoch gains until the trial's last epoch. The line is fitted to the newer half of the curve and
    never lowers the projection. Learning curves flatten on this scale (error ≈ a + b · epoch^-c), so the projection
    is generous: if it stops a trial that would have caught up late, the trend is to blame and not the noise.

    *Test.* The projected ends are compared with the opponent's values on the same folds by a one-sided paired t-test
    with the variance of Nadeau & Bengio 2003, "Inference for the Generalization Error", eq. 9: ``s² · (1/n + q)`` over
    n folds with q validation rows per training row, because folds share training rows and therefore errors. The
    opponent is the best complete trial. If the score is read at the best epoch, a running trial can also be the
    opponent with the value it has reached, because its score can only improve. The idea of racing: Maron & Moore 1994,
    "Hoeffding Races".

    *Error rate.* Of the trials that would have beaten the opponent, at most ``1 - confidence`` are stopped. This holds
    over the whole training of a trial, not per test, provided that curves flatten and projection errors are normal. A
    trial is tested after `min_epochs` epochs and then each time it has grown by half. The tests share the error rate
    evenly (Bonferroni). ``benchmarks/racing_error_rate.py`` measures it on synthetic and real curves.

    A single fold, as in a holdout, allows no paired test, so no trial is stopped.

    Args:
        objective: See :class:`~hpsearch.core.objective.Objective`.
        validation_ratio: q above: :attr:`hpsearch.core.facts.DataFacts.validation_ratio`.
        min_epochs: No trial stops before this many epochs, ≥ 1. At least 2 are used, because 1 shows no trend.
        startup_trials: No trial stops before this many others are complete or have as many epochs, ≥ 1.
        confidence: See above; between 0.5 and 1, both excluded.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        validation_ratio: float,
        min_epochs: int = 3,
        startup_trials: int = 5,
        confidence: float = 0.95,
    ) -> None:
        super().__init__(objective)
        self.validation_ratio = validation_ratio
        self.min_epochs = max(2, min_epochs)
        self.startup_trials = startup_trials
        self.confidence = confidence

    @classmethod
    def from_section(cls, section: PruningSection, objective: Objective, *, validation_ratio: float) -> Self:
        """See :meth:`Pruner.from_section`."""
        return cls(
            objective,
            validation_ratio=validation_ratio,
            min_epochs=section.min_epochs,
            startup_trials=section.startup_trials,
            confidence=section.confidence,
        )

    def looks(self, epochs: int) -> list[int]:
        """Numbers of epochs after which a trial of `epochs` epochs is tested, in order."""
        looks, look = [], self.min_epochs
        while look < epochs:
            looks.append(look)
            look = math.ceil(look * _LOOK_RATIO)
        return looks

    def stop_reason(self, trial: FoldCurves, others: Sequence[FoldCurves]) -> str | None:
        """See :meth:`Pruner.stop_reason`."""
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
        error = (1 - self.confidence) / len(looks)
        margin = critical_t(error, n_folds - 1) * stdev(behind) * math.sqrt(1 / n_folds + self.validation_ratio)
        if fmean(behind) <= margin:
            return None
        return (
            f"after {epochs} epochs: it is heading for {fmean(projected):.4g}, "
            f"but trial {best.trial} has {best.mean[best_epoch]:.4g} on the same folds"
        )

    def _opponent(self, others: Sequence[FoldCurves], n_folds: int) -> FoldCurves | None:
        """The best of the trials whose score cannot get worse."""
        known = [
            o for o in others if len(o.folds) == n_folds and (o.complete or self.objective.epoch == "best") and o.mean
        ]
        sign = 1.0 if self.objective.direction == "maximize" else -1.0
        scored = [(sign * value, -o.trial, o) for o in known if math.isfinite(value := self.standing(o, len(o.mean)))]
        return max(scored, default=(0.0, 0, None))[2]

    def _project(self, trial: FoldCurves) -> list[float]:
        """Each fold's value at the trial's last epoch, from the trend of the newer half of its curve."""
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
    """The value that Student's t with `degrees` degrees of freedom exceeds with probability `error`."""
    # Imported here because only racing needs SciPy; `hpsearch --help` does not.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - error))
