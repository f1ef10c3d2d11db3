"""What can be said of a study, computed once: plain numbers that terminal, report, notebook and MLflow all show."""

from hpsearch.analysis.importance import ImportanceInfo, importance_info
from hpsearch.analysis.leaderboard import (
    FailureRow,
    LeaderboardInfo,
    TiesInfo,
    failures_info,
    leaderboard_info,
    ties_info,
)
from hpsearch.analysis.predictions import Predictions, PredictionsInfo, predictions_info
from hpsearch.analysis.trajectory import TrajectoryInfo, trajectory_info
from hpsearch.analysis.verdict import VerdictInfo, verdict_info

__all__ = [
    "FailureRow",
    "ImportanceInfo",
    "LeaderboardInfo",
    "Predictions",
    "PredictionsInfo",
    "TiesInfo",
    "TrajectoryInfo",
    "VerdictInfo",
    "failures_info",
    "importance_info",
    "leaderboard_info",
    "predictions_info",
    "ties_info",
    "trajectory_info",
    "verdict_info",
]
