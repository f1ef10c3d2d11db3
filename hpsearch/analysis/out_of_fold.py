"""The trials' predictions for the rows that their folds' models have not seen, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.statistics import Floats
from hpsearch.core.facts import Output
from hpsearch.core.out_of_fold import BEST
from hpsearch.core.output_metrics import metric_on_rows
from hpsearch.core.trial import Trial


@dataclass(frozen=True, slots=True)
class FoldPredictions:
    """One trial's predictions for the validation rows of one fold.

    Attributes:
        rows: Row numbers within the development rows, shape ``(n,)``.
        y: Targets; with several outputs, records with a field for each, as in `predicted`.
        predicted: Outputs after each epoch, ``(epochs, n, …)``.
        groups: Number of each row's group; None if rows have no groups.
        weights: How much each row counts; None if all count alike.
    """

    rows: NDArray[np.intp]
    y: NDArray[np.generic]
    predicted: NDArray[np.floating]
    groups: NDArray[np.intp] | None = None
    weights: NDArray[np.floating] | None = None


OutOfFold = Mapping[int, Sequence[FoldPredictions]]
"""Trial → its folds."""


@dataclass(frozen=True, slots=True)
class RowScores:
    """A metric of several trials and epochs on every validation row.

    Attributes:
        values: ``(n_configs, n_rows)``; a config is a trial at one of its epochs.
        weights: ``(n_rows,)``: how much each row counts in the mean over folds, summing to 1.
        units: ``(n_rows,)``: number of the row, or of its group: what is drawn together.
        root: Whether the metric is the root of the mean.
    """

    values: Floats
    weights: Floats
    units: NDArray[np.intp]
    root: bool


def row_scores(
    trials: Sequence[Trial], kept: OutOfFold, metric: str, *, last_epoch: bool, outputs: Sequence[Output] = ()
) -> RowScores | None:
    """The objective's metric on every row, for all trials whose predictions are kept.

    Args:
        trials: Complete ones, best first.
        kept: Predictions.
        metric: Name of the curve.
        last_epoch: Whether only the last epoch can be chosen.
        outputs: Those of the targets, if they have several.

    Returns:
        None if the metric is no mean over rows, or predictions of one of the best trials are missing: what is picked
        from fewer looks less lucky than it was.
    """
    rows: list[Floats] = []
    root = False
    frame: tuple[Floats, NDArray[np.intp]] | None = None
    for place, trial in enumerate(trials):
        folds = kept.get(trial.number, ())
        if not folds and place < BEST:
            return None
        curves = [one.curves.get(metric) for one in trial.folds]
        if len(folds) != len(curves) or not folds or None in curves:
            continue
        for epochs in _choices(trial, folds, last_epoch=last_epoch):
            values = []
            for fold, curve, epoch in zip(folds, curves, epochs, strict=True):
                assert curve is not None
                plain = metric.removeprefix("val_")
                one = metric_on_rows(outputs, fold.y, fold.predicted[epoch], plain, curve[epoch], fold.weights)
                if one is None:
                    return None
                root = one.root
                values.append(one.values.astype(np.float32))
            rows.append(np.concatenate(values))
        if frame is None:
            frame = _frame(folds)
    if frame is None or len({len(one) for one in rows}) != 1:
        return None
    return RowScores(np.stack(rows), *frame, root)


def _choices(trial: Trial, folds: Sequence[FoldPredictions], *, last_epoch: bool) -> list[list[int]]:
    """What the score may be of: an epoch of each fold, from 0. Folds that ended before others stay as they are."""
    lengths = [min(len(one.predicted), fold.epochs) for one, fold in zip(folds, trial.folds, strict=True)]
    if not any(fold.stopped or fold.kept for fold in trial.folds):
        shared = min(lengths)
        return [[epoch] * len(folds) for epoch in range(shared - 1 if last_epoch else 0, shared)]
    if all(fold.kept for fold in trial.folds):
        return [[trial.epoch_of(fold) - 1 for fold in trial.folds]]
    longest = max(lengths)
    return [[min(epoch, one - 1) for one in lengths] for epoch in range(longest - 1 if last_epoch else 0, longest)]


def _frame(folds: Sequence[FoldPredictions]) -> tuple[Floats, NDArray[np.intp]]:
    """How much each row counts, and the unit that it is in."""
    weights = np.concatenate([np.full(len(fold.rows), 1 / (len(folds) * len(fold.rows))) for fold in folds])
    places = [fold.rows if fold.groups is None else fold.groups for fold in folds]
    return weights, np.unique(np.concatenate(places), return_inverse=True)[1]
