"""From folds to one score: average the folds epoch by epoch, then read the mean curve at the objective's epoch."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median_low, stdev
from typing import Literal

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.trial import Curves, FoldResult, Trial, TrialState

_GROWS = re.compile(
    r"^(neg|d2)_|(^|_)(acc|accuracy|auc|precision|recall|f1|fbeta|r2|iou|io_u|sensitivity|specificity|dice|jaccard"
    r"|corrcoef|correlation|mcc|kappa|variance|similarity|positive_likelihood|mutual_info|rand|homogeneity|completeness"
    r"|v_measure|fowlkes|exact_match)($|_)"
)
_SHRINKS = re.compile(
    r"(^|_)(loss|error|mse|mae|rmse|mape|msle|crossentropy|divergence|deviance|brier|hinge|poisson|logcosh|log_cosh"
    r"|negative_likelihood)($|_)"
)
"""Names of Keras' metrics and of scikit-learn's scorers, which have ``neg_`` where they negate an error."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What the search optimises.

    Attributes:
        metric: Name of a curve, such as ``val_accuracy``.
        direction: Always explicit, never guessed from the metric's name.
        epoch: ``best`` is the best epoch of the *mean* curve, not each fold's own best epoch, which would be too
            optimistic. ``last`` is the final epoch.
        constraints: What a trial must keep to be ranked.
    """

    metric: str
    direction: Literal["minimize", "maximize"]
    epoch: Literal["best", "last"] = "best"
    constraints: Constraints = NO_CONSTRAINTS

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is strictly better than score `b`."""
        return a > b if self.direction == "maximize" else a < b

    def warnings(self) -> tuple[str, ...]:
        """Likely mistakes, one sentence each. They are not errors, because metrics may have any name."""
        found = []
        if not self.metric.startswith("val_"):
            found.append(
                f"objective: {self.metric} is measured on the training rows, so the search prefers models that "
                f"overfit; val_{self.metric} is measured on the validation rows"
            )
        name = self.metric.removeprefix("val_")
        usual = "maximize" if _GROWS.search(name) else "minimize" if _SHRINKS.search(name) else self.direction
        if usual != self.direction:
            found.append(
                f'objective: a metric named {self.metric} usually has direction = "{usual}"; with '
                f'direction = "{self.direction}" the search may look for the worst model'
            )
        return tuple(found)

    def rank_key(self, trial: Trial) -> tuple[int, float, int]:
        """Sort key, best first: complete trials by score, then all others. Ties are broken by trial number.

        A trial that breaks a limit is not complete.
        """
        if trial.state is not TrialState.COMPLETE or trial.score is None:
            return 1, 0.0, trial.number
        return 0, -trial.score if self.direction == "maximize" else trial.score, trial.number


@dataclass(frozen=True, slots=True)
class Score:
    """A trial's result.

    Attributes:
        value: The mean over folds at `epoch`; if they have restored their best weights, of the restored models.
        std: Sample standard deviation (n - 1) over folds at `epoch`; None with one fold, NaN if `value` is not finite.
        epoch: From 1. With restored weights, the median over folds, the lower one of two.
        fold_scores: In fold order, of the folds in which the metric has a value; ``fmean(fold_scores) == value``.
    """

    value: float
    std: float | None
    epoch: int
    fold_scores: tuple[float, ...]


def mean(values: Sequence[float]) -> float:
    """The average. Unlike ``fmean``, it is NaN, not an error, for inf and -inf together."""
    return fmean(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def mean_curve(folds: Sequence[Curves], metric: str) -> tuple[float, ...]:
    """The average over the folds that have a metric, for each epoch that all of these have.

    Raises:
        KeyError: No fold has such a curve.
    """
    curves = [fold[metric] for fold in folds if metric in fold]
    if not curves:
        raise KeyError(metric)
    return tuple(mean(values) for values in zip(*curves, strict=False))


def aligned(folds: Sequence[FoldResult]) -> list[Curves]:
    """The curves of some folds over the same epochs: all that count for the trial.

    A fold that a callback has ended keeps, for the epochs that others train on, the values of its model as it was left.
    """
    going_on = [fold.epochs for fold in folds if not fold.stopped]
    epochs = min(going_on, default=max((fold.epochs for fold in folds), default=0))
    return [{name: fold.curve(name, epochs) for name in fold.curves} if fold.stopped else fold.curves for fold in folds]


def mean_curves(folds: Sequence[Curves]) -> dict[str, tuple[float, ...]]:
    """:func:`mean_curve` of every metric, in the order of the fold that has most."""
    names = dict.fromkeys(name for fold in sorted(folds, key=len, reverse=True) for name in fold)
    return {name: mean_curve(folds, name) for name in names}


def score(objective: Objective, folds: Sequence[FoldResult]) -> Score:
    """The score of one trial. A fold without a curve of the objective's metric is left out.

    The mean curve is that of :func:`aligned` folds. If all folds have restored the weights of their best epochs, the
    score is the mean of the restored models' values: their callback has chosen the epochs already.

    Raises:
        ValueError: There are no folds, no shared epochs, or no curve of the objective's metric.
    """
    folds_scored = [fold for fold in folds if objective.metric in fold.curves]
    curves = aligned(folds_scored)
    if not curves:
        names = sorted({name for fold in folds for name in fold.curves})
        raise ValueError(f"metric {objective.metric!r} was not recorded; recorded: {', '.join(names) or 'nothing'}")
    curve = mean_curve(curves, objective.metric)
    if not curve:
        raise ValueError(f"metric {objective.metric!r} has no epoch that all {len(curves)} folds have")
    epoch = len(curve) - 1
    if objective.epoch == "best":
        sign = -1.0 if objective.direction == "maximize" else 1.0
        epoch = min(range(len(curve)), key=lambda e: (sign * curve[e] if math.isfinite(curve[e]) else math.inf, e))
    fold_scores = tuple(fold[objective.metric][epoch] for fold in curves)
    kept = [fold.kept for fold in folds_scored if fold.kept is not None]
    if len(kept) == len(folds_scored):
        fold_scores = tuple(f.curves[objective.metric][at - 1] for f, at in zip(folds_scored, kept, strict=True))
        epoch = median_low(kept) - 1
    value = mean(fold_scores)
    return Score(
        value=value,
        # ``stdev`` rejects values that are not finite.
        std=None if len(fold_scores) < 2 else stdev(fold_scores) if math.isfinite(value) else math.nan,
        epoch=epoch + 1,
        fold_scores=fold_scores,
    )
