"""Deletes studies: their entries in the ledger, and their folders."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.errors import LedgerError
from hpsearch.ledger import workspace
from hpsearch.ledger.store import Ledger, unknown_study


def delete(name: str, *, ledger: str = DEFAULT_LEDGER) -> Path:
    """Remove a study from the ledger with the studies that are parts of it, and their folders.

    What MLflow has of them stays there.

    Returns:
        The folder that was removed.

    Raises:
        LedgerError: There is no such study, a driver has it, or the folder cannot be removed.
    """
    store = Ledger(ledger)
    names = store.names()
    if name not in names:
        raise unknown_study(name, names, ledger)
    for one in [*parts_of(name, ledger=ledger), name]:
        _delete(store, one)
    return workspace.study_folder(ledger, name)


def parts_of(name: str, *, ledger: str = DEFAULT_LEDGER) -> Sequence[str]:
    """The studies that belong to another one: its outer folds and its null searches."""
    store = Ledger(ledger)
    like = re.compile(rf"{re.escape(name)}\.(null|outer)\d+")
    found = []
    for one in filter(like.fullmatch, store.names()):
        validation = store.load(one).spec.validation
        if validation.null is not None or validation.outer is not None:  # else the user has named a study like one
            found.append(one)
    return found


def _delete(store: Ledger, name: str) -> None:
    with workspace.driving(store.uri, name):
        try:
            shutil.rmtree(workspace.study_folder(store.uri, name))
        except OSError as error:
            raise LedgerError(
                f"{error.filename} cannot be removed: {error.strerror}",
                code="cannot-remove-folder",
                hint="make the folder writable and try again; the study is still in the ledger",
                path=str(error.filename),
            ) from None
        store.delete(name)
