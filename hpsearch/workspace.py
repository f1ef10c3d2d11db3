"""Where a study's files lie, and the lock that keeps a second driver out.

``mlruns/`` beside the working directory holds everything: ``ledger.db``, ``mlflow.db``, ``artifacts/``, ``cache/``
(compiled programs) and ``studies/<name>/`` (the champion, its predictions, the report).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hpsearch.ledger import explained, sqlite_path
from hpsearch.locks import lock_file, lock_study


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
    """Hold the study's lock. It is released when the process ends, however it ends.

    Raises:
        LedgerError: Another driver holds it, or the folder cannot be written.
    """
    with lock_file(study_folder(ledger_uri, name) / "driver.lock", name), ExitStack() as stack:
        with explained(ledger_uri):
            stack.enter_context(lock_study(ledger_uri, name))
        yield
