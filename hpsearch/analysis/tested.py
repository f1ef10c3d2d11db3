"""An interval for every test metric of the champion, from its stored predictions."""

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.intervals import (
    Bounds,
    Interval,
    Units,
    bound_interval,
    error_interval,
    in_blocks,
    jackknife_interval,
    share_interval,
    units_of,
)
from hpsearch.analysis.predictions import Predictions
from hpsearch.analysis.statistics import Floats
from hpsearch.core.output_metrics import metric_on_rows, output_of_metric
from hpsearch.core.records import output_of
from hpsearch.core.row_values import class_numbers
from hpsearch.core.seeds import derive
from hpsearch.ledger.record import StudyRecord

_SHARES = re.compile(r"acc|auc|precision|recall|f1|f_?beta|f_?score|dice|io_?u|jaccard|specificity|sensitivity|brier")
_BELOW_ONE = re.compile(r"r2|r_?squared|explained")
_CORRELATIONS = re.compile(r"cosine|mcc|matthews|pearson|correlation|kappa")
_QUANTILES = re.compile(r"median|percentile")
_ERRORS = re.compile(r"loss|error|mae|mse|rmse|mape|entropy|deviance|distance|divergence")


def test_intervals(record: StudyRecord, predictions: Predictions | None) -> dict[str, Interval]:
    """Interval of each test metric of the champion.

    Rows are drawn as the study says that they depend on each other: whole groups with ``[data] group`` or
    ``duplicates = "group"``, blocks of time with ``[data] time`` or folds of a time series, single rows otherwise.

    Returns:
        Metric → its interval. A metric is left out if the predictions do not give the champion's own value of it, or
        if they lack the groups or times that rows depend on, as those of earlier versions do.
    """
    champion = record.champion
    if champion is None or predictions is None or not len(predictions.y_true) or _lacks_order(record, predictions):
        return {}
    seed = derive(record.spec.seed, "test-interval")
    found = {}
    for metric, value in champion.test.items():
        interval = _interval(record, predictions, metric, value, seed) if math.isfinite(value) else None
        if interval is not None:
            found[metric] = interval
    return found


def _lacks_order(record: StudyRecord, predictions: Predictions) -> bool:
    if record.spec.data.group and predictions.groups is None:
        return True
    ordered = bool(record.spec.data.time) or record.spec.validation.method == "time-series"
    return ordered and predictions.time is None and predictions.groups is None


def _interval(record: StudyRecord, given: Predictions, metric: str, value: float, seed: int) -> Interval | None:
    rows = metric_on_rows(record.facts.data.outputs, given.y_true, given.y_pred, metric, value, given.weights)
    if rows is None:
        return _from_left_out(record, given, metric, value, seed)
    units = units_of(rows.values, groups=given.groups, time=given.time)
    if rows.is_share:
        return share_interval(units)
    interval = error_interval(units, seed=seed)
    if interval is None or not rows.root:
        return interval
    return Interval(math.sqrt(interval.low), math.sqrt(interval.high), interval.confidence, interval.method)


def _from_left_out(record: StudyRecord, given: Predictions, metric: str, value: float, seed: int) -> Interval | None:
    """From the metric's values without some rows, with jackknife pseudo-values (B. Efron, "The Jackknife, the Bootstrap
    and Other Resampling Plans", 1982; parts of unequal size: F. M. T. A. Busing and others, Statistics and Computing 9,
    1999).
    """
    left = given.left_out.get(metric)
    within = output_of_metric(record.facts.data.outputs, metric)
    plain = metric if within is None else within[1]
    if left is None or _QUANTILES.search(plain.lower()):  # a jackknife misses how much those vary (Efron 1982, 3.4)
        return None
    if not math.isclose(left.whole, value, rel_tol=1e-3, abs_tol=1e-4):
        return None
    units = units_from_left_out(left.whole, left.without, given.parts)
    if len(units.sums) < 2:
        return None
    if given.time is not None and given.groups is None:
        units = in_blocks(units)
    bounds = bounds_of(plain, [value, *left.without[np.isfinite(left.without)].tolist()])
    reached = [end for end in (bounds.low, bounds.high) if math.isclose(value, end, abs_tol=1e-6)]
    if reached:
        rows = deciding_rows(_classes_of(record, given, metric), len(given.y_true), groups=given.groups)
        return bound_interval(min(rows, len(units.sums)) if given.time is not None else rows, bounds, value=reached[0])
    # Pseudo-values of a mean over rows are the values of the rows, and such a mean is their mean.
    if bounds == Bounds(low=0.0) and math.isclose(units.mean, value, rel_tol=1e-3):
        return error_interval(units, seed=seed)
    return jackknife_interval(units, bounds, value=value)


def _classes_of(record: StudyRecord, given: Predictions, metric: str) -> NDArray[np.intp] | None:
    """Class of each row, in the output that a metric is of; None of values."""
    data, truth = record.facts.data, given.y_true
    found, task = output_of_metric(data.outputs, metric), data.task
    if found is not None:
        task, truth = found[0].task, output_of(truth, found[0].name)
    return class_numbers(truth) if task.has_classes and truth.ndim <= 2 else None


def deciding_rows(classes: NDArray[np.intp] | None, rows: int, *, groups: NDArray[np.intp] | None) -> int:
    """How many rows or groups could have kept a metric, such as recall, from its bound: those of the rarest class.

    Args:
        classes: Class of each row; None of values.
        rows: Number of rows.
        groups: Group of each row.
    """
    place = np.arange(rows) if groups is None else groups
    if classes is None:
        return len(np.unique(place))
    return min(len(np.unique(place[classes == one])) for one in np.unique(classes))


def units_from_left_out(whole: float, without: Floats, parts: NDArray[np.intp]) -> Units:
    """Pseudo-values as units.

    Args:
        whole: The metric over all rows.
        without: Without each part; a part whose absence leaves no value is left out itself.
        parts: Number of the part of each row.
    """
    sizes = np.bincount(parts, minlength=len(without)).astype(float)
    sums = sizes.sum() * whole - (sizes.sum() - sizes) * without
    usable = np.isfinite(sums) & (sizes > 0)
    return Units(sums[usable], sizes[usable], "parts of the rows")


def bounds_of(metric: str, values: list[float]) -> Bounds:
    """Where a metric lies, told by its name; anywhere if its values do not fit."""
    name = metric.lower()
    known: Mapping[re.Pattern[str], Bounds] = {
        _ERRORS: Bounds(low=0.0),
        _BELOW_ONE: Bounds(high=1.0),
        _CORRELATIONS: Bounds(-1.0, 1.0),
        _SHARES: Bounds(0.0, 1.0),
    }
    for pattern, bounds in known.items():
        if pattern.search(name) and bounds.low <= min(values) and max(values) <= bounds.high:
            return bounds
    return Bounds()
