"""Metrics that are means over rows, row by row: what predictions alone tell."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ACCURACIES = {"accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"}
_ROOTS = {"rmse", "root_mean_squared_error"}
_SQUARES = {"mse", "mean_squared_error"}
_ABSOLUTES = {"mae", "mean_absolute_error"}


@dataclass(frozen=True, slots=True)
class RowValues:
    """A metric that is a mean over rows, or its root.

    Attributes:
        values: One per row.
        root: Whether the metric is the root of their mean.
        is_share: Whether the metric is a share of the rows: the values are 1 or 0.
    """

    values: Floats
    root: bool = False
    is_share: bool = False

    @property
    def metric(self) -> float:
        mean = float(self.values.mean())
        return math.sqrt(mean) if self.root else mean


def row_values(
    y_true: NDArray[np.generic], y_pred: Floats, metric: str, value: float, weights: NDArray[np.generic] | None = None
) -> RowValues | None:
    """A metric's value on every row; None unless it is one that is known here and has this value.

    Args:
        y_true: See :class:`hpsearch.analysis.Predictions`.
        y_pred: As there.
        metric: Its plain name.
        value: What it is over all rows.
        weights: How much each row counts; None if all count alike. With weights, the plain mean of the values is the
            weighted mean, and they vary as it does.
    """
    if y_true.ndim > 2 or y_pred.ndim > 2 or not len(y_true):
        return None  # arrays per row: the metric may be of pixels, or of steps
    candidates = _candidates(y_true, y_pred, metric)
    if weights is not None:
        candidates = [weighed for one in candidates for weighed in _weighed(one, np.asarray(weights, float))]
    nearest = min(candidates, key=lambda one: abs(one.metric - value), default=None)
    if nearest is None:
        return None
    # A loss may be in any unit: what is little depends on the rows.
    largest = float(np.abs(nearest.values).max())
    little = 1e-4 * min(1.0, math.sqrt(largest) if nearest.root else largest)
    return nearest if math.isclose(nearest.metric, value, rel_tol=1e-3, abs_tol=little) else None


def _weighed(rows: RowValues, weights: Floats) -> list[RowValues]:
    """A metric that does not look at weights, one that is weighted, and Keras' loss: it divides by the rows."""
    mean = float(weights.mean())
    if not mean:
        return [rows]
    weighted = float((rows.values * weights).mean()) / mean
    # A ratio of two means varies as this does (W. G. Cochran, "Sampling Techniques", 1977, 6.3).
    linear = weighted + weights * (rows.values - weighted) / mean
    return [rows, RowValues(linear, rows.root), RowValues(rows.values * weights, rows.root)]


def _candidates(y_true: NDArray[np.generic], y_pred: Floats, metric: str) -> list[RowValues]:
    if metric in _ACCURACIES:
        predicted = class_probabilities(y_pred).argmax(axis=1)
        return [RowValues((predicted == class_numbers(y_true)).astype(float), is_share=True)]
    is_loss = metric == "loss"
    if not (is_loss or metric in _ROOTS | _SQUARES | _ABSOLUTES):
        return []
    found = []
    if y_true.size == y_pred.size:
        errors = residuals_of(y_true, y_pred)
        if is_loss or metric in _ABSOLUTES:
            found.append(RowValues(np.abs(errors).mean(axis=1)))
        if is_loss or metric not in _ABSOLUTES:
            found.append(RowValues((errors**2).mean(axis=1), root=metric in _ROOTS))
    if is_loss:
        found += [*_cross_entropies(y_true, y_pred), *_label_entropies(y_true, y_pred)]
    return found


def _label_entropies(y_true: NDArray[np.generic], y_pred: Floats) -> list[RowValues]:
    """Binary crossentropy, averaged over the labels of a row."""
    if y_true.ndim < 2 or y_true.shape != y_pred.shape or not np.isin(y_true, (0, 1)).all():
        return []
    if y_pred.min() < 0 or y_pred.max() > 1:
        return []
    of_truth = np.where(y_true == 1, y_pred, 1 - y_pred)
    return [RowValues(-np.log(np.clip(of_truth, 1e-7, 1.0)).mean(axis=1))]


def _cross_entropies(y_true: NDArray[np.generic], y_pred: Floats) -> list[RowValues]:
    probabilities = class_probabilities(y_pred)
    if probabilities.min() < 0 or probabilities.max() > 1:
        return []
    classes = class_numbers(y_true)
    if classes.min() < 0 or classes.max() >= probabilities.shape[1]:
        return []
    of_truth = probabilities[np.arange(len(classes)), classes]
    return [RowValues(-np.log(np.clip(of_truth, 1e-7, 1.0)))]  # Keras' epsilon


def residuals_of(y_true: NDArray[np.generic], y_pred: Floats) -> Floats:
    """Prediction minus truth, ``(n, targets)``."""
    n = len(y_true)
    found: Floats = np.asarray(y_pred, dtype=float).reshape(n, -1) - y_true.astype(float).reshape(n, -1)
    return found


def class_probabilities(y_pred: Floats) -> Floats:
    """Probabilities of shape ``(n, classes)``; a single column is the probability of the second of two classes."""
    flat = y_pred[:, 0] if y_pred.ndim == 2 and y_pred.shape[1] == 1 else y_pred
    return np.stack([1 - flat, flat], axis=1) if flat.ndim == 1 else flat


def class_numbers(y_true: NDArray[np.generic]) -> NDArray[np.intp]:
    """Class number of each row; accepts one-hot labels and single columns too."""
    if y_true.ndim == 2:
        return y_true.argmax(axis=1) if y_true.shape[1] > 1 else y_true[:, 0].astype(np.intp)
    return y_true.astype(np.intp)
