"""Locks between processes. When a holder dies, however it dies, the system or the database releases its locks."""

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
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
SELECT application_name || to_char(backend_start AT TIME ZONE 'UTC', '", since" YYYY-MM-DD HH24:MI "UTC"'), mode
FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %(key)s AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY backend_start
"""
_TRIES, _POLL_S = 10, 0.1
"""How often a joined driver asks for its lock: to look after dead studies takes the other form of it for a moment."""
_TELL_S = 1.0
"""After which a user is told that somebody is waited for."""


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
def lock_study(uri: str, study: str, *, joined: bool = False) -> Iterator[None]:
    """Keep out drivers on other machines and in other folders.

    Args:
        uri: The ledger's address. Only PostgreSQL has locks for this; elsewhere :func:`lock_file` has to do.
        study: The study's name.
        joined: Whether other joined drivers may hold it at the same time.

    Raises:
        LedgerError: Another process holds it, and one of the two is not joined.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    take = "SELECT pg_try_advisory_lock_shared(%(key)s)" if joined else "SELECT pg_try_advisory_lock(%(key)s)"
    with _session(uri) as session:
        key = {"key": _key(study)}
        for left in reversed(range(_TRIES if joined else 1)):
            if session.exec_driver_sql(take, key).scalar():
                break
            if not left:
                holder, mode = session.exec_driver_sql(_HOLDER, key).first() or ("another process", "")
                raise _kept_out(study, holder) if joined else _taken(study, holder, joined=mode == "ShareLock")
            time.sleep(_POLL_S)
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
    return bool(study_holders(uri, study))


def study_holders(uri: str, study: str) -> list[str]:
    """Who has the lock of :func:`lock_study`, the oldest first: several, if they are joined."""
    if not uri.startswith("postgresql"):
        return []
    with _session(uri) as session:
        return [str(holder) for holder, _ in session.exec_driver_sql(_HOLDER, {"key": _key(study)})]


def taking_turns(uri: str) -> AbstractContextManager[None]:
    """Wait until no other process is in this block for the same PostgreSQL database: two must not make its tables.

    SQLite files are made by :func:`~hpsearch.core.sqlite_files.make_whole`.

    Args:
        uri: The database's SQLAlchemy address.

    Raises:
        LedgerError: Another process has been in the block for a minute.
    """
    return turn(uri, _TABLES, "making the tables of the database", "tables-taken", wait_s=_TABLES_WAIT_S)


@contextmanager
def turn(
    uri: str,
    name: str,
    doing: str,
    code: str = "turn-taken",
    *,
    wait_s: float = _TABLES_WAIT_S,
    waiting: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Wait until no other process is in a block of this name for the same PostgreSQL database.

    Args:
        uri: The database's SQLAlchemy address. On others, there is nothing to wait for.
        name: The block's name. No study's name has a slash.
        doing: What is done in it, for messages.
        code: Of the error.
        wait_s: How long to wait, seconds.
        waiting: Called with the holder's name if it takes longer than a second.

    Raises:
        LedgerError: Another process has been in the block for all that time.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    with _session(uri) as session:
        key, began, told = {"key": _key(name)}, time.monotonic(), False
        while not session.exec_driver_sql("SELECT pg_try_advisory_lock(%(key)s)", key).scalar():
            waited = time.monotonic() - began
            if waited > min(wait_s, _TELL_S) and not (told and waited <= wait_s):
                holder, _ = session.exec_driver_sql(_HOLDER, key).first() or ("another process", "")
                if waited > wait_s:
                    raise LedgerError(
                        f"{holder} has been {doing} for over {wait_s:g} s",
                        code=code,
                        hint="it may be suspended: let it go on or end it, then try again",
                        holder=holder,
                        seconds=wait_s,
                    )
                waiting(holder)
                told = True
            time.sleep(_POLL_S)
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


def _taken(study: str, holder: str, *, joined: bool = False) -> LedgerError:
    ways = "wait for it, or stop it with Ctrl-C there; `hpsearch show` works in the meantime"
    if joined:
        ways = "take part with --join, or wait for it; `hpsearch show` works in the meantime"
    return LedgerError(
        f"{holder} is already running study {study!r}{' with --join' * joined}",
        code="study-taken",
        hint=ways,
        study=study,
        holder=holder,
    )


def _kept_out(study: str, holder: str) -> LedgerError:
    return LedgerError(
        f"{holder} is running study {study!r} without --join, so no other driver can take part",
        code="study-not-shared",
        hint="wait for it, or stop it with Ctrl-C there and start it again with --join: finished folds are kept",
        study=study,
        holder=holder,
    )
