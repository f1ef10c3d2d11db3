"""The metrics that a task calls for, computed from all predictions of some rows at once.

One definition for the objective's curve, the tables of the winner, its test and the baseline. They are means over rows
or counts of pairs of rows, never averages over batches, so they do not depend on ``batch_size``.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.row_values import Floats, class_numbers, class_probabilities, residuals_of
from hpsearch.portable.outputs import are_logits, label_probabilities, probabilities

Array = NDArray[np.generic]

_MANY_CLASSES = 10
"""With more classes than this, ``top_5_accuracy`` is among the metrics of the winner."""

_ONLY_ASKED_FOR = {"mse", "recall", "precision"}
"""Metrics for objectives and limits: RMSE says the same as the first, and the report has the others of each class."""

_LEAST = 1e-7
"""Keras' epsilon: the lowest probability in a logarithm."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that every study of a task has.

    Attributes:
        name: Without ``val_``.
        direction: Whether lower or higher is better.
        of: Its value, of targets and predictions in the form that the task's metrics share, and of the rows' weights.
    """

    name: str
    direction: Literal["minimize", "maximize"]
    of: Callable[[Floats, Floats, Floats], float]


def metrics_for(task: Task) -> dict[str, Metric]:
    """The metrics of a task by name; each of them, with ``val_``, can be an objective."""
    return {one.name: one for one in _OF_TASK[task]}


def direction_of(curve: str) -> Literal["minimize", "maximize"] | None:
    """Whether lower or higher is better, if `curve` is the loss or a metric of some task, with ``val_`` or without."""
    name = curve.removeprefix("val_")
    if name == "loss":
        return "minimize"
    return next((one.direction for metrics in _OF_TASK.values() for one in metrics if one.name == name), None)


def names_shown(task: Task, n_classes: int) -> tuple[str, ...]:
    """The metrics that are computed for every winner, in order."""
    left_out = set() if n_classes > _MANY_CLASSES else {"top_5_accuracy"}
    return tuple(one.name for one in _OF_TASK[task] if one.name not in left_out | _ONLY_ASKED_FOR)


def values_of(
    task: Task,
    y: Array,
    predicted: NDArray[np.generic],
    names: Collection[str] | None = None,
    *,
    weights: Array | None = None,
) -> dict[str, float]:
    """Metrics of some predictions by name; NaN where one has no value on these rows.

    Args:
        task: Of the study.
        y: Targets, as in :class:`~hpsearch.data.dataset.Part`.
        predicted: The model's output for the same rows.
        names: Those wanted; None for all of the task.
        weights: How much each row counts; 1 by default.

    Returns:
        Empty if the output has no form that is known for the task.
    """
    shaped = _in_common_form(task, y, predicted) if _OF_TASK[task] else None
    if shaped is None:
        return {}
    wanted = [one for one in _OF_TASK[task] if names is None or one.name in names]
    truth, output = shaped
    if not len(truth) or not np.isfinite(output).all():
        return {one.name: math.nan for one in wanted}
    counts = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    return {one.name: float(one.of(truth, output, counts)) for one in wanted}


def _in_common_form(task: Task, y: Array, predicted: NDArray[np.generic]) -> tuple[Floats, Floats] | None:
    """Class numbers and shares ``(n, classes)``; labels and their probabilities; or values ``(n, targets)``."""
    if not isinstance(predicted, np.ndarray) or len(y) != len(predicted) or max(y.ndim, predicted.ndim) > 2:
        return None
    if task is Task.REGRESSION:
        if y.size != predicted.size:
            return None
        values = y.astype(np.float64).reshape(len(y), -1)
        return values, values + residuals_of(y, predicted.astype(np.float64))
    if task is Task.MULTILABEL:
        return (y.astype(np.float64), label_probabilities(predicted)) if y.shape == predicted.shape else None
    truth = class_numbers(y).astype(np.float64)
    # Probabilities stay as they are: dividing them by their sum would tell equal ones apart.
    shares = probabilities(predicted) if are_logits(predicted) else class_probabilities(predicted.astype(np.float64))
    return (truth, shares) if not len(truth) or int(truth.max()) < shares.shape[1] else None


def threshold_counts(
    positive: NDArray[np.bool_], score: Floats, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """How many positive and how many negative rows have at least each score that occurs, the highest first.

    Args:
        positive: Which rows are positive.
        score: Of each row.
        weights: How much each row counts; 1 by default.
    """
    order = np.argsort(-score)
    ordered, counts = score[order], np.ones(len(score)) if weights is None else weights[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(positive[order] * counts)[ends].astype(np.float64)
    return hits, np.cumsum(counts)[ends] - hits


def _auc(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> float:
    hits, alarms = threshold_counts(positive, score, weights)
    if not hits[-1] or not alarms[-1]:
        return math.nan
    return float(np.trapezoid(np.append(0, hits), np.append(0, alarms)) / (hits[-1] * alarms[-1]))


def _average_precision(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> float:
    hits, alarms = threshold_counts(positive, score, weights)
    if not hits[-1] or not alarms[-1]:
        return math.nan
    said = hits + alarms
    precision = np.divide(hits, said, out=np.zeros_like(hits), where=said > 0)  # of rows of weight 0 there may be none
    return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])


_OfOne = Callable[[NDArray[np.bool_], Floats, Floats], float]
"""A value for one class or label: of the rows that have it, their scores and weights."""


def _over_classes(one: _OfOne) -> Callable[[Floats, Floats, Floats], float]:
    """One-vs-rest, averaged over the classes that have a value; with two classes, of the second one."""

    def of(truth: Floats, shares: Floats, weights: Floats) -> float:
        if shares.shape[1] == 2:
            return one(truth == 1, shares[:, 1], weights)
        return _mean([one(truth == number, shares[:, number], weights) for number in range(shares.shape[1])])

    return of


def _over_labels(one: _OfOne) -> Callable[[Floats, Floats, Floats], float]:
    def of(truth: Floats, shares: Floats, weights: Floats) -> float:
        return _mean([one(truth[:, label] == 1, shares[:, label], weights) for label in range(shares.shape[1])])

    return of


def _mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _average(values: NDArray[np.generic], weights: Floats) -> float:
    """Mean over rows by their weights, and over the places of a row."""
    total = float(weights.sum())
    if not total:
        return math.nan
    rows = np.asarray(values, np.float64).reshape(len(values), -1).mean(axis=1)
    return float((rows * weights).sum()) / total


def _accuracy(truth: Floats, shares: Floats, weights: Floats) -> float:
    return _average(shares.argmax(axis=1) == truth, weights)


def _balanced_accuracy(truth: Floats, shares: Floats, weights: Floats) -> float:
    right = shares.argmax(axis=1) == truth
    return _mean([_average(right[truth == one], weights[truth == one]) for one in np.unique(truth)])


def _f1(truth: NDArray[np.bool_], said: NDArray[np.bool_], weights: Floats) -> float:
    both = float((truth * weights).sum() + (said * weights).sum())
    return 2 * float(((truth & said) * weights).sum()) / both if both else 0.0


def _f1_macro(truth: Floats, shares: Floats, weights: Floats) -> float:
    said = shares.argmax(axis=1)
    return _mean([_f1(truth == one, said == one, weights) for one in np.union1d(truth, said)])


def _recall(truth: Floats, shares: Floats, weights: Floats) -> float:
    """Of the second of two classes."""
    return _average(shares.argmax(axis=1)[truth == 1] == 1, weights[truth == 1])


def _precision(truth: Floats, shares: Floats, weights: Floats) -> float:
    """Of the second of two classes; 0, as in scikit-learn and Keras, if no row is said to be of it."""
    said = shares.argmax(axis=1) == 1
    return _average(truth[said] == 1, weights[said]) if (said * weights).any() else 0.0


def _log_loss(truth: Floats, shares: Floats, weights: Floats) -> float:
    of_truth = shares[np.arange(len(truth)), truth.astype(np.intp)]
    return _average(-np.log(np.clip(of_truth, _LEAST, 1.0)), weights)


def _top_5(truth: Floats, shares: Floats, weights: Floats) -> float:
    """Rows whose class is among the five most probable ones. Of classes that are equally probable, any may be first."""
    own = shares[np.arange(len(truth)), truth.astype(np.intp)][:, None]
    before, equal = (shares > own).sum(axis=1), (shares == own).sum(axis=1)
    return _average(np.clip((5 - before) / equal, 0, 1), weights)


def _labels_right(truth: Floats, shares: Floats, weights: Floats) -> float:
    return _average((shares > 0.5) == truth, weights)


def _rows_right(truth: Floats, shares: Floats, weights: Floats) -> float:
    return _average(((shares > 0.5) == truth).all(axis=1), weights)


def _f1_of_labels(truth: Floats, shares: Floats, weights: Floats) -> float:
    return _mean([_f1(truth[:, one] == 1, shares[:, one] > 0.5, weights) for one in range(shares.shape[1])])


def _log_loss_of_labels(truth: Floats, shares: Floats, weights: Floats) -> float:
    return _average(-np.log(np.clip(np.where(truth == 1, shares, 1 - shares), _LEAST, 1.0)), weights)


def _r2(truth: Floats, predicted: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    if not total:
        return math.nan
    counts = weights[:, None]
    spread = (((truth - (truth * counts).sum(axis=0) / total) ** 2) * counts).sum(axis=0)
    missed = (((truth - predicted) ** 2) * counts).sum(axis=0)
    return _mean(
        [1 - float(one / all_of_it) if all_of_it else math.nan for one, all_of_it in zip(missed, spread, strict=True)]
    )


def _mae(truth: Floats, predicted: Floats, weights: Floats) -> float:
    return _average(np.abs(truth - predicted), weights)


def _mse(truth: Floats, predicted: Floats, weights: Floats) -> float:
    return _average((truth - predicted) ** 2, weights)


def _rmse(truth: Floats, predicted: Floats, weights: Floats) -> float:
    return math.sqrt(_mse(truth, predicted, weights))


_CLASSES = (
    Metric("accuracy", "maximize", _accuracy),
    Metric("balanced_accuracy", "maximize", _balanced_accuracy),
    Metric("f1_macro", "maximize", _f1_macro),
    Metric("auc", "maximize", _over_classes(_auc)),
    Metric("pr_auc", "maximize", _over_classes(_average_precision)),
    Metric("log_loss", "minimize", _log_loss),
    Metric("top_5_accuracy", "maximize", _top_5),
)
_OF_TASK: dict[Task, tuple[Metric, ...]] = {
    Task.SEVERAL: (),
    Task.NONE: (),
    Task.BINARY: (
        *_CLASSES[:-1],
        Metric("recall", "maximize", _recall),
        Metric("precision", "maximize", _precision),
    ),
    Task.MULTICLASS: _CLASSES,
    Task.MULTILABEL: (
        Metric("accuracy", "maximize", _labels_right),
        Metric("exact_match", "maximize", _rows_right),
        Metric("f1_macro", "maximize", _f1_of_labels),
        Metric("auc", "maximize", _over_labels(_auc)),
        Metric("pr_auc", "maximize", _over_labels(_average_precision)),
        Metric("log_loss", "minimize", _log_loss_of_labels),
    ),
    Task.REGRESSION: (
        Metric("r2", "maximize", _r2),
        Metric("mae", "minimize", _mae),
        Metric("rmse", "minimize", _rmse),
        Metric("mse", "minimize", _mse),
    ),
}
