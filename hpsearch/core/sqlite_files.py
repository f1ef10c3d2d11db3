"""SQLite files that come into being whole: another process sees all of their tables, or no file.

Optuna and MLflow make their tables in many transactions, MLflow over some seconds. A process that was killed meanwhile
would leave a file that neither of them can use.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hpsearch.core.files import make_file

_PATIENCE_S = 60.0
"""Waited for another process that makes the same file. A suspended one holds up nobody for longer."""

_LOGS = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside its own."""

_LEFT_OVER_S = 3600.0
"""Age of a draft that a killed process has left."""


def make_whole(
    path: Path, make: Callable[[Path], None], *, shared: bool = False, patience_s: float = _PATIENCE_S
) -> None:
    """Make a SQLite file if there is none.

    Args:
        path: The file. Its folder exists.
        make: Makes all tables in the file that it gets, empty and under another name in the same folder, and closes it.
        shared: Whether others may read the file, as far as the umask lets them.
        patience_s: Seconds to wait for another process that is making the file. After that, both make one, and the
            first that is ready is the file.

    Raises:
        OSError: The folder cannot be written.
    """
    if _is_there(path):
        return
    with _first_come(path, patience_s, wanted=lambda: _is_there(path)):
        if _is_there(path):
            return
        _remove_drafts(path)
        # In containers, process numbers repeat.
        draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.draft")
        try:
            make_file(draft, shared=shared)  # SQLite gives its logs the same mode
            make(draft)
            _fold_log(draft)
            _put(draft, path)
        finally:
            _remove(draft)


def set_aside(path: Path, is_half_made: Callable[[Path], bool], *, patience_s: float = _PATIENCE_S) -> None:
    """Rename a SQLite file that is of no use, with its log, to ``….half-made``: then it can be made anew.

    Args:
        path: The file.
        is_half_made: Asked once no other process is making the file: it may be whole by then.
        patience_s: As for :func:`make_whole`.
    """
    with _first_come(path, patience_s, wanted=lambda: False):
        if not (_is_there(path) and is_half_made(path)):
            return
        # The file itself goes last: a log that is left alone would be taken for that of the next file.
        for end in (*_LOGS, ""):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + end).replace(path.with_name(f"{path.name}.half-made{end}"))


def _is_there(path: Path) -> bool:
    # SQLite makes an empty file when it opens one that is missing.
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


@contextlib.contextmanager
def _first_come(path: Path, patience_s: float, wanted: Callable[[], bool]) -> Iterator[None]:
    """Let one process into the block while the others wait, until what they want is there or patience ends."""
    until = time.monotonic() + patience_s
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        while not wanted() and time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


def _fold_log(draft: Path) -> None:
    """Put everything into the one file that is about to be renamed."""
    with contextlib.closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode=delete")


def _put(draft: Path, path: Path) -> None:
    """Give a draft its name, unless another process was first."""
    if _is_there(path):
        return
    for end in _LOGS:  # of a file that was deleted: SQLite would take it for this one's
        path.with_name(path.name + end).unlink(missing_ok=True)
    if path.exists():
        draft.replace(path)
        return
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not _is_there(path):
            draft.replace(path)


def _remove_drafts(path: Path) -> None:
    for one in path.parent.glob(f".{path.name}.*.draft"):
        with contextlib.suppress(OSError):
            if time.time() - one.stat().st_mtime > _LEFT_OVER_S:
                _remove(one)


def _remove(draft: Path) -> None:
    for end in ("", *_LOGS):
        draft.with_name(draft.name + end).unlink(missing_ok=True)
