"""MLflow as a projection of the ledger: it can be down, and is caught up later. Only this package imports mlflow."""

from hpsearch.tracking.champion import CHAMPION_IMPORTS, log_champion
from hpsearch.tracking.client import imported_ahead
from hpsearch.tracking.tracker import SyncReport, Tracker, TrackingState, sync
from hpsearch.tracking.ui import Ui, serve_ui

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
