"""Whether the best trial has learnt anything: against baselines that look at no inputs, and class by class."""

import math
from collections.abc import Sequence

from hpsearch.analysis import words
from hpsearch.analysis.predictions import ClassScore, PredictionsInfo
from hpsearch.analysis.statistics import ALPHA, corrected_t_test
from hpsearch.core.facts import Task
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

_NAMED = 5
"""Classes that a sentence names at most."""

_BLIND = frozenset(
    {
        *("loss", "log_loss", "neg_log_loss", "crossentropy"),
        *("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"),
        *("acc", "accuracy", "exact_match", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
        *("top_5_accuracy", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"),
    }
)
"""Metrics that the larger classes decide, without ``val_``: of the tasks, of Keras and of scikit-learn."""


def beats_baseline(record: StudyRecord, best: Trial, baseline: Baseline) -> bool | None:
    """Whether the winner is better than a baseline; None if the folds cannot tell the two apart."""
    if best.score is None or not is_better(record, best.score, baseline):
        return False
    if len(best.fold_scores) < 2 or len(best.fold_scores) != len(baseline.fold_scores):
        return True
    ratio = record.facts.validation_ratio(record.objective.metric)
    return True if corrected_t_test(best.fold_scores, baseline.fold_scores, ratio=ratio).p < ALPHA else None


def is_better(record: StudyRecord, score: float, baseline: Baseline) -> bool:
    """Whether a score is better than a baseline by more than float32 rounds: a model that says what it says is not."""
    rounded = math.isclose(score, baseline.value, rel_tol=1e-6, abs_tol=1e-9)
    return not rounded and record.objective.better(score, baseline.value)


def doubt_about_learning(record: StudyRecord, best: Trial, seen: PredictionsInfo) -> str:
    """What comes before everything else if the winner is no better than a baseline, or is blind to a class.

    Args:
        record: The study.
        best: Its winner.
        seen: The winner's predictions of rows that it did not train on.

    Returns:
        Empty if there is no such doubt.
    """
    never, baseline = seen.never_predicted, record.facts.baseline
    beats = None if baseline is None else beats_baseline(record, best, baseline)
    if baseline is None or beats:
        return f"The best trial never predicts {_classes(record, never)}.{_other_metric(record)}" if never else ""
    how = "no" if beats is False else "not clearly"
    than = "a naive forecast" if baseline.looks_back else "guessing"
    blind = f"; it never predicts {_classes(record, never)}" if never else ""
    return (
        f"The best trial is {how} better than {than}: its {record.objective.metric} is {words.number(best.score)}, and "
        f"always saying {baseline.rule} scores {words.number(baseline.value)}{blind}."
        f"{_other_metric(record) if never else ''}"
    )


def beaten_baseline(record: StudyRecord, baseline: Baseline) -> str:
    """What the baseline scores, and how many trials are no better."""
    scores = [trial.score for trial in record.ranked if trial.score is not None]
    worse = sum(not is_better(record, score, baseline) for score in scores)
    said = f"Always saying {baseline.rule} scores {words.number(baseline.value)}"
    if 2 * worse < len(scores):
        return f"{said}."
    are = "is" if worse == 1 else "are"
    return f"{said}; {worse:,} of {words.several(len(scores), 'complete trial')} {are} no better."


def _classes(record: StudyRecord, never: Sequence[ClassScore]) -> str:
    named = [f"{one.name[:40]!r} ({words.several(one.support, 'row')})" for one in never[:_NAMED]]
    if len(never) > _NAMED:
        named.append(f"{len(never) - _NAMED} more of {len(record.facts.data.classes)}")
    return words.joined(named, "or")


def _other_metric(record: StudyRecord) -> str:
    """Which objective would not have let this win; empty if the study's own is not one that the larger classes decide.

    None that only looks at ranks, such as an AUC: it can be high where no probability is above a half.
    """
    if record.facts.data.outputs or record.objective.metric.removeprefix("val_") not in _BLIND:
        return ""
    labels = record.facts.data.task is Task.MULTILABEL
    others = '"val_f1_macro" does' if labels else '"val_balanced_accuracy" and "val_f1_macro" do'
    return f" The objective lets a model win that is blind to rare classes; {others} not."
