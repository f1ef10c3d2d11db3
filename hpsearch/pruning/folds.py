"""Stopping a trial between folds: one whose first folds are too poor does not train the others."""

import math
from collections.abc import Sequence
from typing import Literal

from hpsearch.core.objective import Objective, score
from hpsearch.core.trial import FoldResult, Trial, TrialState

FoldRule = Literal["forgiving", "aggressive"]


def fold_stop_reason(
    rule: FoldRule, objective: Objective, folds: Sequence[FoldResult], n_folds: int, others: Sequence[Trial]
) -> str | None:
    """Why a trial should not train its other folds.

    The rules of Bergman, Purucker & Hutter 2024, "Don't Waste Your Time: Early Stopping Cross-Validation" (AutoML
    Conference). The mean of the folds so far is compared with the best complete trial: `forgiving` stops if it is
    worse than that trial's worst fold, `aggressive` if it is worse than that trial's score.
    ``python -m benchmarks.fold_stopping`` measures both.

    Args:
        rule: See above.
        objective: What the study optimises.
        folds: The trial's finished folds; the answer depends on no other of its folds.
        n_folds: How many it is to have.
        others: The trials to compare with. Only complete ones count.

    Returns:
        The reason, in words for the user; None to go on.
    """
    best = min((t for t in others if t.state is TrialState.COMPLETE), key=objective.rank_key, default=None)
    if best is None or best.score is None or not best.fold_scores or len(folds) >= n_folds:
        return None
    if not any(objective.metric in fold.curves for fold in folds):
        return None
    own = score(objective, folds).value
    worst = min(best.fold_scores) if objective.direction == "maximize" else max(best.fold_scores)
    bar, what = (worst, "worst fold") if rule == "forgiving" else (best.score, "score")
    if math.isfinite(own) and not objective.better(bar, own):
        return None
    return (
        f"after {len(folds)} of {n_folds} folds: {own:.4g} is worse than {bar:.4g}, the {what} of trial {best.number}"
    )
