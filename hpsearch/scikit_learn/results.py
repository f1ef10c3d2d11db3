"""All trials of a study in the form of ``GridSearchCV.cv_results_``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyRecord


def cv_results(record: StudyRecord) -> dict[str, NDArray[np.generic] | list[dict[str, object]]]:
    """``GridSearchCV.cv_results_`` of a study, with one entry per trial.

    Scores are greater for better trials: a metric that is minimised is negated. Those of a trial that is not complete
    are NaN, and its rank is the last. Times of scoring are not known.

    Args:
        record: A study.
    """
    objective, trials = record.objective, record.trials
    sign = 1 if objective.direction == "maximize" else -1
    scores = np.full((len(trials), record.facts.data.n_folds), np.nan)
    means = np.full(len(trials), np.nan)
    ranks = np.full(len(trials), len(record.ranked) + 1, dtype=np.int32)
    for place, trial in enumerate(trials):
        if trial.state is TrialState.COMPLETE and trial.score is not None:
            for fold, value in trial.scores_by_fold(objective.metric).items():
                scores[place, fold] = sign * value
            means[place] = sign * trial.score
    for place in range(len(trials)):
        if np.isfinite(means[place]):
            ranks[place] = 1 + int((means > means[place]).sum())
    seconds = [[fold.seconds for fold in trial.folds] or [np.nan] for trial in trials]
    names = dict.fromkeys(name for trial in trials for name in trial.config)
    return {
        "mean_fit_time": np.array([np.mean(one) for one in seconds]),
        "std_fit_time": np.array([np.std(one) for one in seconds]),
        **{f"param_{name}": _column([trial.config.get(name) for trial in trials]) for name in names},
        "params": [dict(trial.config) for trial in trials],
        **{f"split{fold}_test_score": scores[:, fold] for fold in range(scores.shape[1])},
        "mean_test_score": means,
        # A fold in which the metric has no value is left out of the mean, and so here.
        "std_test_score": np.array(
            [np.std(one[np.isfinite(one)]) if np.isfinite(one).any() else np.nan for one in scores]
        ),
        "rank_test_score": ranks,
    }


def _column(values: list[object]) -> NDArray[np.object_]:
    """One hyperparameter of all trials, masked where it is not active."""
    column: Any = np.ma.MaskedArray(np.empty(len(values), dtype=object), mask=True)
    for place, value in enumerate(values):
        if value is not None:
            column[place] = value
    found: NDArray[np.object_] = column
    return found
