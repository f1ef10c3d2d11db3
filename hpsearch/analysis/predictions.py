"""A model on rows that it did not train on: the classes it confuses, its largest errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis import words
from hpsearch.analysis.statistics import Floats
from hpsearch.analysis.task_metrics import MetricRow
from hpsearch.analysis.thresholds import ThresholdCurve
from hpsearch.core.facts import Output, Task
from hpsearch.core.output_metrics import name_in
from hpsearch.core.records import output_of
from hpsearch.ledger.record import StudyRecord

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
            With several outputs, records with a field for each, as in `y_pred`.
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
    y_pred: NDArray[np.generic]
    rows: NDArray[np.intp]
    samples: dict[int, NDArray[np.generic]] = field(default_factory=dict)
    groups: NDArray[np.intp] | None = None
    time: NDArray[np.intp] | None = None
    weights: Floats | None = None
    parts: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    left_out: Mapping[str, "LeftOut"] = field(default_factory=dict)
    left_out_problem: str = ""

    def of(self, output: Output) -> "Predictions":
        """Those of one of several outputs."""
        truth, said = (output_of(one, output.name) for one in (self.y_true, self.y_pred))
        return replace(self, y_true=truth, y_pred=said.astype(float), left_out={}, samples={})


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
        kind: ``"classes"``, ``"labels"``, ``"values"``, or ``"outputs"`` if there are several.
        output: The output that is meant if there are several.
        outputs: Each of several outputs on its own; what is theirs alone is then empty here.
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
    output: str = ""
    outputs: tuple["PredictionsInfo", ...] = ()

    @property
    def parts(self) -> tuple["PredictionsInfo", ...]:
        """What is shown: each of several outputs, or this."""
        return self.outputs or (self,)

    @property
    def never_predicted(self) -> tuple[ClassScore, ...]:
        """Classes or labels that rows have and no prediction is; of several outputs, each with its output's name."""
        if self.outputs:
            found = ((part.output, one) for part in self.outputs for one in part.never_predicted)
            return tuple(replace(one, name=f"{output}: {one.name}") for output, one in found)
        return tuple(one for one in self.class_scores if one.support and not one.predicted)

    @property
    def values(self) -> dict[str, float]:
        """Metric → its value; of several outputs, as Keras would call it."""
        return {name_in(part.output, one.name): one.value for part in self.parts for one in part.metrics}

    @property
    def absent(self) -> str:
        """Why there is nothing to show of one of several outputs, in a sentence."""
        return f"Output {self.output!r} is not shown: {self.reason}."

    @property
    def title(self) -> str:
        """Whose predictions of which rows."""
        own = "The search's own predictions" if self.rows == "validation row" else "Predictions"
        of = f", output {self.output!r}" if self.output else ""
        return f"{own} of {words.several(self.n_rows, self.rows)}{of}"

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


def kind_of(record: StudyRecord) -> str:
    """``"classes"``, ``"labels"``, ``"values"`` or ``"outputs"``: what the study's models predict."""
    task = record.facts.data.task
    if task is Task.SEVERAL:
        return "outputs"
    return "classes" if task.has_classes else "labels" if task is Task.MULTILABEL else "values"
