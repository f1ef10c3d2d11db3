"""A model on rows that it did not train on: the classes it confuses, its largest errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis import words
from hpsearch.analysis.statistics import Floats
from hpsearch.analysis.task_metrics import MetricRow, metric_rows
from hpsearch.analysis.thresholds import ThresholdCurve, threshold_curves
from hpsearch.core.facts import Task
from hpsearch.core.row_values import class_numbers, class_probabilities, residuals_of
from hpsearch.ledger.record import StudyRecord
from hpsearch.portable.outputs import are_logits, label_probabilities, probabilities

MOST_WRONG = 24
"""Maximum number of most wrong rows."""

CALIBRATION_BINS = 10
TOP_CLASSES = 20
"""Maximum number of classes in the confusion matrix; the ones with the most mistakes are shown."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of rows whose targets are known: the champion's of the test rows, or a trial's of validation rows.

    Attributes:
        y_true: Class numbers ``(n,)``, one-hot labels ``(n, classes)``, or real targets ``(n,)`` or ``(n, targets)``.
        y_pred: Class probabilities or logits ``(n, classes)``, or ``(n,)`` of the second of two classes; or predicted
            values, shaped as `y_true`.
        rows: Row numbers within the test rows, or within the development rows, ``(n,)``.
        samples: Row number → its raw input, for some of the most wrong rows; empty unless inputs are small images.
        groups: Number of each row's group; None if rows have no groups, or in studies of hpsearch 0.2.
        time: Place of each row's time step; None if order does not matter, or in studies of hpsearch 0.2.
        weights: How much each row counts; None if all count alike.
        parts: Number of the part of the rows that each row is in.
        left_out: Metric → its values without the rows of each part, for metrics that are no means over rows.
        left_out_problem: What the user's code said when it failed on some of the rows; empty if it did not.
    """

    y_true: NDArray[np.generic]
    y_pred: Floats
    rows: NDArray[np.intp]
    samples: dict[int, NDArray[np.generic]] = field(default_factory=dict)
    groups: NDArray[np.intp] | None = None
    time: NDArray[np.intp] | None = None
    weights: Floats | None = None
    parts: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    left_out: Mapping[str, "LeftOut"] = field(default_factory=dict)
    left_out_problem: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A metric over all rows, and without each part of them."""

    whole: float
    without: Floats


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Scores of one class. A ratio of 0 to 0 counts as 0.

    Attributes:
        name: Of the class, or of the label.
        support: Its number of rows.
        precision: Right predictions of it among all of them.
        recall: Right predictions of it among its rows.
        f1: Harmonic mean of both.
        predicted: How often it is predicted.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    predicted: int = 0


@dataclass(frozen=True, slots=True)
class WrongRow:
    """One of the most wrong rows.

    Attributes:
        row: Its number within the test rows, or within the development rows.
        truth: The true class's name, or the true value.
        said: The predicted class's name, or the predicted value.
        error: Probability of the predicted class minus that of the true class; or prediction minus truth.
        target: Index of the target if there are several; 0 otherwise.
    """

    row: int
    truth: str
    said: str
    error: float
    target: int = 0


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows whose highest probability lies in one range: its mean, and the share of these rows that is right."""

    claimed: float
    right: float
    rows: int


@dataclass(frozen=True, slots=True)
class PredictionsInfo:
    """The champion on the test rows, or the best trial on its validation rows.

    Attributes:
        kind: ``"classes"``, ``"labels"`` or ``"values"``.
        reason: Why there is nothing to show; empty otherwise. If it is set, everything below is empty.
        trial: The trial whose predictions these are.
        rows: ``"held-out row"`` or ``"validation row"``.
        remark: What the predictions are and how far to trust them, in sentences; empty of held-out rows.
        n_rows: Number of rows.
        n_predictions: Number of predictions: more than rows if folds are repeated.
        metrics: What the task calls for, whatever the search optimised.
        classes: Names of the classes in `confusion`, in its order: if there are many, those with the most mistakes.
        confusion: Rows are true classes, columns predicted ones, counts.
        class_scores: Of all classes or labels, in order.
        thresholds: ROC and precision-recall curves of few classes or labels.
        rows_right: Share of the rows of which every label is right (labels only).
        confused: (true class, predicted class, count), most frequent first; at most five.
        most_wrong: The most wrong rows, worst first.
        calibration: Ten ranges of the highest probability, without those that have no rows.
        calibration_error: Expected calibration error: mean of ``|claimed - right|`` weighted by rows.
        truth: True values (regression only); at most 2,000, taken evenly from the rows.
        predicted: Predicted values of the same rows.
        residual_mean: Mean of prediction minus truth over all rows.
        residual_std: Its standard deviation.
    """

    kind: str
    reason: str = ""
    trial: int | None = None
    rows: str = "held-out row"
    remark: str = ""
    n_rows: int = 0
    n_predictions: int = 0
    metrics: tuple[MetricRow, ...] = ()
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    class_scores: tuple[ClassScore, ...] = ()
    thresholds: tuple[ThresholdCurve, ...] = ()
    rows_right: float | None = None
    confused: tuple[tuple[str, str, int], ...] = ()
    most_wrong: tuple[WrongRow, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    calibration_error: float | None = None
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()
    residual_mean: float | None = None
    residual_std: float | None = None

    @property
    def never_predicted(self) -> tuple[ClassScore, ...]:
        """Classes or labels that rows have and no prediction is."""
        return tuple(one for one in self.class_scores if one.support and not one.predicted)

    @property
    def title(self) -> str:
        """Whose predictions of which rows."""
        own = "The search's own predictions" if self.rows == "validation row" else "Predictions"
        return f"{own} of {words.several(self.n_rows, self.rows)}"

    @property
    def measured(self) -> str:
        """The metrics on one line; empty without any."""
        shown = [
            f"{one.name} {words.score(one.value, one.std)}"
            + ("" if one.baseline is None else f" (baseline {words.number(one.baseline)})")
            for one in self.metrics
        ]
        return ", ".join(shown)

    @property
    def sentence(self) -> str:
        """What they show."""
        if self.residual_std is not None:
            return (
                f"Prediction minus truth: {words.number(self.residual_mean)} on average, with a standard deviation of "
                f"{words.number(self.residual_std)}."
            )
        if self.rows_right is not None:
            worst = sorted(self.class_scores, key=lambda one: one.f1)[:3]
            lowest = ", ".join(f"{one.name} ({one.f1:.2f})" for one in worst)
            return f"All labels are right in {words.percent(self.rows_right)} of the rows. Lowest F1: {lowest}."
        if not self.confused:
            return "Every prediction is right."
        pairs = [f"{truth} predicted as {said} ({words.whole(count)})" for truth, said, count in self.confused]
        return f"Most often confused: {', '.join(pairs)}."


def predictions_info(record: StudyRecord, predictions: Predictions | None) -> PredictionsInfo:
    """How the champion does on the test rows; only a `reason` if its predictions are missing."""
    kind = kind_of(record)
    if record.champion is None:
        return PredictionsInfo(
            kind, reason="the winner has not been refitted" if record.best else "no trial is complete"
        )
    if not record.facts.data.task.has_one_output:
        return PredictionsInfo(kind, reason=NOT_SHOWN)
    if predictions is None or not len(predictions.y_true):
        missing = "the champion's predictions are missing (deleted?)"
        return PredictionsInfo(kind, reason=missing if record.facts.data.test_rows else "there are no test rows")
    of_test = [(predictions.y_true, predictions.y_pred, predictions.weights)]
    found = metric_rows(record, of_test, record.champion.baseline)
    return replace(described(record, predictions), trial=record.champion.trial, metrics=found)


NOT_SHOWN = "predictions are shown of models with one output and targets"


def kind_of(record: StudyRecord) -> str:
    """``"classes"``, ``"labels"`` or ``"values"``: what the study's models predict."""
    task = record.facts.data.task
    return "classes" if task.has_classes else "labels" if task is Task.MULTILABEL else "values"


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
    residuals = residuals_of(predictions.y_true, predictions.y_pred)
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
