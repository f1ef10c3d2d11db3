"""The only door to MLflow: imported late, quiet, and with its errors in our words."""

import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hpsearch.core.addresses import sqlite_address
from hpsearch.core.imports import wait_for_imports
from hpsearch.core.locks import taking_turns
from hpsearch.core.sqlite_files import make_whole, set_aside
from hpsearch.errors import HpsearchError, TrackingError
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow.address import Address, resolve_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOGGERS = ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic", "urllib3.connectionpool")
_NOT_ALLOWED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}

_SOMEBODYS = {"alembic_version": "WHERE 0", "workspaces": "WHERE 0", "experiments": "WHERE experiment_id <> 0"}
"""Tables that MLflow itself puts rows into → which rows are somebody's."""

_lock = threading.Lock()
_users = 0
_levels: dict[str, int] = {}


def import_mlflow(section: TrackingSection) -> None:
    """Import what tracking will need. A missing or broken MLflow shows later, where it is used."""
    with contextlib.suppress(ImportError, HpsearchError):
        http = resolve_address(section).http
        import mlflow.models  # noqa: F401 - brings the client along

        if http:
            import IPython  # noqa: F401 - which MLflow's first request does
        else:
            from hpsearch.tracking.mlflow import tables  # noqa: F401 - brings MLflow's database store along


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from writing to the terminal inside the block: its errors come as exceptions, told in our words.

    Blocks may overlap, also between threads.
    """
    global _users
    wait_for_imports()
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
    client = _opened(address)
    _forget_places()
    for part in (client._tracking_client, client._get_registry_client()):
        if (engine := getattr(part.store, "engine", None)) is not None:
            # At the end of the process at the latest: an orderly goodbye folds SQLite's log into its file.
            weakref.finalize(client, engine.dispose)
    return client


def _opened(address: Address) -> "MlflowClient":
    """A client whose tables are there."""
    if address.file is None:
        with taking_turns(address.uri.reveal()):
            return _client(address)
    make = partial(_make_tables, address)
    make_whole(address.file, make, shared=address.shared)
    _log_ahead(address.file)
    try:
        return _client(address)
    except Exception:  # MLflow raises its own errors and SQLAlchemy's
        _forget_engines(address.uri.reveal())
        set_aside(address.file, _is_half_made)
        if address.file.exists():
            raise
    make_whole(address.file, make, shared=address.shared)
    return _client(address)


def _client(address: Address) -> "MlflowClient":
    from mlflow import MlflowClient

    uri = address.uri.reveal()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    _ = client._tracking_client.store, client._get_registry_client().store  # which opens them
    return client


def _forget_engines(uri: str) -> None:
    """Close the connections that MLflow keeps open for an address: they are to a file, whatever its name becomes."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for store in (SqlAlchemyStore, Registry):
        engine = getattr(store, "_engine_map", {}).pop(uri, None)
        if engine is not None:
            engine.dispose()


def _is_half_made(file: Path) -> bool:
    """Whether a database that MLflow cannot open holds nothing of anybody and nobody writes it: its maker died."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return not any(
                connection.execute(f'SELECT 1 FROM "{name}" {_SOMEBODYS.get(name, "")} LIMIT 1').fetchone()
                for (name,) in names
            )
    except sqlite3.Error:  # locked, damaged, or no database
        return False


def _forget_places() -> None:
    """MLflow remembers by run where artifacts are. In a copied workspace, the same run has another place."""
    from mlflow.tracking._tracking_service import utils

    getattr(utils, "_artifact_repos_cache", {}).clear()


def _make_tables(address: Address, file: Path) -> None:
    """Let MLflow make its tables in a file.

    By itself, it would write the working directory into them as SQL text, which ends at an apostrophe.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(sqlite_address(file), address.artifact_root or file.parent.as_uri())
    _forget_engines(store.db_uri)


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
    if error_code(error) in _NOT_ALLOWED:
        return not_allowed(address.written, known=error_code(error) == "PERMISSION_DENIED")
    values = {"address": address.written, "reason": address.uri.hide_in(_reason(error))[:300]}
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


def not_allowed(address: str, *, known: bool) -> TrackingError:
    """The error of a server with users of its own.

    Args:
        address: The server, without secrets.
        known: Whether it knows who asks, who then may not do what was asked.
    """
    if known:
        return TrackingError(
            f"MLflow at {address} knows you, but you may not do this there",
            code="not-allowed",
            hint="ask whoever looks after it for the permission EDIT on the experiment, or use another study name",
            address=address,
        )
    given = _credentials_given()
    why = f"{given} is wrong" if given else "it wants a user and a password"
    return TrackingError(
        f"MLflow at {address} does not let you in: {why}",
        code="not-allowed",
        hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment",
        address=address,
    )


def _credentials_given() -> str:
    """What MLflow has sent, as far as the environment says. In this order MLflow looks for it."""
    if os.environ.get("MLFLOW_TRACKING_USERNAME") and os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        return "the user or password in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return "the token in MLFLOW_TRACKING_TOKEN" if os.environ.get("MLFLOW_TRACKING_TOKEN") else ""


def _reason(error: BaseException) -> str:
    """The line of an error that says most; MLflow's wrap several others."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    if "Connection refused" in text:
        return "connection refused"
    if "timed out" in text.lower():
        return "no answer in time"
    # SQLAlchemy puts advice to programmers first.
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("(raised as a result")]
    return lines[0] if lines else type(error).__name__


def store_of(client: "MlflowClient") -> Any:
    """The store behind a client. MLflow has no public way to it."""
    return client._tracking_client.store
