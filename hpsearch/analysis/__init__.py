"""A study's results, computed once: the plain numbers that the terminal, the report, notebooks and MLflow show."""

from hpsearch.analysis.best_out_of_fold import out_of_fold_info, winners_predictions
from hpsearch.analysis.compare import CompareInfo, TrialSummary, compare_info, find_trial, trial_summary
from hpsearch.analysis.cost import CostInfo, cost_info
from hpsearch.analysis.crowned import crowned_sentences
from hpsearch.analysis.curves import CurvesInfo, TrialCurves, curves_info
from hpsearch.analysis.edges import EdgeRow, edges_info
from hpsearch.analysis.importance import ImportanceInfo, importance_info
from hpsearch.analysis.inputs import Inputs, InputsInfo, inputs_info
from hpsearch.analysis.intervals import Interval
from hpsearch.analysis.landscape import (
    ContourInfo,
    ParallelInfo,
    SlicesInfo,
    contour_info,
    parallel_info,
    slice_info,
)
from hpsearch.analysis.leaderboard import (
    FailureRow,
    LeaderboardInfo,
    LeaderboardRow,
    failures_info,
    leaderboard_info,
)
from hpsearch.analysis.limits import LimitsInfo, limits_info
from hpsearch.analysis.null_control import NullInfo, null_info
from hpsearch.analysis.optimism import OptimismInfo, optimism_info
from hpsearch.analysis.out_of_fold import FoldPredictions, OutOfFold
from hpsearch.analysis.pareto import ParetoFront, ParetoInfo, ParetoPoint, pareto_info
from hpsearch.analysis.predictions import LeftOut, Predictions, PredictionsInfo
from hpsearch.analysis.provenance import (
    Layer,
    ModelInfo,
    ProvenanceInfo,
    begins_with,
    model_info,
    provenance_info,
    suggestions,
)
from hpsearch.analysis.shown import predictions_info
from hpsearch.analysis.suggestion import SuggestedRow, next_study_file, suggested_space
from hpsearch.analysis.table import trials_table
from hpsearch.analysis.task_metrics import MetricRow
from hpsearch.analysis.tested import test_intervals
from hpsearch.analysis.ties import TiesInfo, ties_info
from hpsearch.analysis.trajectory import TrajectoryInfo, trajectory_info
from hpsearch.analysis.verdict import VerdictInfo, test_metric, verdict_info

__all__ = [
    "CompareInfo",
    "ContourInfo",
    "CostInfo",
    "CurvesInfo",
    "EdgeRow",
    "FailureRow",
    "FoldPredictions",
    "ImportanceInfo",
    "Inputs",
    "InputsInfo",
    "Interval",
    "Layer",
    "LeaderboardInfo",
    "LeaderboardRow",
    "LeftOut",
    "LimitsInfo",
    "MetricRow",
    "ModelInfo",
    "NullInfo",
    "OptimismInfo",
    "OutOfFold",
    "ParallelInfo",
    "ParetoFront",
    "ParetoInfo",
    "ParetoPoint",
    "Predictions",
    "PredictionsInfo",
    "ProvenanceInfo",
    "SlicesInfo",
    "SuggestedRow",
    "TiesInfo",
    "TrajectoryInfo",
    "TrialCurves",
    "TrialSummary",
    "VerdictInfo",
    "begins_with",
    "compare_info",
    "contour_info",
    "cost_info",
    "crowned_sentences",
    "curves_info",
    "edges_info",
    "failures_info",
    "find_trial",
    "importance_info",
    "inputs_info",
    "leaderboard_info",
    "limits_info",
    "model_info",
    "next_study_file",
    "null_info",
    "optimism_info",
    "out_of_fold_info",
    "parallel_info",
    "pareto_info",
    "predictions_info",
    "provenance_info",
    "slice_info",
    "suggested_space",
    "suggestions",
    "test_intervals",
    "test_metric",
    "ties_info",
    "trajectory_info",
    "trial_summary",
    "trials_table",
    "verdict_info",
    "winners_predictions",
]
