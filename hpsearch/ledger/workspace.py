"""Where a study's files are, and the lock that keeps a second driver out, unless both are joined.

``mlruns/`` in the working directory holds everything: ``ledger.db``, ``mlflow.db``, ``artifacts/``, ``cache/``
(compiled programs) and ``studies/<name>/`` (the champion, its predictions, the report).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hpsearch.core.addresses import AnyUri, Uri, sqlite_path
from hpsearch.core.locks import is_file_held, is_study_held, lock_file, lock_study, study_holders
from hpsearch.core.trial import Champion
from hpsearch.errors import LedgerError
from hpsearch.ledger.connection import explained
from hpsearch.ledger.places import root_of, study_folder, tracking_here
from hpsearch.ledger.record import DRIVER_DIED, StudyRecord, StudyState
from hpsearch.ledger.store import Ledger

__all__ = [
    "cache_folder",
    "drivers_of",
    "driving",
    "enter_dead",
    "has_mlflow_model",
    "lock_path",
    "read",
    "root_of",
    "settle",
    "study_folder",
    "tracking_here",
]


def cache_folder(ledger_uri: AnyUri) -> Path:
    """Folder of compiled programs, shared by all studies. It is not made here."""
    return root_of(ledger_uri) / "cache"


def has_mlflow_model(champion: Champion) -> bool:
    """Whether the folder that MLflow registers is there and complete."""
    return bool(champion.mlflow_model) and Path(champion.mlflow_model, "MLmodel").is_file()


@contextmanager
def driving(ledger_uri: AnyUri, name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the study's lock. It is released when the process ends, however it ends.

    Args:
        ledger_uri: The ledger.
        name: The study.
        shared: Whether others may look into the study's folder, if it is made here.

    Raises:
        LedgerError: Another driver holds it, or the folder cannot be written.
    """
    with lock_file(lock_path(ledger_uri, name), name, shared=shared), ExitStack() as stack:
        with explained(ledger_uri):
            stack.enter_context(lock_study(Uri(ledger_uri).reveal(), name))
        yield


def read(ledger: Ledger, name: str) -> StudyRecord:
    """A study as it stands. It is interrupted if its driver was killed, whatever the ledger says. Writes nothing.

    Raises:
        LedgerError: There is none of that name, or it cannot be read.
    """
    record = ledger.load(name)
    if record.state is StudyState.RUNNING and not _is_driven(ledger.uri, name):
        # Read again: the driver may have finished between the two looks.
        return ledger.load(name).undriven()
    return record


def drivers_of(ledger_uri: AnyUri, record: StudyRecord) -> int:
    """How many drivers a study has now, as far as it can be seen; `record` is as :func:`read` returns it."""
    if record.state is not StudyState.RUNNING:
        return 0
    with explained(ledger_uri):
        return max(1, len(study_holders(Uri(ledger_uri).reveal(), record.name)))


def enter_dead(ledger: Ledger) -> list[StudyRecord]:
    """Enter as interrupted the studies that claim to be running although their drivers have died.

    Returns:
        These studies, and those that were entered so before and are not :func:`settle`-d yet.
    """
    found: list[StudyRecord] = []
    if not _shows_drivers(ledger.uri):
        return found
    for name in ledger.unsettled():
        with suppress(LedgerError), driving(ledger.uri, name):  # another driver has it, or it cannot be read
            record = ledger.load(name)
            if record.state is StudyState.RUNNING:
                if not record.spec.is_null:  # which no tracker shows
                    ledger.set_behind(name, DRIVER_DIED)
                ledger.set_state(name, StudyState.INTERRUPTED)
            found.append(record.undriven())
    return found


def settle(ledger_uri: AnyUri, name: str, write: Callable[[StudyRecord], bool]) -> None:
    """Let a tracker end the runs of a study whose driver has died, unless somebody drives it by now.

    Args:
        ledger_uri: Its ledger.
        name: The study.
        write: Gets the study as it is then, while no driver can take it; whether everything has been written.
    """
    with suppress(LedgerError), driving(ledger_uri, name):
        ledger = Ledger(ledger_uri)
        record = ledger.load(name)
        if record.behind == DRIVER_DIED and record.state is StudyState.INTERRUPTED and write(record):
            ledger.set_behind(name, "")


def _is_driven(ledger_uri: AnyUri, name: str) -> bool:
    if not _shows_drivers(ledger_uri):
        return True  # believe the ledger
    with explained(ledger_uri):
        return is_file_held(lock_path(ledger_uri, name)) or is_study_held(Uri(ledger_uri).reveal(), name)


def _shows_drivers(ledger_uri: AnyUri) -> bool:
    """Whether locks tell who drives a study: other databases have none that drivers on other machines would hold."""
    return sqlite_path(ledger_uri) is not None or Uri(ledger_uri).dialect == "postgresql"


def lock_path(ledger_uri: AnyUri, name: str) -> Path:
    """The file that a study's driver holds."""
    return study_folder(ledger_uri, name) / "driver.lock"
