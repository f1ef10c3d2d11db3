"""Shows studies in MLflow while they are searched. The ledger is the record of truth; MLflow can be down meanwhile.

Importing this room imports no MLflow.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import TrackingSection
from hpsearch.tracking.base import SyncReport, Tracker, TrackingState, Untracked
from hpsearch.tracking.settings import environment

__all__ = ["SyncReport", "Tracker", "TrackingState", "check_access", "environment", "make_tracker", "serve_ui", "sync"]


def make_tracker(
    section: TrackingSection, *, is_null: bool = False, turn: Callable[[], AbstractContextManager[None]] | None = None
) -> Tracker:
    """The tracker of a study's ``[tracking]`` section; a null search is shown nowhere.

    Args:
        section: Where to show it.
        is_null: Whether it is a null search.
        turn: Given if several drivers show the study: none of them is in such a block at the same time.

    Raises:
        TrackingError: An environment variable that the section names is not set.
    """
    if is_null:
        return Untracked()
    from hpsearch.tracking.mlflow.tracker import MlflowTracker

    return MlflowTracker(section, turn=turn)


def check_access(section: TrackingSection, *, timeout_s: float = 20.0) -> None:
    """Ask the tracker's server or database for something small. A file is not looked at.

    Args:
        section: Where it is.
        timeout_s: How long it may take to answer.

    Raises:
        TrackingError: It cannot be reached, or does not let us in (``tracking.not-allowed``).
    """
    from hpsearch.tracking.mlflow.access import check_access

    check_access(section, timeout_s=timeout_s)


def sync(record: StudyRecord) -> SyncReport:
    """Bring the tracker to what the ledger has: nothing lost, nothing doubled. What was deleted there comes back.

    Args:
        record: The study. Its champion is registered if its files are there.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    from hpsearch.tracking.mlflow.catching_up import sync

    return sync(record)


def serve_ui(
    section: TrackingSection, *, study: str | None = None, port: int | None = None, ready: Callable[[str], None]
) -> int:
    """Show the tracker's web pages until Ctrl-C; see :func:`hpsearch.tracking.mlflow.ui.serve_ui`.

    Raises:
        TrackingError: The store does not exist, the port is taken, or the server does not start.
    """
    from hpsearch.tracking.mlflow.ui import serve_ui

    return serve_ui(section, study=study, port=port, ready=ready)
