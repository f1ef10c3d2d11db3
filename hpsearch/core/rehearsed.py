"""What is known of a study's metrics before anything trains."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hpsearch.core.wire import Wire


@dataclass(frozen=True, slots=True)
class Undefined:
    """A metric without a value in some folds, such as the AUC of rows of one class.

    Attributes:
        metric: Its name, with ``val_``.
        folds: These folds, from 0. They are left out of its mean.
        reason: What their validation rows lack, in words.
    """

    metric: str
    folds: tuple[int, ...]
    reason: str


def left_out_by_fold(undefined: Iterable[Undefined]) -> dict[int, frozenset[str]]:
    """Fold → the metrics that have no value in it."""
    names: dict[int, frozenset[str]] = {}
    for one in undefined:
        names |= {fold: names.get(fold, frozenset()) | {one.metric} for fold in one.folds}
    return names


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is scored without looking at a row's inputs.

    Attributes:
        rule: What is said of every row, learnt from the targets of a fold's training rows, such as ``"the mean of the
            targets"``; or, where rows have a time, of the rows before.
        value: Its mean over folds, in the objective's metric.
        fold_scores: Its value on every fold that has one.
        metrics: The metrics of the task, means over folds; empty in ledgers written before there were any.
        looks_back: Whether it is a forecast from targets of the validation rows themselves, those of earlier times.
    """

    rule: str
    value: float
    fold_scores: tuple[float, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    looks_back: bool = False


@dataclass(frozen=True, slots=True)
class Rehearsal(Wire):
    """What the driver knows after a worker has built and evaluated the model once.

    Attributes:
        parameters: Number of weights.
        metrics: Names of the curves that training records.
        undefined: Metrics without a value in some folds.
        baselines: Of the objective, the best first; empty for a metric that has none.
        doubts: What looks like a mistake, one sentence each.
    """

    parameters: int
    metrics: tuple[str, ...]
    undefined: tuple[Undefined, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    doubts: tuple[str, ...] = ()
