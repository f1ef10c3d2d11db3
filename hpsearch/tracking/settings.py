"""The process' environment while MLflow is in use. Set and restored by the caller's thread; no other thread changes it.

Starting a process copies the environment. A thread that changed it meanwhile would hand on half of the settings.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial

from hpsearch.core.imports import mlflow_ahead
from hpsearch.spec import StudySpec

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own defaults retry for four minutes; and a retried create_run may create two.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # MLflow prints a line to stdout whenever a run ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A uv project in the working directory is no part of a champion.
    "MLFLOW_UV_AUTO_DETECT": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What MLflow reads from the environment only. The user's own values win."""

SESSION = "_MLFLOW_TELEMETRY_SESSION_ID"
"""Set by MLflow while it is imported with telemetry on, and inherited by child processes. Imported with telemetry off,
MLflow deletes it, in whichever thread imports it. So it is taken out before a thread does."""

_lock = threading.Lock()
_users = 0
_added: list[str] = []
_hidden: dict[str, str] = {}


@contextlib.contextmanager
def mlflow_settings() -> Iterator[None]:
    """Keep MLflow quiet and quick to give up inside the block. Blocks may overlap; the last one to end restores."""
    global _users
    with _lock:
        if _users == 0:
            _added.extend(name for name in SETTINGS if name not in os.environ)
            os.environ.update((name, SETTINGS[name]) for name in _added)
            if SESSION in os.environ and "mlflow" not in sys.modules:
                _hidden[SESSION] = os.environ.pop(SESSION)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            while _users == 0 and _added:
                os.environ.pop(_added.pop(), None)
            if _users == 0:
                os.environ.update(_hidden)
                _hidden.clear()


@contextlib.contextmanager
def environment(spec: StudySpec) -> Iterator[None]:
    """Prepare the process for tracking a study inside the block, and start to import MLflow in the background.

    The import takes seconds, in which a driver waits for its workers anyway. Nothing is connected to, or written. What
    goes wrong shows when MLflow is used. If the worker is this very process, it has imports of its own to do, and
    MLflow's come later.

    Args:
        spec: The study file.
    """
    with mlflow_settings():
        if os.environ["MLFLOW_DISABLE_TELEMETRY"].lower() not in ("true", "1"):
            with contextlib.suppress(ImportError):  # shows where it is used
                import mlflow  # noqa: F401 - sets a variable of its own, so this thread imports it
        if spec.resources.executor == "inline" or spec.is_null:
            yield
            return
        from hpsearch.tracking.mlflow.client import import_mlflow

        with mlflow_ahead(partial(import_mlflow, spec.tracking)):  # which reads the settings
            yield
