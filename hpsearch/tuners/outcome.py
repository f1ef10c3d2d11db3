"""What tuners learn about finished trials."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.trial import Trial, TrialState


def score_of(trial: Trial) -> float | None:
    """The finite score of a complete or pruned trial; None for other trials, also for those that break a limit."""
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return None
    return trial.score if trial.score is not None and math.isfinite(trial.score) else None


def reached(trial: Trial) -> float | None:
    """The same, and the finite score of a trial that breaks a limit: for algorithms that know of limits."""
    if trial.state is not TrialState.INFEASIBLE:
        return score_of(trial)
    return trial.score if trial.score is not None and math.isfinite(trial.score) else None


def is_worst(trial: Trial) -> bool:
    """Whether the trial counts as worse than all others: it diverged, or breaks a limit and was not trained."""
    return has_diverged(trial) or (trial.state is TrialState.INFEASIBLE and reached(trial) is None)


def has_diverged(trial: Trial) -> bool:
    """Whether the trial counts as worse than all others: it diverged, or its score is not finite."""
    return trial.state is TrialState.DIVERGED or (trial.state is TrialState.COMPLETE and score_of(trial) is None)


def penalty(scores: Iterable[float], direction: str) -> float:
    """The score of diverged trials: worse than the worst score by half the range of all scores.

    Half a range keeps models that use distances (Gaussian processes) on the scale of the real scores. If all scores are
    equal, 5 % of their size (at least 0.001) replaces half the range. Without scores, the penalty is 0.

    Args:
        scores: Finite scores.
        direction: ``"minimize"`` or ``"maximize"``.
    """
    known = list(scores)
    if not known:
        return 0.0
    low, high = min(known), max(known)
    worst, sign = (low, -1.0) if direction == "maximize" else (high, 1.0)
    margin = 0.5 * (high - low) or max(0.05 * abs(worst), 1e-3)
    bad = worst + sign * margin
    return bad if math.isfinite(bad) else worst


def standardised(scores: Sequence[float | None], direction: str) -> tuple[NDArray[np.float64], float]:
    """Scores of mean 0 and deviation 1, larger is better; and what 1 is in their own units.

    Bad ones are all the same from some point on: trials that nearly diverge would make all others look alike.

    Args:
        scores: Finite scores; None for trials that diverged.
        direction: ``"minimize"`` or ``"maximize"``.
    """
    bad = penalty((one for one in scores if one is not None), direction)
    values = np.array([bad if one is None else one for one in scores]) * (1.0 if direction == "maximize" else -1.0)
    middle = float(np.median(values))
    reach = max(float(values.max()) - middle, 1e-12)
    kept = np.maximum(values, middle - 1.5 * reach)
    unit = max(float(kept.std()), 1e-12)
    return (kept - kept.mean()) / unit, unit
