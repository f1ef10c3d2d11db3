"""What is reached without a model: predictions that look at no inputs, learnt from the targets of the training rows.

A constant is the best that can be said of rows of which nothing is known. Where rows have a time, there is also the
naive forecast: the last value, and the value one time step before (R. J. Hyndman, G. Athanasopoulos, *Forecasting:
Principles and Practice*, 2021, 5.2). The latter knows the targets of all earlier steps, as a model with lagged inputs
does.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.facts import Task
from hpsearch.core.foreign import said
from hpsearch.core.metrics import metrics_for, values_of
from hpsearch.core.objective import Objective
from hpsearch.core.rehearsed import Baseline
from hpsearch.data.dataset import Array, Part
from hpsearch.training.untrained import Floats, Stand

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_VALUES = 20_000_000
"""Predicted numbers of some rows; larger outputs, such as images, get no baseline."""

_BEFORE = "the target of the time step before"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows without their inputs.

    Attributes:
        y: Targets.
        time: Time of each row; None if order does not matter.
        weights: How much each row counts; None if all count alike.
    """

    y: Array
    time: Array | None
    weights: Array | None


def baselines(stand: Stand, objective: Objective, left_out: Sequence[int]) -> tuple[Baseline, ...]:
    """What the objective is for predictions that look at no inputs, the best first.

    Args:
        stand: The study's data and model.
        objective: Whose metric counts.
        left_out: Folds in which it has no value.

    Returns:
        Empty if the metric is of the training rows, or has no value for such predictions.
    """
    from hpsearch.models.standardized import standardize_as

    if not _can_have_one(stand, objective):
        return ()
    name, problem = objective.metric.removeprefix("val_"), stand.problem
    part = problem.dataset.train
    rows = _Rows(part.y, problem.time_of(part), part.weights)
    scores: dict[str, list[float]] = {}
    others: dict[str, list[dict[str, float]]] = {}
    for fold in problem.folds:
        train, validation = _take(rows, fold.train), _take(rows, fold.validation)
        standardize_as(stand.model, train.y, train.weights)
        for rule, predicted in _guesses(stand, train, validation):
            others.setdefault(rule, []).append(
                values_of(problem.dataset.task, validation.y, predicted, weights=validation.weights)
            )
            if fold.index not in left_out:
                values = stand.values(validation.y, predicted, validation.weights)
                scores.setdefault(rule, []).append(values.get(name, math.nan))
    first = _take(rows, problem.folds[0].train)
    standardize_as(stand.model, first.y, first.weights)  # it is the first fold's
    made = [
        Baseline(rule, fmean(found), tuple(found), _means(others[rule]), looks_back=rule == _BEFORE)
        for rule, found in scores.items()
        if math.isfinite(sum(found))
    ]
    sign = -1 if objective.direction == "maximize" else 1
    return tuple(sorted(made, key=lambda one: sign * one.value))


def baseline_of_test(stand: Stand, test: Part, objective: Objective) -> dict[str, float]:
    """The best that each metric of some rows is for predictions that look at no inputs.

    They know the development rows' targets; where rows have a time, the naive forecast also knows those of earlier test
    rows.

    Args:
        stand: The study's data and model.
        test: The rows.
        objective: Says which direction of its metric is the better one.

    Returns:
        Only metrics of which is known whether higher or lower is better.
    """
    if not stand.usable or len(test) * math.prod(stand.sample.shape[1:]) > _MOST_VALUES:
        return {}
    problem = stand.problem
    train, task = problem.dataset.train, problem.dataset.task
    before = _Rows(train.y, problem.time_of(train), train.weights)
    rows = _Rows(test.y, problem.time_of(test, after=len(train)), test.weights)
    best: dict[str, float] = {}
    for _, predicted in _guesses(stand, before, rows):
        found = values_of(task, test.y, predicted, weights=test.weights)
        found |= stand.values(test.y, predicted, test.weights)
        for name, value in found.items():
            better = better_one(task, name, objective)
            if better is not None and math.isfinite(value):
                best[name] = better(best.get(name, value), value)
    return best


def better_one(task: Task, name: str, objective: Objective) -> Callable[[float, float], float] | None:
    """``max`` or ``min``, whichever finds the better value of a metric; None if that is not known."""
    if name == objective.metric.removeprefix("val_"):
        return max if objective.direction == "maximize" else min
    if name == "loss":
        return min
    known = metrics_for(task).get(name)
    return None if known is None else max if known.direction == "maximize" else min


def _means(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each metric over the folds in which it has a value."""
    found: dict[str, list[float]] = {}
    for fold in folds:
        for name, value in fold.items():
            if math.isfinite(value):
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def _can_have_one(stand: Stand, objective: Objective) -> bool:
    """Whether the objective is of validation rows and of predictions, and these have a form and size that is known."""
    from hpsearch.keras_internals.compiled import has_own_loss

    if not objective.metric.startswith("val_") or not stand.usable:
        return False
    if objective.metric == "val_loss" and has_own_loss(stand.model):
        return False
    largest = max(len(fold.validation) for fold in stand.problem.folds)
    return largest * math.prod(stand.sample.shape[1:]) <= _MOST_VALUES


def doubts_about_baseline(
    stand: Stand, objective: Objective, left_out: Sequence[int], found: Sequence[Baseline]
) -> tuple[str, ...]:
    """A sentence if the objective has no value for a model that says the same for all rows."""
    folds = len(stand.problem.folds)
    if found or not _can_have_one(stand, objective) or len(left_out) == folds:
        return ()
    why = f"raises {said(stand.raised[0])}" if stand.raised else "is not a finite number"
    return (
        f"the study has no baseline: for predictions that are the same in all rows, {objective.metric} {why}. If it "
        "returned a value there, the report could say whether the best model has learned anything",
    )


def _take(rows: _Rows, picked: "NDArray[np.intp]") -> _Rows:
    time, weights = (None if one is None else one[picked] for one in (rows.time, rows.weights))
    return _Rows(rows.y[picked], time, weights)


def _guesses(stand: Stand, train: _Rows, rows: _Rows) -> Iterator[tuple[str, Floats]]:
    """What may be said of some rows without their inputs: a rule in words, and its predictions."""
    for rule, one in _constants(stand, train.y, train.weights):
        yield rule, np.repeat(one, len(rows.y), axis=0)
    if train.time is None or rows.time is None:
        return
    times, place = np.unique(np.concatenate([train.time, rows.time]), return_inverse=True)
    of_steps = _of_steps(stand, np.concatenate([train.y, rows.y]), place, len(times))
    last = int(place[: len(train.y)].max())
    yield "the last target before the fold", np.repeat(of_steps[last : last + 1], len(rows.y), axis=0)
    yield _BEFORE, of_steps[np.maximum(place[len(train.y) :] - 1, 0)]


def _of_steps(stand: Stand, y: Array, place: "NDArray[np.intp]", steps: int) -> Floats:
    """The target of each time step as a prediction: the mean, or the commonest class, of its rows."""
    data = stand.problem.dataset
    if data.task in (Task.REGRESSION, Task.MULTILABEL):
        sums = np.zeros((steps, *y.shape[1:]))
        np.add.at(sums, place, y.astype(np.float64))
        counts = np.bincount(place, minlength=steps).reshape(-1, *[1] * (y.ndim - 1))
        return stand.of_targets(sums / counts) if data.task is Task.REGRESSION else stand.of_labels(sums / counts)
    votes = np.zeros((steps, len(data.classes)))
    np.add.at(votes, (place, stand.classes_of(y)), 1)
    return stand.of_shares(np.eye(len(data.classes), dtype=np.float32)[votes.argmax(axis=1)])


def _constants(stand: Stand, y: Array, weights: Array | None) -> Iterator[tuple[str, Floats]]:
    """What may be said of every row, as a prediction of one row."""
    data = stand.problem.dataset
    counts = np.ones(len(y)) if weights is None else weights.astype(np.float64)
    if data.task is Task.REGRESSION:
        values = y.astype(np.float64)
        yield "the mean of the targets", stand.of_targets(np.average(values, axis=0, weights=counts)[None])
        yield "the median of the targets", stand.of_targets(_median(values, None if weights is None else counts)[None])
        return
    if data.task is Task.MULTILABEL:
        shares = np.average(y.astype(np.float64), axis=0, weights=counts)[None]
        yield "the more frequent value of each label", stand.of_labels((shares > 0.5).astype(np.float32))
        yield "the shares of the labels", stand.of_labels(shares)
        return
    of_class = np.bincount(stand.classes_of(y), weights=counts, minlength=len(data.classes))
    identity = np.eye(len(data.classes), dtype=np.float32)
    if len(data.classes) > 2:
        yield "the commonest class", stand.of_shares(identity[of_class.argmax()][None])
    else:
        for number, name in enumerate(data.classes):
            yield repr(name), stand.of_shares(identity[number][None])
    yield "the shares of the classes", stand.of_shares((of_class / of_class.sum()).astype(np.float32)[None])


def _median(values: Array, weights: Array | None) -> Array:
    """Of each target; of weighted rows, the value up to which half of the weight lies."""
    if weights is None:
        return np.asarray(np.median(values.astype(np.float64), axis=0))
    flat = values.reshape(len(values), -1)
    found = []
    for column in flat.T:
        order = np.argsort(column)
        total = np.cumsum(weights[order])
        found.append(column[order][np.searchsorted(total, total[-1] / 2)])
    return np.array(found).reshape(values.shape[1:])
