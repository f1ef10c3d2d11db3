"""Where a study's files lie, and the lock that keeps a second driver out.

``mlruns/`` beside the working directory holds everything: ``ledger.db``, ``mlflow.db``, ``artifacts/``, ``cache/``
(compiled programs) and ``studies/<name>/`` (the champion, its predictions, the report).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpsearch.errors import LedgerError
from hpsearch.ledger import sqlite_path


def root_of(ledger_uri: str) -> Path:
    """The folder of a ledger: where its SQLite file lies, else ``mlruns``."""
    path = sqlite_path(ledger_uri)
    return path.parent if path is not None else Path("mlruns")


def study_folder(ledger_uri: str, name: str) -> Path:
    """Folder of one study's files; not created here."""
    return root_of(ledger_uri) / "studies" / name


def cache_folder(ledger_uri: str) -> Path:
    """Folder of compiled programs, shared by all studies; not created here."""
    return root_of(ledger_uri) / "cache"


@contextmanager
def driving(ledger_uri: str, name: str) -> Iterator[None]:
    """Hold the study's lock. The system releases it when the process ends, however it ends.

    Raises:
        LedgerError: Another driver on this machine holds it, or the folder cannot be written.
    """
    path = study_folder(ledger_uri, name) / "driver.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LedgerError(
            f"cannot write in {path.parent}: {error.strerror}", hint="make the folder writable, or start elsewhere"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise LedgerError(
                f"study {name!r} is being driven by process {holder} already",
                hint="wait for it, or stop it with Ctrl-C there; `hpsearch show` can be used meanwhile",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
