"""How much picking the best trial overstates its score."""

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.statistics import selection_optimism
from hpsearch.core.seeds import derive
from hpsearch.ledger.record import StudyRecord

METHOD = (
    "bootstrap bias correction over folds, after Tsamardinos, Greasidou & Borboudakis "
    "(BBC-CV, Machine Learning 107, 2018)"
)


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
    """

    method: str
    reason: str
    trials: int
    score: float | None
    optimism: float | None
    corrected: float | None


def optimism_info(record: StudyRecord) -> OptimismInfo:
    """Estimate how much the best of N scores overstates its trial.

    The estimate covers the choice of the trial, not the choice of the epoch. ``hpsearch run --nested`` measures both.
    """
    best = record.best
    if best is None or best.score is None:
        return OptimismInfo(METHOD, "no trial is complete", 0, None, None, None)
    n_folds = len(best.fold_scores)
    scores = np.array([t.fold_scores for t in record.ranked if len(t.fold_scores) == n_folds], dtype=float)
    scores = scores[np.isfinite(scores).all(axis=1)]
    reason = ""
    if n_folds < 2:
        reason = "a single validation split has no spread"
    elif len(scores) < 2:
        reason = "there is no other trial to pick from"
    if reason:
        return OptimismInfo(METHOD, reason, len(scores), best.score, None, None)
    sign = 1.0 if record.objective.direction == "maximize" else -1.0
    optimism = selection_optimism(sign * scores, seed=derive(record.spec.seed, "optimism"))
    if not math.isfinite(optimism):
        return OptimismInfo(METHOD, "the scores are not finite", len(scores), best.score, None, None)
    return OptimismInfo(METHOD, "", len(scores), best.score, optimism, best.score - sign * optimism)
