"""What a classifier reaches at every threshold: ROC and precision-recall curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.statistics import Floats
from hpsearch.core.metrics import threshold_counts

MOST_CURVES = 6
"""With more classes or labels than this, curves could not be told apart."""

_POINTS = 200


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """One class against all others, or one label, at every threshold; the highest threshold comes first.

    Attributes:
        name: Of the class or label.
        share: Of the rows that have it: the precision of a guess.
        false_positive_rate: Rows without it that are taken for it, as a share of all rows without it.
        recall: Rows with it that are found, as a share of all rows with it: the true positive rate.
        precision: Right predictions among all predictions of it.
    """

    name: str
    share: float
    false_positive_rate: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]


def threshold_curves(
    truth: NDArray[np.bool_], shares: Floats, names: Sequence[str], *, exclusive: bool
) -> tuple[ThresholdCurve, ...]:
    """Curves of all classes or labels that some rows have and others have not.

    Args:
        truth: Shape ``(n, classes)``.
        shares: Probabilities of the same shape.
        names: Of the classes.
        exclusive: Whether each row has one class; with two of them, the second one's curve says everything.

    Returns:
        Empty if there are more than :data:`MOST_CURVES`.
    """
    drawn = [1] if exclusive and len(names) == 2 else range(len(names))
    if len(drawn) > MOST_CURVES:
        return ()
    found = (_curve(names[one], truth[:, one], shares[:, one]) for one in drawn if 0 < truth[:, one].mean() < 1)
    return tuple(found)


def _curve(name: str, truth: NDArray[np.bool_], score: Floats) -> ThresholdCurve:
    hits, alarms = threshold_counts(truth, score)
    picked = np.unique(np.linspace(0, len(hits) - 1, min(len(hits), _POINTS)).astype(int))
    hits, alarms = hits[picked], alarms[picked]
    precision = hits / (hits + alarms)
    return ThresholdCurve(
        name,
        float(truth.mean()),
        (0.0, *(alarms / alarms[-1]).tolist()),
        (0.0, *(hits / hits[-1]).tolist()),
        (float(precision[0]), *precision.tolist()),
    )
