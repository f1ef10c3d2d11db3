"""The only door to MLflow: imported late, quiet, and with its errors in our words."""

import contextlib
import logging
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.locks import taking_turns
from hpsearch.errors import HpsearchError, TrackingError
from hpsearch.spec import TrackingSection, without_password
from hpsearch.tracking.mlflow.address import Address, resolve_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOGGERS = ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic", "urllib3.connectionpool")
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}

_lock = threading.Lock()
_users = 0
_levels: dict[str, int] = {}


def import_mlflow(section: TrackingSection) -> None:
    """Import what tracking will need. A missing or broken MLflow shows later, where it is used."""
    with contextlib.suppress(ImportError, HpsearchError):
        http = resolve_address(section).http
        import mlflow.models  # noqa: F401 - brings the client along

        if not http:
            from hpsearch.tracking.mlflow import tables  # noqa: F401 - brings MLflow's database store along


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from writing to the terminal inside the block: its errors come as exceptions, told in our words.

    Blocks may overlap, also between threads.
    """
    global _users
    with contextlib.suppress(ImportError):  # shows where it is used
        import mlflow  # noqa: F401 - sets up its loggers, so it goes before their levels are noted
    with _lock:
        _users += 1
        if _users == 1:
            for logger in map(logging.getLogger, _LOGGERS):
                _levels[logger.name] = logger.level
                logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for name, level in _levels.items():
                    logging.getLogger(name).setLevel(level)


def connect(address: Address) -> "MlflowClient":
    """A client of that address; a fresh SQLite database gets its folder and, by MLflow, its tables (some seconds).

    Raises:
        TrackingError: The folder cannot be created.
    """
    address.make_folder()
    from mlflow import MlflowClient

    with taking_turns(address.uri, None if address.file is None else address.file.parent):
        if address.file is not None:
            _log_ahead(address.file)
            _make_tables(address)
        client = MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)
    _forget_places()
    for part in (client._tracking_client, client._get_registry_client()):
        if (engine := getattr(part.store, "engine", None)) is not None:
            # At the end of the process at the latest: an orderly goodbye folds SQLite's log into its file.
            weakref.finalize(client, engine.dispose)
    return client


def _forget_places() -> None:
    """MLflow remembers by run where artifacts are. In a copied workspace, the same run has another place."""
    from mlflow.tracking._tracking_service import utils

    getattr(utils, "_artifact_repos_cache", {}).clear()


def _make_tables(address: Address) -> None:
    """Let MLflow make its tables where it cannot by itself.

    It writes the working directory into them as SQL text, which ends at an apostrophe. The artifact root has none.
    """
    if "'" in str(Path.cwd()) and address.artifact_root is not None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(address.uri, address.artifact_root).engine.dispose()


def _log_ahead(file: Path) -> None:
    """Write-ahead logging for MLflow's SQLite file: a commit takes half as long, and its pages never block us.

    It stays set in the file. If it cannot be set (a read-only file), MLflow says what is wrong in its own time.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=wal")


def error_code(error: BaseException) -> str:
    """MLflow's code of an error; empty for errors of others."""
    return str(getattr(error, "error_code", ""))


def is_refusal(error: BaseException) -> bool:
    """Whether MLflow is up and will say no again, rather than being out of reach for now."""
    return error_code(error) in _REFUSALS


def is_gone(error: BaseException) -> bool:
    """Whether what was asked for is not there, or has been deleted for good."""
    return error_code(error) == "RESOURCE_DOES_NOT_EXIST"


def as_tracking_error(error: BaseException, address: Address) -> TrackingError:
    """The error of an MLflow call as one of ours: what, where, and what to do."""
    if isinstance(error, TrackingError):
        return error
    values = {"address": address.written, "reason": _reason(error)}
    if is_refusal(error) or is_gone(error):
        return TrackingError(
            f"MLflow at {address.written} refuses: {values['reason']}",
            code="refused",
            hint="`hpsearch sync` tries again",
            **values,
        )
    mend = "start the server or fix [tracking] uri" if address.http else "check the database and the disk"
    return TrackingError(
        f"MLflow at {address.written} cannot be reached: {values['reason']}",
        code="unreachable",
        hint=f"{mend}, then `hpsearch sync`; the ledger has everything",
        **values,
    )


def _reason(error: BaseException) -> str:
    """The line of an error that says most; MLflow's wrap several others."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    if "Connection refused" in text:
        return "connection refused"
    if "timed out" in text.lower():
        return "no answer in time"
    # SQLAlchemy puts advice to programmers first.
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("(raised as a result")]
    return without_password(lines[0])[:300] if lines else type(error).__name__


def store_of(client: "MlflowClient") -> Any:
    """The store behind a client. MLflow has no public way to it."""
    return client._tracking_client.store
