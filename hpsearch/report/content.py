"""All numbers of a report, computed once for every format."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum

from hpsearch import analysis
from hpsearch.core.wire import Json
from hpsearch.ledger.record import StudyRecord
from hpsearch.report.artifacts import ReportArtifacts


@dataclass(frozen=True, slots=True)
class Content:
    """A report's numbers, in the order of its sections. ``written`` is a Unix time."""

    written: float
    verdict: analysis.VerdictInfo
    leaderboard: analysis.LeaderboardInfo
    ties: analysis.TiesInfo
    optimism: analysis.OptimismInfo
    curves: analysis.CurvesInfo
    importance: analysis.ImportanceInfo
    slices: analysis.SlicesInfo
    parallel: analysis.ParallelInfo
    contour: analysis.ContourInfo
    edges: tuple[analysis.EdgeRow, ...]
    suggestion: tuple[analysis.SuggestedRow, ...]
    next_study: str
    limits: analysis.LimitsInfo
    pareto: analysis.ParetoInfo
    cost: analysis.CostInfo
    trajectory: analysis.TrajectoryInfo
    model: analysis.ModelInfo
    predictions: analysis.PredictionsInfo
    out_of_fold: analysis.PredictionsInfo
    naive: bool
    inputs: analysis.InputsInfo
    provenance: analysis.ProvenanceInfo
    failures: tuple[analysis.FailureRow, ...]


def gather(record: StudyRecord, artifacts: ReportArtifacts | None = None) -> Content:
    """Compute all that a report shows.

    Args:
        record: The study.
        artifacts: Predictions, and the champion's layers, as far as they are known.
    """
    artifacts = artifacts or ReportArtifacts()
    ties = analysis.ties_info(record)
    optimism = analysis.optimism_info(record, artifacts.out_of_fold)
    importance = analysis.importance_info(record)
    out_of_fold = analysis.out_of_fold_info(record, artifacts.out_of_fold)
    return Content(
        written=time.time(),
        verdict=analysis.verdict_info(
            record, predictions=artifacts.predictions, ties=ties, optimism=optimism, out_of_fold=out_of_fold
        ),
        leaderboard=analysis.leaderboard_info(record, ties=ties),
        ties=ties,
        optimism=optimism,
        curves=analysis.curves_info(record),
        importance=importance,
        slices=analysis.slice_info(record),
        parallel=analysis.parallel_info(record),
        contour=analysis.contour_info(record, importance=importance),
        edges=analysis.edges_info(record),
        suggestion=analysis.suggested_space(record),
        next_study=analysis.next_study_file(record) if record.best else "",
        limits=analysis.limits_info(record),
        pareto=analysis.pareto_info(record),
        cost=analysis.cost_info(record),
        trajectory=analysis.trajectory_info(record),
        model=analysis.model_info(record, artifacts.layers, missing=artifacts.missing),
        predictions=analysis.predictions_info(record, artifacts.predictions),
        out_of_fold=out_of_fold,
        naive=_has_naive_forecast(record),
        inputs=analysis.inputs_info(
            record,
            artifacts.inputs,
            out_of_fold=analysis.winners_predictions(record, artifacts.out_of_fold),
            test=artifacts.predictions,
        ),
        provenance=analysis.provenance_info(record),
        failures=analysis.failures_info(record),
    )


def _has_naive_forecast(record: StudyRecord) -> bool:
    """Whether it is among what predictions are compared with; with several outputs, not all baselines are listed."""
    ordered = bool(record.spec.data.time) or record.spec.validation.method == "time-series"
    return any(one.looks_back for one in record.facts.baselines) or (bool(record.facts.data.outputs) and ordered)


def plain(value: object) -> Json:
    """An ``*_info`` value in JSON's types.

    Dataclasses become objects and tuples become lists. Numbers that are not finite become null, because JSON has none.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    raise TypeError(f"a report holds only plain values, but got {type(value).__name__}: {value!r}")
