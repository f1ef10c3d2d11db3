"""Where studies are recorded: the ledger, MLflow, and the addresses that a study file names."""

import contextlib
import importlib.util
import socket
import sqlite3
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from hpsearch import tracking
from hpsearch.core.addresses import Uri, sqlite_path
from hpsearch.core.words import first_line
from hpsearch.doctor.findings import Finding, Health, broken
from hpsearch.errors import HpsearchError
from hpsearch.ledger.connection import count_studies
from hpsearch.spec import TrackingSection

_CONNECT_S = 5.0
"""How long a server may take to answer."""

_RAY_PORT = 6379


def ledger_of(uri: Uri, *, connect: bool) -> Finding:
    """Whether the ledger can be read. A database on a server is only asked if `connect`."""
    counted = "SELECT count(*) FROM studies"
    if sqlite_path(uri) is not None or not connect:
        return _database("ledger", uri, counted, "studies", code="ledger.unreadable")
    try:
        count = count_studies(uri)
    except HpsearchError as error:
        return broken("ledger", error)
    if count is None:
        return Finding("ledger", Health.ABSENT, str(uri), "it has no tables yet; `hpsearch run` creates them")
    return Finding("ledger", detail=f"{uri}: {count} studies", values={"studies": count})


def mlflow_of(section: TrackingSection, *, connect: bool) -> Finding:
    """Whether MLflow's record can be read. A server is only asked if `connect`."""
    try:
        uri = section.resolved().uri
    except HpsearchError as error:
        return broken("MLflow", error)
    if sqlite_path(uri) is not None or not connect:
        counted = "SELECT count(*) FROM experiments"
        return _database("MLflow", uri, counted, "experiments", code="tracking.unreadable")
    try:
        tracking.check_access(section, timeout_s=_CONNECT_S)
    except HpsearchError as error:
        return broken("MLflow", error)
    return Finding("MLflow", detail=f"{uri} answers")


def _database(name: str, uri: Uri, query: str, what: str, *, code: str) -> Finding:
    path, shown = sqlite_path(uri), str(uri)
    if path is None:
        return Finding(name, Health.SKIPPED, shown, "it is no file", hint="`hpsearch doctor --storage` connects to it")
    if not path.exists():
        return Finding(name, Health.ABSENT, shown, "`hpsearch run` creates it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            (count,) = database.execute(query).fetchone()
    except sqlite3.Error as error:
        hint = f"restore a copy of {path}, or move it away to start anew"
        return Finding(name, Health.BROKEN, shown, f"it cannot be read: {first_line(error)}", code, hint)
    return Finding(name, detail=f"{shown}: {count} {what}", values={what: count})


def fast_paths(section: TrackingSection, databases: tuple[Finding, Finding]) -> Iterator[Finding]:
    """Whether hpsearch writes rows straight into the tables. It does if it was tested with exactly these tables."""
    ledger, mlflow = databases
    if ledger.health is Health.OK:
        yield _fast_path("fast path of the ledger", lambda: _ledger_difference(section.resolved().ledger))
    if mlflow.health is Health.OK and not section.resolved().uri.is_http:
        yield _fast_path("fast path of MLflow", lambda: _mlflow_difference(section))


def _fast_path(name: str, find_difference: Callable[[], str]) -> Finding:
    try:
        difference = find_difference()
    except HpsearchError as error:
        return broken(name, error)
    return Finding(name, Health.REDUCED, "", difference) if difference else Finding(name, detail="recognised")


def _ledger_difference(uri: Uri) -> str:
    from hpsearch.ledger.store import Ledger

    return "; ".join(Ledger(uri).remarks)


def _mlflow_difference(section: TrackingSection) -> str:
    from hpsearch.tracking.mlflow.address import resolve_address
    from hpsearch.tracking.mlflow.client import connect, quiet

    with quiet():
        from hpsearch.tracking.mlflow.tables import unrecognised

        unknown = unrecognised(connect(resolve_address(section)))
    return (
        f"rows are written through MLflow's public interface, which is slower, because of {unknown}" if unknown else ""
    )


def ray_of(address: str) -> Finding:
    """Whether Ray is installed, and whether its head answers at the address. Imports no Ray.

    Args:
        address: Of ``[resources.ray]``: ``host:port``, ``ray://host:port``, or ``auto`` or nothing for this machine.
    """
    if importlib.util.find_spec("ray") is None:
        hint = "pip install 'hpsearch[ray]'"
        return Finding("Ray", Health.BROKEN, address, "the package ray is not installed", "doctor.ray-missing", hint)
    if address in ("", "auto", "local"):
        return Finding("Ray", Health.SKIPPED, address or "auto", "Ray itself finds or starts it")
    try:
        at = urlsplit(address if "://" in address else f"//{address}")
        host, port = at.hostname or "127.0.0.1", at.port or _RAY_PORT
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        reason = f"nobody answers: {getattr(error, 'strerror', None) or error}"
        hint = f"start it (ray start --head --port {_RAY_PORT}), or fix [resources.ray] address"
        return Finding("Ray", Health.BROKEN, address, reason, "doctor.ray-unreachable", hint)
    return Finding("Ray", detail=f"{address} answers", values={"host": host, "port": port})
