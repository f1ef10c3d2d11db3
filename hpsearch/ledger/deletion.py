"""Deletes studies: their entries in the ledger, and their folders."""

import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hpsearch.core.addresses import DEFAULT_LEDGER, AnyUri
from hpsearch.errors import LedgerError
from hpsearch.ledger import workspace
from hpsearch.ledger.refusals import unknown_study
from hpsearch.ledger.store import Ledger
from hpsearch.spec import StudySpec


def delete(name: str, *, ledger: AnyUri = DEFAULT_LEDGER) -> Path:
    """Remove a study from the ledger with the studies that are parts of it, and their folders.

    Data and code that were given in memory go, too, unless another study needs them.
    What MLflow has of them stays there.

    Returns:
        The folder that was removed.

    Raises:
        LedgerError: There is no such study, a driver has it, or the folder cannot be removed.
    """
    store = Ledger(ledger)
    names = store.names()
    if name not in names:
        raise unknown_study(name, names, store.uri)
    with _freeing(store, name, ()):
        for one in parts_of(name, ledger=ledger):
            _delete(store, one)
        _delete(store, name)
    return workspace.study_folder(ledger, name)


def replace(successor: StudySpec) -> None:
    """Remove the study that has the name of one that is about to begin, which may need the same data and code.

    The caller is its driver, and stays so.

    Raises:
        LedgerError: A driver has one of its parts, or a folder cannot be removed.
    """
    name, store = successor.name, Ledger(successor.tracking.resolved().ledger)
    with _freeing(store, name, _given(successor)):
        for one in parts_of(name, ledger=store.uri):
            _delete(store, one)
        _remove(store, name, keep=workspace.lock_path(store.uri, name))


@contextmanager
def _freeing(store: Ledger, name: str, needed: Collection[str]) -> Iterator[None]:
    """After the block, without the data and code in memory that only this study and its parts have needed."""
    given: set[str] = set()
    with suppress(LedgerError):  # of a study that cannot be read, nobody knows what it needs
        given = {folder for one in (*parts_of(name, ledger=store.uri), name) for folder in _given(store.load(one).spec)}
    yield
    if not given:
        return
    with suppress(LedgerError):
        others = {folder for one in store.names() for folder in _given(store.load(one).spec)}
        for folder in given - others - set(needed):
            shutil.rmtree(workspace.root_of(store.uri) / "given" / folder, ignore_errors=True)


def _given(spec: StudySpec) -> set[str]:
    """Folders of data and code that a program had in memory: they are named like the modules in them."""
    addresses = (spec.data.source, spec.model.build or "")
    return {found[0] for one in addresses if (found := re.match(r"given_[0-9a-f_]+(?=:)", one))}


def parts_of(name: str, *, ledger: AnyUri = DEFAULT_LEDGER) -> Sequence[str]:
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
        _remove(store, name)


def _remove(store: Ledger, name: str, *, keep: Path | None = None) -> None:
    folder = workspace.study_folder(store.uri, name)
    try:
        for path in folder.iterdir() if keep else (folder,):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != keep:
                path.unlink()
    except OSError as error:
        raise LedgerError(
            f"{error.filename} cannot be removed: {error.strerror}",
            code="cannot-remove-folder",
            hint="make the folder writable and try again; the study is still in the ledger",
            path=str(error.filename),
        ) from None
    store.delete(name)
