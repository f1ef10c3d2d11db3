"""How much picking the best trial and epoch overstates the score."""

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.out_of_fold import OutOfFold, row_scores
from hpsearch.analysis.statistics import rows_optimism, selection_optimism
from hpsearch.core.seeds import derive
from hpsearch.ledger.record import StudyRecord

_SOURCE = "after Tsamardinos, Greasidou & Borboudakis (BBC-CV, Machine Learning 107, 2018)"
OVER_FOLDS = f"bootstrap bias correction over folds, {_SOURCE}; the choice of the epoch is not corrected"
OVER_ROWS = f"bootstrap bias correction over validation rows, trials and epochs, {_SOURCE}"


@dataclass(frozen=True, slots=True)
class OptimismInfo:
    """Best-of-N optimism.

    Attributes:
        method: The estimator and its source.
        reason: Why there is no estimate; empty otherwise.
        trials: Number of complete trials that the winner was picked from.
        score: The winner's score.
        optimism: How much the score is expected to overstate the winner, never negative; None without an estimate.
        corrected: The score corrected for the optimism, in the direction of worse; None without an estimate.
        low: Lower end of a 95 % range for the corrected score; None unless the rows' predictions are kept.
        high: Upper end.
    """

    method: str
    reason: str
    trials: int
    score: float | None
    optimism: float | None
    corrected: float | None
    low: float | None = None
    high: float | None = None


def optimism_info(record: StudyRecord, kept: OutOfFold | None = None) -> OptimismInfo:
    """Estimate how much the best of N scores overstates its trial.

    Args:
        record: The study.
        kept: Predictions for the validation rows. Without them, or if the metric is no mean over rows, the estimate
            rests on the folds' scores, and covers the choice of the trial but not of the epoch.
            ``hpsearch run --nested`` measures both.
    """
    best = record.best
    if best is None or best.score is None:
        return OptimismInfo(OVER_FOLDS, "no trial is complete", 0, None, None, None)
    n_folds = len(best.fold_scores)
    alike = [trial for trial in record.ranked if len(trial.fold_scores) == n_folds]
    scores = np.array([trial.fold_scores for trial in alike], dtype=float)
    finite = np.isfinite(scores).all(axis=1)
    scores, alike = scores[finite], [trial for trial, is_finite in zip(alike, finite, strict=True) if is_finite]
    sign = 1.0 if record.objective.direction == "maximize" else -1.0
    seed = derive(record.spec.seed, "optimism")
    if record.spec.validation.seeds > 1:  # predictions are of one training, scores of several
        kept = None
    rows = row_scores(
        alike,
        kept or {},
        record.objective.metric,
        last_epoch=record.objective.epoch == "last",
        outputs=record.facts.data.outputs,
    )
    if rows is not None and len(rows.values) > 1:
        found = rows_optimism(sign * rows.values, rows.weights, rows.units, seed=seed)
        picked = float((sign * (rows.values @ rows.weights)).max())
        over_rows, *ends = [math.sqrt(max(sign * one, 0.0)) if rows.root else sign * one for one in (picked, *found)]
        # The mean over folds of a root is less than the root over all rows, without any luck.
        corrected, *ends = [best.score + one - over_rows for one in ends]
        low, high = min(ends), max(ends)
        corrected = min(corrected, best.score) if sign > 0 else max(corrected, best.score)
        return OptimismInfo(OVER_ROWS, "", len(scores), best.score, abs(best.score - corrected), corrected, low, high)
    reason = ""
    if n_folds < 2:
        reason = "a single validation split has no spread"
    elif len(scores) < 2:
        reason = "there is no other trial to pick from"
    if reason:
        return OptimismInfo(OVER_FOLDS, reason, len(scores), best.score, None, None)
    optimism = selection_optimism(sign * scores, seed=seed)
    if not math.isfinite(optimism):
        return OptimismInfo(OVER_FOLDS, "the scores are not finite", len(scores), best.score, None, None)
    return OptimismInfo(OVER_FOLDS, "", len(scores), best.score, optimism, best.score - sign * optimism)
