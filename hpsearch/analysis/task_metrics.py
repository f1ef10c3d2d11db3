"""The metrics that a task calls for, of the winner: whatever the search optimised."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.metrics import names_shown, values_of
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of the winner.

    Attributes:
        name: Without ``val_``; as an objective, it has that in front. With "weighted" in front if rows have weights.
        value: Mean over the folds in which it has a value, or of the test rows.
        std: Sample standard deviation over these folds; None with one, or of the test rows.
        baseline: What is reached at best without looking at inputs; None if it is not known.
    """

    name: str
    value: float
    std: float | None
    baseline: float | None


def metric_rows(
    record: StudyRecord,
    parts: Iterable[tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.floating] | None]],
    baseline: Mapping[str, float],
) -> tuple[MetricRow, ...]:
    """The metrics of a task, in order; those without a value are left out.

    Args:
        record: The study.
        parts: Targets, predictions and weights of each fold, or of the test rows.
        baseline: Metric → what it is at best without looking at inputs.
    """
    data = record.facts.data
    names = names_shown(data.task, len(data.classes))
    parts = list(parts)
    weighted = any(weights is not None for _, _, weights in parts)
    found = [values_of(data.task, y, predicted, names, weights=weights) for y, predicted, weights in parts]
    rows = []
    for name in names:
        values = [one[name] for one in found if math.isfinite(one.get(name, math.nan))]
        if values:
            std = stdev(values) if len(values) > 1 else None
            # The model may record the same metric unweighted, and its baseline with it.
            row = MetricRow(f"weighted {name}", fmean(values), std, None) if weighted else None
            rows.append(row or MetricRow(name, fmean(values), std, baseline.get(name)))
    return tuple(rows)
