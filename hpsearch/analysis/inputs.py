"""Input columns: which of them the champion relies on, and where it errs most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis import words
from hpsearch.analysis.predictions import Predictions, kind_of
from hpsearch.analysis.statistics import ALPHA, Floats
from hpsearch.core.row_values import class_numbers, class_probabilities, residuals_of
from hpsearch.ledger.record import StudyRecord
from hpsearch.portable.outputs import are_logits, label_probabilities, probabilities

MOST_COLUMNS = 6
"""Columns whose ranges are shown: those in which errors differ most."""

_LEAST_ROWS = 5
"""Rows of a range that is shown."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a worker has found out about the input columns.

    Attributes:
        ranges: Column → the names of its ranges, or of its categories.
        codes: Column → the range of each development row, and then of each test row.
        names: Columns of `worse`.
        worse: How much worse the metric gets with a column permuted, ``(columns, permutations)``.
        metric: Which metric, without ``val_``.
        whole: What it is with no column permuted.
        rows: Test rows that it was computed on.
    """

    ranges: Mapping[str, Sequence[str]] = field(default_factory=dict)
    codes: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    names: Sequence[str] = ()
    worse: Floats = field(default_factory=lambda: np.empty((0, 0)))
    metric: str = ""
    whole: float = math.nan
    rows: int = 0


@dataclass(frozen=True, slots=True)
class InputImportance:
    """How much the champion relies on a column.

    Attributes:
        name: The column.
        worse: By how much the metric gets worse if the column's values change rows; mean over permutations.
        std: Standard deviation over permutations.
        told: Whether that is more than permutations differ by chance.
    """

    name: str
    worse: float
    std: float
    told: bool


@dataclass(frozen=True, slots=True)
class RangeErrors:
    """The errors of the rows in one range of a column.

    Attributes:
        label: The range, the category or the group.
        rows: Its number of rows that have predictions.
        error: See :attr:`InputsInfo.error_name`.
        bias: Mean of prediction minus truth; None of classes and labels.
    """

    label: str
    rows: int
    error: float
    bias: float | None


@dataclass(frozen=True, slots=True)
class ColumnErrors:
    """The errors by range of one column.

    Attributes:
        name: The column.
        ranges: In order.
        told: Whether they differ by more than chance.
    """

    name: str
    ranges: tuple[RangeErrors, ...]
    told: bool


@dataclass(frozen=True, slots=True)
class InputsInfo:
    """What is known of the input columns.

    Attributes:
        reason: Why there is nothing; empty otherwise.
        importance: The most important column first; empty without test rows.
        metric: That the importance is measured in.
        whole: Its value with no column permuted.
        rows: Test rows that the importance is computed on.
        columns: The columns in which errors differ most, first.
        error_name: What an error is, in words.
        error: Over all rows.
        of: ``"validation row"`` or ``"held-out row"``: whose errors.
    """

    reason: str = ""
    importance: tuple[InputImportance, ...] = ()
    metric: str = ""
    whole: float | None = None
    rows: int = 0
    columns: tuple[ColumnErrors, ...] = ()
    error_name: str = ""
    error: float | None = None
    of: str = ""

    @property
    def sentence(self) -> str:
        """Which columns matter, and which ones do not."""
        told = [one.name for one in self.importance if one.told]
        if not told:
            return "No column on its own shows a clear effect."
        others = len(self.importance) - len(told)
        show = "shows" if others == 1 else "show"
        rest = f" {words.several(others, 'other column')} {show} no clear effect." if others else ""
        return f"The champion relies most on {words.joined(told[:3])}.{rest}"


def inputs_info(
    record: StudyRecord, inputs: Inputs | None, *, out_of_fold: Predictions | None, test: Predictions | None
) -> InputsInfo:
    """Importance of the input columns, and errors by their ranges.

    Args:
        record: The study.
        inputs: What the worker has found; None if there is nothing.
        out_of_fold: The winner's predictions of validation rows, which are preferred: there are more of them.
        test: The champion's of the test rows.
    """
    if inputs is None:
        return InputsInfo(reason="the study has no champion, or rows have no columns, or more than 64")
    ranked = _importance(inputs) if inputs.worse.size else []
    seen, start = (test, record.facts.data.rows) if out_of_fold is None else (out_of_fold, 0)
    kind = kind_of(record)
    found = None if seen is None or kind == "outputs" else _errors(kind, seen)
    columns: list[ColumnErrors] = []
    if found is not None and seen is not None:
        rows, found = _by_row(seen.rows + start, found)
        columns = _by_column(inputs, rows, *found)
    return InputsInfo(
        importance=tuple(ranked),
        metric=inputs.metric,
        whole=inputs.whole if ranked else None,
        rows=inputs.rows,
        columns=tuple(columns),
        error_name=_NAMES.get(kind, ""),
        error=None if found is None else float(found[0].mean()),
        of="held-out row" if out_of_fold is None else "validation row",
    )


def _importance(inputs: Inputs) -> list[InputImportance]:
    """The columns in order, the most important one first.

    For a column that the model does not rely on, the metric of the rows as they are is one more draw of what it is with
    the column permuted. It is held against the prediction interval of one more draw (G. J. Hahn, "Factors for
    Calculating Two-Sided Prediction Intervals for Samples from a Normal Distribution", JASA 64, 1969), one-sided, with
    Bonferroni's correction over the columns.
    """
    from scipy.special import stdtrit

    columns, n = inputs.worse.shape
    means, stds = inputs.worse.mean(axis=1), inputs.worse.std(axis=1, ddof=1)
    told = (means > 0) & (means > stdtrit(n - 1, 1 - ALPHA / columns) * stds * math.sqrt(1 + 1 / n))
    order: list[int] = np.argsort(-means, kind="stable").tolist()
    return [InputImportance(inputs.names[i], float(means[i]), float(stds[i]), bool(told[i])) for i in order]


_NAMES = {
    "classes": "error rate",
    "labels": "error rate of the labels",
    "values": "mean absolute error",
}


def _errors(kind: str, seen: Predictions) -> tuple[Floats, Floats | None] | None:
    """Error and bias of every row; None if predictions have no form that is known."""
    truth, output = seen.y_true, np.asarray(seen.y_pred, dtype=float)
    if max(truth.ndim, output.ndim) > 2 or not len(truth) or (kind != "classes" and truth.size != output.size):
        return None
    if kind == "values":
        off = residuals_of(truth, output)
        return np.abs(off).mean(axis=1), off.mean(axis=1)
    if kind == "labels":
        return ((label_probabilities(output) > 0.5) != (truth == 1)).mean(axis=1), None
    shares = probabilities(output) if are_logits(output) else class_probabilities(output)
    return (shares.argmax(axis=1) != class_numbers(truth)).astype(float), None


def _by_row(
    rows: NDArray[np.intp], found: tuple[Floats, Floats | None]
) -> tuple[NDArray[np.intp], tuple[Floats, Floats | None]]:
    """The mean over each row's predictions: repeated folds predict a row several times, which is one observation."""
    once, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    error, bias = (None if one is None else np.bincount(place, one) / counts for one in found)
    assert error is not None
    return once, (error, bias)


def _by_column(inputs: Inputs, rows: NDArray[np.intp], errors: Floats, bias: Floats | None) -> list[ColumnErrors]:
    found = []
    for name, labels in inputs.ranges.items():
        if int(rows.max()) >= len(inputs.codes[name]):
            continue  # of other data
        codes = inputs.codes[name][rows]
        parts = [(label, codes == code) for code, label in enumerate(labels)]
        parts = [(label, part) for label, part in parts if part.sum() >= _LEAST_ROWS]
        if len(parts) < 2:
            continue
        ranges = tuple(
            RangeErrors(
                label, int(part.sum()), float(errors[part].mean()), None if bias is None else float(bias[part].mean())
            )
            for label, part in parts
        )
        found.append((_chance([errors[part] for _, part in parts]), ColumnErrors(name, ranges, told=False)))
    tries = max(1, len(found))
    ranked = sorted(found, key=lambda one: one[0])[:MOST_COLUMNS]
    return [ColumnErrors(one.name, one.ranges, told=p * tries < ALPHA) for p, one in ranked]


def _chance(groups: Sequence[Floats]) -> float:
    """p of B. L. Welch's test ("On the Comparison of Several Mean Values", Biometrika 38, 1951) that the errors of all
    ranges are equal on average; 1 if no range varies.
    """
    from scipy.special import fdtrc

    sizes, means = np.array([len(one) for one in groups]), np.array([one.mean() for one in groups])
    floor = np.var(np.concatenate(groups)) * 1e-3  # a range without any error says less than it seems to
    spreads = np.maximum([one.var(ddof=1) for one in groups], floor)
    if not floor:
        return 1.0
    weights = sizes / spreads
    total, k = weights.sum(), len(groups)
    between = (weights * (means - (weights * means).sum() / total) ** 2).sum() / (k - 1)
    spare = (((1 - weights / total) ** 2) / (sizes - 1)).sum()
    f = between / (1 + 2 * (k - 2) / (k**2 - 1) * spare)
    return float(fdtrc(k - 1, (k**2 - 1) / (3 * spare), f))
