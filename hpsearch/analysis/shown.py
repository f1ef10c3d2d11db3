"""What predictions show, output by output."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.described import described
from hpsearch.analysis.predictions import Predictions, PredictionsInfo, kind_of
from hpsearch.analysis.task_metrics import metric_rows
from hpsearch.core.facts import Output, Task
from hpsearch.core.output_metrics import output_of_metric
from hpsearch.core.records import output_of
from hpsearch.ledger.record import StudyRecord


def predictions_info(record: StudyRecord, predictions: Predictions | None) -> PredictionsInfo:
    """How the champion does on the test rows; only a `reason` if its predictions are missing."""
    kind = kind_of(record)
    if record.champion is None:
        return PredictionsInfo(
            kind, reason="the winner has not been refitted" if record.best else "no trial is complete"
        )
    if record.facts.data.task is Task.NONE:
        return PredictionsInfo(kind, reason=NO_TARGETS)
    if predictions is None or not len(predictions.y_true):
        other = " or its outputs have other names than the targets" * bool(record.facts.data.outputs)
        missing = f"the champion's predictions are missing (deleted?){other}"
        return PredictionsInfo(kind, reason=missing if record.facts.data.test_rows else "there are no test rows")
    of_test = [(predictions.y_true, predictions.y_pred, predictions.weights)]
    found, trial = shown(record, predictions, of_test, record.champion.baseline), record.champion.trial
    return replace(found, trial=trial, outputs=tuple(replace(one, trial=trial) for one in found.outputs))


NO_TARGETS = "rows have no targets to compare them with"


def shown(
    record: StudyRecord,
    predictions: Predictions,
    measured: Sequence[tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.floating] | None]],
    baseline: Mapping[str, float],
) -> PredictionsInfo:
    """What predictions show, with the metrics of the task; of several outputs, of each.

    Args:
        record: The study.
        predictions: All of them.
        measured: What the metrics are computed of: targets, predictions and weights of each fold, or of the test rows.
        baseline: Metric → what it is at best without looking at inputs.
    """
    data = record.facts.data
    if not data.outputs:
        found = described(record, predictions)
        return found if found.reason else replace(found, metrics=metric_rows(record, measured, baseline))
    parts = []
    for output in data.outputs:
        of_folds = [(output_of(y, output.name), output_of(said, output.name), weights) for y, said, weights in measured]
        alone = _as_study_of(record, output)
        part = shown(alone, predictions.of(output), of_folds, _curves_of(record, output, baseline))
        parts.append(replace(part, output=output.name))
    if all(one.reason for one in parts):
        return PredictionsInfo("outputs", reason="; ".join(f"{one.output!r}: {one.reason}" for one in parts))
    rows = len(np.unique(predictions.rows)), len(predictions.rows)
    return PredictionsInfo("outputs", n_rows=rows[0], n_predictions=rows[1], outputs=tuple(parts))


def _as_study_of(record: StudyRecord, output: Output) -> StudyRecord:
    """The record of a study whose targets are those of this output alone."""
    data = replace(record.facts.data, task=output.task, classes=output.classes, outputs=())
    return replace(record, facts=replace(record.facts, data=data))


def _curves_of(record: StudyRecord, output: Output, values: Mapping[str, float]) -> dict[str, float]:
    """What belongs to an output among values by the names of their curves, by the names that these have there."""
    found = {name: output_of_metric(record.facts.data.outputs, name) for name in values}
    return {of[1]: values[name] for name, of in found.items() if of is not None and of[0] == output}
