"""The only door to MLflow: imported late, quietly, with short patience, and with its errors put into words."""

import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.locks import taking_turns
from hpsearch.errors import TrackingError
from hpsearch.spec import StudySpec, without_password
from hpsearch.tracking.mlflow.address import Address, resolve

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own defaults retry for four minutes; and a retried create_run may create two.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # MLflow prints a line to stdout whenever a run ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_NOISY = ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic", "urllib3.connectionpool")
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}

_lock = threading.Lock()
_users = 0
_set: list[str] = []
_levels: dict[str, int] = {}


@contextlib.contextmanager
def polite() -> Iterator[None]:
    """Keep MLflow quiet and quick to give up inside the block; the user's own settings win, and come back after it.

    MLflow reads these settings from the process' environment only. Blocks may overlap, also between threads.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _hush()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _unhush()


@contextlib.contextmanager
def imported_ahead(spec: StudySpec) -> Iterator[None]:
    """Import MLflow in the background of the block: it takes seconds, in which a driver waits for its workers anyway.

    Nothing is connected to, or written. What goes wrong shows when MLflow is used. Where the worker is in this very
    process, it has imports of its own to do, and nothing happens.
    """
    over = threading.Event()

    def work() -> None:
        with contextlib.suppress(Exception), polite():
            if not resolve(spec.tracking).http:
                from hpsearch.tracking.mlflow import tables  # noqa: F401 - brings MLflow's database store along
            # Polite to the end: the environment must not change while a worker is started with a copy of it.
            over.wait()

    if spec.resources.executor != "inline":
        # No daemon: Python may crash at its exit if that cuts an import short.
        threading.Thread(target=work, name="hpsearch-import").start()
    try:
        yield
    finally:
        over.set()


def _hush() -> None:
    for name, value in _DEFAULTS.items():
        if name not in os.environ:
            os.environ[name] = value
            _set.append(name)
    with contextlib.suppress(Exception):  # a broken one is told where it is used
        import mlflow  # noqa: F401 - configures its loggers, so it goes before their levels are noted

    for name in _NOISY:
        logger = logging.getLogger(name)
        _levels[name] = logger.level
        # Errors come as exceptions too, and are told in our words.
        logger.setLevel(logging.CRITICAL)


def _unhush() -> None:
    while _set:
        os.environ.pop(_set.pop(), None)
    for name, level in _levels.items():
        logging.getLogger(name).setLevel(level)


def _quicken(file: Path) -> None:
    """Write-ahead logging for MLflow's SQLite file: a commit takes half as long, and its pages never block us.

    It stays set in the file. Where it cannot be set (a read-only file), MLflow says what is wrong in its own time.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=wal")


def connect(address: Address) -> "MlflowClient":
    """A client of that address; a fresh SQLite database gets its folder and, by MLflow, its tables (some seconds).

    Raises:
        TrackingError: The folder cannot be created.
    """
    address.make_folder()
    from mlflow import MlflowClient

    with taking_turns(address.uri, None if address.file is None else address.file.parent):
        if address.file is not None:
            _quicken(address.file)
        client = MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)
    for part in (client._tracking_client, client._get_registry_client()):
        if (engine := getattr(part.store, "engine", None)) is not None:
            # At the end of the process at the latest: an orderly goodbye folds SQLite's log into its file.
            weakref.finalize(client, engine.dispose)
    return client


def refused(error: BaseException) -> bool:
    """Whether MLflow is up and will say no again, rather than being out of reach for now."""
    return str(getattr(error, "error_code", "")) in _REFUSALS


def gone(error: BaseException) -> bool:
    """Whether what was asked for has been deleted for good."""
    return str(getattr(error, "error_code", "")) == "RESOURCE_DOES_NOT_EXIST"


def explain(error: BaseException, address: Address) -> TrackingError:
    """The error of an MLflow call as one of ours: what, where, and what to do."""
    if isinstance(error, TrackingError):
        return error
    reason = _reason(error)
    if refused(error) or gone(error):
        return TrackingError(f"MLflow at {address.written} refuses: {reason}", hint="`hpsearch sync` tries again")
    if address.http:
        hint = "start the server or mend [tracking] uri, then `hpsearch sync`; the ledger has everything"
    else:
        hint = "check the database and the disk, then `hpsearch sync`; the ledger has everything"
    return TrackingError(f"MLflow at {address.written} cannot be reached: {reason}", hint=hint)


def _reason(error: BaseException) -> str:
    """The first telling line of an error; MLflow's wrap several others."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    if "Connection refused" in text:
        return "connection refused"
    if "timed out" in text.lower():
        return "no answer in time"
    # SQLAlchemy puts advice to programmers first.
    lines: list[Any] = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith("(raised as a result of")
    ]
    return without_password(str(lines[0]))[:300] if lines else type(error).__name__
