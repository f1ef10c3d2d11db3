"""Locks between processes. When a holder dies, however it dies, the system or the database releases its locks."""

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import LedgerError

if TYPE_CHECKING:
    import sqlalchemy

_TABLES = "/tables"  # no study's name has a slash
_GLANCE_S = 0.1
"""Waited before a lock counts as taken, because :func:`is_file_held` takes it for a moment."""
_HOLDER = """
SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %(key)s AND objsubid = 1
"""


@contextmanager
def lock_file(path: Path, study: str) -> Iterator[None]:
    """Hold the lock of a file. It keeps out a second driver on this machine.

    Args:
        path: The file; it is made if it is missing.
        study: The study's name, for the message.

    Raises:
        LedgerError: Another process holds it, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LedgerError(
            f"cannot write in {path.parent}: {error.strerror}",
            code="folder-not-writable",
            hint="make the folder writable, or start in another one",
            folder=str(path.parent),
            reason=error.strerror,
        ) from None
    try:
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_GLANCE_S)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise _taken(study, f"process {holder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def lock_study(uri: str, study: str) -> Iterator[None]:
    """Keep out drivers on other machines and in other folders.

    Args:
        uri: The ledger's address. Only PostgreSQL has locks for this; elsewhere :func:`lock_file` has to do.
        study: The study's name.

    Raises:
        LedgerError: Another process holds it.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    with _session(uri) as session:
        key = {"key": _key(study)}
        if not session.exec_driver_sql("SELECT pg_try_advisory_lock(%(key)s)", key).scalar():
            raise _taken(study, session.exec_driver_sql(_HOLDER, key).scalar() or "another process")
        yield


def is_file_held(path: Path) -> bool:
    """Whether a process on this machine has the lock of :func:`lock_file`. Writes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # nobody can know
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_study_held(uri: str, study: str) -> bool:
    """Whether a process on any machine has the lock of :func:`lock_study`; False on databases without locks."""
    if not uri.startswith("postgresql"):
        return False
    with _session(uri) as session:
        return session.exec_driver_sql(_HOLDER, {"key": _key(study)}).first() is not None


@contextmanager
def taking_turns(uri: str, folder: Path | None) -> Iterator[None]:
    """Wait until no other process is in this block for the same database. Two must not make its tables at once.

    Args:
        uri: The database's SQLAlchemy address.
        folder: The folder of a SQLite file, which may not exist yet; None for servers.
    """
    if folder is not None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    elif uri.startswith("postgresql"):
        with _session(uri) as session:
            session.exec_driver_sql("SELECT pg_advisory_lock(%(key)s)", {"key": _key(_TABLES)})
            yield
    else:
        yield


@contextmanager
def _session(uri: str) -> Iterator["sqlalchemy.Connection"]:
    """A separate connection to PostgreSQL, named after this process. Its end releases its locks."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        uri, poolclass=sqlalchemy.NullPool, pool_reset_on_return=None, isolation_level="AUTOCOMMIT"
    )
    with closing(engine.connect()) as session:
        name = f"hpsearch process {os.getpid()} on {socket.gethostname()}"
        session.exec_driver_sql("SELECT set_config('application_name', %(name)s, false)", {"name": name[:63]})
        yield session


def _key(name: str) -> int:
    """A number for a name, because PostgreSQL's locks have numbers."""
    return int.from_bytes(hashlib.blake2b(f"hpsearch {name}".encode(), digest_size=8).digest(), "big", signed=True)


def _taken(study: str, holder: str) -> LedgerError:
    return LedgerError(
        f"{holder} is already running study {study!r}",
        code="study-taken",
        hint="wait for it, or stop it with Ctrl-C there; `hpsearch show` works in the meantime",
        study=study,
        holder=holder,
    )
