"""What may be said of rows without looking at their inputs, learnt from the targets of other rows.

A constant is the best that can be said of rows of which nothing is known. Where rows have a time, there is also the
naive forecast: the last value, and the value one time step before (R. J. Hyndman, G. Athanasopoulos, *Forecasting:
Principles and Practice*, 2021, 5.2). The latter knows the targets of all earlier steps, as a model with lagged inputs
does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.records import output_of
from hpsearch.data.dataset import Array
from hpsearch.training.untrained import Floats, Stand

BEFORE = "the target of the time step before"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows without their inputs.

    Attributes:
        y: Targets.
        time: Time of each row; None if order does not matter.
        weights: How much each row counts; None if all count alike.
    """

    y: Array
    time: Array | None
    weights: Array | None


def of_output(rows: Rows, name: str) -> Rows:
    """The same rows with the targets of one output; as they are if there is one only, whose name is empty."""
    return replace(rows, y=output_of(rows.y, name))


def take(rows: Rows, picked: NDArray[np.intp]) -> Rows:
    """Some of the rows, in this order."""
    time, weights = (None if one is None else one[picked] for one in (rows.time, rows.weights))
    return Rows(rows.y[picked], time, weights)


def guesses(stand: Stand, train: Rows, rows: Rows) -> Iterator[tuple[str, Floats]]:
    """What may be said of some rows without their inputs: a rule in words, and its predictions."""
    for rule, one in _constants(stand, train.y, train.weights):
        yield rule, _repeated(one, len(rows.y))
    if train.time is None or rows.time is None:
        return
    times, place = np.unique(np.concatenate([train.time, rows.time]), return_inverse=True)
    of_steps = _of_steps(stand, np.concatenate([train.y, rows.y]), place, len(times))
    last = int(place[: len(train.y)].max())
    yield "the last target before the fold", _repeated(of_steps[last : last + 1], len(rows.y))
    yield BEFORE, of_steps[np.maximum(place[len(train.y) :] - 1, 0)]


def _repeated(row: Floats, count: int) -> Floats:
    """One row so many times, without a copy of it."""
    return np.broadcast_to(row, (count, *row.shape[1:]))


def _of_steps(stand: Stand, y: Array, place: NDArray[np.intp], steps: int) -> Floats:
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
