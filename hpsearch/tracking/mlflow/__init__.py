"""MLflow as a projection of the ledger: it can be down, and is caught up later. Only this package imports mlflow."""

from hpsearch.tracking.mlflow.client import imported_ahead
from hpsearch.tracking.mlflow.registration import CHAMPION_IMPORTS, log_champion
from hpsearch.tracking.mlflow.tracker import SyncReport, Tracker, TrackingState, sync
from hpsearch.tracking.mlflow.ui import Ui, serve_ui

__all__ = [
    "CHAMPION_IMPORTS",
    "SyncReport",
    "Tracker",
    "TrackingState",
    "Ui",
    "imported_ahead",
    "log_champion",
    "serve_ui",
    "sync",
]
