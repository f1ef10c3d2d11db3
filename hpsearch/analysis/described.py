"""What predictions of one output show: the classes that are confused, the largest errors, the calibration."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.predictions import (
    CALIBRATION_BINS,
    MOST_WRONG,
    TOP_CLASSES,
    CalibrationBin,
    ClassScore,
    Predictions,
    PredictionsInfo,
    WrongRow,
    kind_of,
)
from hpsearch.analysis.statistics import Floats
from hpsearch.analysis.thresholds import threshold_curves
from hpsearch.core.row_values import class_numbers, class_probabilities, residuals_of
from hpsearch.ledger.record import StudyRecord
from hpsearch.portable.outputs import are_logits, label_probabilities, probabilities


def described(record: StudyRecord, predictions: Predictions) -> PredictionsInfo:
    """What predictions show of whoever made them; only a `reason` if their shape is not known here."""
    kind, truth, said = kind_of(record), predictions.y_true, predictions.y_pred
    if kind != "classes" and truth.size != said.size:
        reason = f"outputs of shape {said.shape[1:]} are not values for targets of shape {truth.shape[1:]}"
        return PredictionsInfo(kind, reason=reason)
    if kind == "classes" and max(truth.ndim, said.ndim) > 2:
        reason = f"outputs of shape {said.shape[1:]} are not one class for each row"
        return PredictionsInfo(kind, reason=reason)
    names = record.facts.data.classes
    found = (
        _values(predictions)
        if kind == "values"
        else _labels(names, predictions)
        if kind == "labels"
        else _classes(names, predictions)
    )
    return replace(found, n_rows=len(np.unique(predictions.rows)), n_predictions=len(truth))


def _classes(given: Sequence[str], predictions: Predictions) -> PredictionsInfo:
    output = np.asarray(predictions.y_pred, dtype=float)
    shares = probabilities(output) if are_logits(output) else class_probabilities(output)
    truth, predicted = class_numbers(predictions.y_true), shares.argmax(axis=1)
    n_classes = max(shares.shape[1], int(truth.max()) + 1)
    names = _names(given, n_classes)
    matrix = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(matrix, (truth, predicted), 1)
    shown = _worst_classes(matrix)
    bins, error = _calibration(shares.max(axis=1), predicted == truth)
    return PredictionsInfo(
        "classes",
        classes=tuple(names[i] for i in shown),
        confusion=tuple(tuple(int(matrix[i, j]) for j in shown) for i in shown),
        class_scores=_class_scores(matrix, names),
        confused=_confused(matrix, names),
        most_wrong=_most_wrong_classes(shares, truth, predicted, predictions.rows, names),
        calibration=bins,
        calibration_error=error,
        thresholds=threshold_curves(np.eye(n_classes, dtype=bool)[truth], shares, names, exclusive=True),
    )


def _names(given: Sequence[str], n_classes: int) -> list[str]:
    return [given[i] if i < len(given) else str(i) for i in range(n_classes)]


def _worst_classes(matrix: NDArray[np.int_]) -> list[int]:
    if len(matrix) <= TOP_CLASSES:
        return list(range(len(matrix)))
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    return sorted(np.argsort(-wrong, kind="stable")[:TOP_CLASSES].tolist())


def _class_scores(matrix: NDArray[np.int_], names: list[str]) -> tuple[ClassScore, ...]:
    return tuple(
        _score_of(name, int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum()))
        for i, name in enumerate(names)
    )


def _score_of(name: str, hit: int, meant: int, called: int) -> ClassScore:
    precision, recall = hit / called if called else 0.0, hit / meant if meant else 0.0
    both = precision + recall
    return ClassScore(name, meant, precision, recall, 2 * precision * recall / both if both else 0.0, called)


def _confused(matrix: NDArray[np.int_], names: list[str]) -> tuple[tuple[str, str, int], ...]:
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:5]
    pairs = [divmod(int(flat), len(matrix)) for flat in order]
    return tuple((names[i], names[j], int(off[i, j])) for i, j in pairs if off[i, j])


def _most_wrong_classes(
    shares: Floats,
    truth: NDArray[np.intp],
    predicted: NDArray[np.intp],
    rows: NDArray[np.intp],
    names: list[str],
) -> tuple[WrongRow, ...]:
    every = np.arange(len(truth))
    known = np.minimum(truth, shares.shape[1] - 1)
    excess = shares[every, predicted] - shares[every, known]
    wrong = every[predicted != truth]
    worst = wrong[np.argsort(-excess[wrong], kind="stable")][:MOST_WRONG]
    return tuple(WrongRow(int(rows[i]), names[truth[i]], names[predicted[i]], float(excess[i])) for i in worst)


def _calibration(claimed: Floats, right: NDArray[np.bool_]) -> tuple[tuple[CalibrationBin, ...], float]:
    """Claimed against observed accuracy (C. Guo and others, "On Calibration of Modern Neural Networks", ICML 2017)."""
    place = np.minimum((claimed * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        CalibrationBin(float(claimed[place == i].mean()), float(right[place == i].mean()), int((place == i).sum()))
        for i in range(CALIBRATION_BINS)
        if (place == i).any()
    ]
    error = sum(one.rows * abs(one.claimed - one.right) for one in bins) / len(claimed)
    return tuple(bins), float(error)


def _labels(given: Sequence[str], predictions: Predictions) -> PredictionsInfo:
    truth, shares = predictions.y_true == 1, label_probabilities(predictions.y_pred)
    said = shares > 0.5
    names = _names(given, truth.shape[1])
    bins, error = _calibration(np.maximum(shares, 1 - shares).ravel(), (said == truth).ravel())
    excess = np.where(said != truth, np.abs(2 * shares - 1), -1.0)
    worst = [divmod(int(flat), len(names)) for flat in np.argsort(-excess, axis=None, kind="stable")[:MOST_WRONG]]
    return PredictionsInfo(
        "labels",
        rows_right=float((said == truth).all(axis=1).mean()),
        class_scores=tuple(
            _score_of(name, int((truth & said)[:, i].sum()), int(truth[:, i].sum()), int(said[:, i].sum()))
            for i, name in enumerate(names)
        ),
        most_wrong=tuple(
            WrongRow(
                int(predictions.rows[i]),
                f"{names[j]}: {'yes' if truth[i, j] else 'no'}",
                f"{names[j]}: {'yes' if said[i, j] else 'no'}",
                float(excess[i, j]),
                target=j,
            )
            for i, j in worst
            if said[i, j] != truth[i, j]
        ),
        calibration=bins,
        calibration_error=error,
        thresholds=threshold_curves(truth, shares, names, exclusive=False),
    )


def _values(predictions: Predictions) -> PredictionsInfo:
    n = len(predictions.y_true)
    truth = predictions.y_true.astype(float).reshape(n, -1)
    residuals = residuals_of(predictions.y_true, predictions.y_pred.astype(float))
    n_targets = truth.shape[1]
    worst = np.argsort(-np.abs(residuals), axis=None, kind="stable")[:MOST_WRONG]
    cells = [divmod(int(flat), n_targets) for flat in worst]
    flat_truth, flat_predicted = truth.ravel(), (truth + residuals).ravel()
    step = max(1, math.ceil(len(flat_truth) / 2000))
    return PredictionsInfo(
        "values",
        most_wrong=tuple(
            WrongRow(
                int(predictions.rows[i]),
                f"{truth[i, j]:.6g}",
                f"{truth[i, j] + residuals[i, j]:.6g}",
                float(residuals[i, j]),
                target=j,
            )
            for i, j in cells
        ),
        truth=tuple(flat_truth[::step].tolist()),
        predicted=tuple(flat_predicted[::step].tolist()),
        residual_mean=float(residuals.mean()),
        residual_std=float(residuals.std(ddof=1)) if residuals.size > 1 else 0.0,
    )
