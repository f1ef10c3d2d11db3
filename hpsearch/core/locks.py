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

from hpsearch.core.files import make_folder
from hpsearch.errors import LedgerError

if TYPE_CHECKING:
    import sqlalchemy

_TABLES = "/tables"  # no study's name has a slash
_GLANCE_S = 0.1
"""Waited before a lock counts as taken, because :func:`is_file_held` takes it for a moment."""
_TABLES_WAIT_S = 60.0
"""Making a database's tables takes seconds."""
_HOLDER = """
SELECT application_name || to_char(backend_start AT TIME ZONE 'UTC', '", since" YYYY-MM-DD HH24:MI "UTC"')
FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %(key)s AND objsubid = 1
"""


@contextmanager
def lock_file(path: Path, study: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file. It keeps out a second driver on this machine.

    Args:
        path: The file; it is made if it is missing.
        study: The study's name, for the message.
        shared: Whether others may look into a new folder.

    Raises:
        LedgerError: Another process holds it, or the folder cannot be written.
    """
    try:
        make_folder(path.parent, shared=shared)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644 if shared else 0o600)
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
            raise _taken(study, _holder_of(descriptor)) from None
        os.ftruncate(descriptor, 0)
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        os.pwrite(descriptor, f"{os.getpid()} on {socket.gethostname()}, since {since}".encode(), 0)
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


def _holder_of(descriptor: int) -> str:
    """Process, host and beginning, as the holder has entered them."""
    return f"process {os.pread(descriptor, 200, 0).decode(errors='replace').strip() or 'unknown'}"


def holders(folder: Path) -> list[str]:
    """Who holds the locks of :func:`lock_file` in the folders of a folder, with the folders' names. Waits for none."""
    found = []
    for path in sorted(folder.glob("*/*.lock")):
        if is_file_held(path):
            with suppress(OSError), path.open("rb") as file:
                found.append(f"{_holder_of(file.fileno())} ({path.parent.name})")
    return found


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
def taking_turns(uri: str) -> Iterator[None]:
    """Wait until no other process is in this block for the same PostgreSQL database: two must not make its tables.

    SQLite files are made by :func:`~hpsearch.core.sqlite_files.make_whole`.

    Args:
        uri: The database's SQLAlchemy address.

    Raises:
        LedgerError: Another process has been in the block for a minute.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    with _session(uri) as session:
        key, until = {"key": _key(_TABLES)}, time.monotonic() + _TABLES_WAIT_S
        while not session.exec_driver_sql("SELECT pg_try_advisory_lock(%(key)s)", key).scalar():
            if time.monotonic() > until:
                holder = session.exec_driver_sql(_HOLDER, key).scalar() or "another process"
                raise LedgerError(
                    f"{holder} has been making the tables of the database for over {_TABLES_WAIT_S:g} s",
                    code="tables-taken",
                    hint="it may be suspended: let it go on or end it, then try again",
                    holder=holder,
                    seconds=_TABLES_WAIT_S,
                )
            time.sleep(0.1)
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
