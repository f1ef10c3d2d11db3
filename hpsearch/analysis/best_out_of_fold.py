"""The best trial on its validation rows: what a study shows of its winner without a test part."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpsearch.analysis import words
from hpsearch.analysis.out_of_fold import FoldPredictions, OutOfFold
from hpsearch.analysis.predictions import Predictions, PredictionsInfo, kind_of
from hpsearch.analysis.shown import NO_TARGETS, shown
from hpsearch.analysis.statistics import Floats
from hpsearch.core.facts import Task
from hpsearch.core.output_metrics import best_values
from hpsearch.core.records import as_floats
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord


def out_of_fold_info(record: StudyRecord, kept: OutOfFold) -> PredictionsInfo:
    """The best trial's predictions of all validation rows at its scoring epoch; only a `reason` if they are not kept.

    Args:
        record: The study.
        kept: Predictions of its trials.
    """
    kind, best = kind_of(record), record.best
    if best is None or best.epoch is None:
        return PredictionsInfo(kind, reason="no trial is complete")
    folds = kept.get(best.number, ())
    if record.facts.data.task is Task.NONE:
        return PredictionsInfo(kind, reason=NO_TARGETS)
    chosen = _chosen(best, folds)
    if chosen is None:
        return PredictionsInfo(kind, reason=_why_not_kept(record, best))
    measured = [(fold.y, one, fold.weights) for fold, one in zip(folds, chosen, strict=True)]
    baseline = best_values(record.facts.data, (one.metrics for one in record.facts.baselines))
    found = shown(record, _joined(folds, chosen), measured, baseline)
    if found.reason:
        return found
    parts = tuple(replace(one, trial=best.number, rows="validation row") for one in found.outputs)
    return replace(found, trial=best.number, rows="validation row", remark=_remark(record, best, found), outputs=parts)


def winners_predictions(record: StudyRecord, kept: OutOfFold) -> Predictions | None:
    """The best trial's predictions of all validation rows at its scoring epoch; None if they are not kept."""
    best = record.best
    folds = () if best is None else kept.get(best.number, ())
    chosen = None if best is None or best.epoch is None else _chosen(best, folds)
    return None if chosen is None else _joined(folds, chosen)


def _chosen(best: Trial, folds: Sequence[FoldPredictions]) -> list[Floats] | None:
    """Each fold's predictions at the epoch that its score is of; None if they are not kept."""
    epochs = [best.epoch_of(fold) for fold in best.folds]
    if len(epochs) != len(folds) or not folds:
        return None
    if any(len(fold.predicted) < epoch for fold, epoch in zip(folds, epochs, strict=True)):
        return None
    return [fold.predicted[epoch - 1] for fold, epoch in zip(folds, epochs, strict=True)]


def _joined(folds: Sequence[FoldPredictions], chosen: Sequence[Floats]) -> Predictions:
    return Predictions(
        np.concatenate([fold.y for fold in folds]),
        as_floats(np.concatenate(chosen)),
        np.concatenate([fold.rows for fold in folds]),
    )


def _why_not_kept(record: StudyRecord, best: Trial) -> str:
    if record.spec.tracking.predictions == "none":
        return (
            'the study file says [tracking] predictions = "none"; with "top", the default, a study keeps those of its '
            "best trials"
        )
    return (
        f"the study's folder has none of trial {best.number}. They were deleted, they were too large to keep, the "
        "model's outputs have no names of targets, or the trial ran before they were kept. A study keeps them unless "
        'it says [tracking] predictions = "none"'
    )


def _remark(record: StudyRecord, best: Trial, found: PredictionsInfo) -> str:
    n_folds = len(best.folds)
    who = f"the models of trial {best.number}'s {n_folds} folds" if n_folds > 1 else f"the model of trial {best.number}"
    when = best.read_at.replace("at", "after", 1)
    said = [f"Each row is predicted by a model that did not train on it: {who}, {when}. This needs no test part."]
    if (seeds := record.spec.validation.seeds) > 1:
        said.append(
            f"Each fold was trained {seeds} times; these are the first training's predictions, so the scores here are "
            "not quite the trial's."
        )
    if found.n_predictions > found.n_rows:
        counts = words.whole(found.n_rows), words.whole(found.n_predictions)
        said.append(f"Folds are repeated, so the {counts[0]} rows have {counts[1]} predictions.")
    picked = ["the trial"] if len(record.ranked) > 1 else []
    chosen = record.objective.epoch == "best" or bool(best.stopped_epochs)
    if chosen and min(fold.epochs for fold in best.folds) > 1:
        picked.append("the epoch")
    if picked:
        was = "was picked for its score" if len(picked) == 1 else "were picked for their score"
        said.append(f"{words.joined(picked).capitalize()} {was} on these rows, so this is a little too good.")
    return " ".join(said)
