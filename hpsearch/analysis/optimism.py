"""How much the search itself flatters its winner."""

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
        reason: Why there is no estimate; empty where there is one.
        trials: Number of complete trials that the winner was picked from.
        score: The winner's score.
        optimism: How much better than it is worth that score is expected to be, never negative; None without estimate.
        corrected: The score less the optimism (plus, where lower is better); None without estimate.
    """

    method: str
    reason: str
    trials: int
    score: float | None
    optimism: float | None
    corrected: float | None


def optimism_info(record: StudyRecord) -> OptimismInfo:
    """Estimate by how much the best of N scores flatters its trial.

    Only the choice among trials is corrected, not the choice of the epoch; ``hpsearch run --nested`` measures both.
    """
    best = record.best
    if best is None or best.score is None:
        return OptimismInfo(METHOD, "no trial is complete", 0, None, None, None)
    n_folds = len(best.fold_scores)
    scores = np.array([t.fold_scores for t in record.ranked if len(t.fold_scores) == n_folds], dtype=float)
    scores = scores[np.isfinite(scores).all(axis=1)]
    reason = ""
    if n_folds < 2:
        reason = "one validation split gives no spread to judge by"
    elif len(scores) < 2:
        reason = "there is no other trial that it was picked from"
    if reason:
        return OptimismInfo(METHOD, reason, len(scores), best.score, None, None)
    sign = 1.0 if record.objective.direction == "maximize" else -1.0
    optimism = selection_optimism(sign * scores, seed=derive(record.spec.seed, "optimism"))
    if not math.isfinite(optimism):
        return OptimismInfo(METHOD, "the scores are not finite", len(scores), best.score, None, None)
    return OptimismInfo(METHOD, "", len(scores), best.score, optimism, best.score - sign * optimism)
