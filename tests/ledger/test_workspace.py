"""Where a study stands, as readers see it: the driver's lock tells whether one lives."""

import fcntl
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from hpsearch import given, report
from hpsearch.champion.export import write_report
from hpsearch.ledger import Ledger, StudyState, workspace
from hpsearch.testing.synthetic import make_record, make_spec


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    book.create(make_record(make_spec(book.uri)))
    return book


def test_a_study_whose_driver_was_killed_reads_interrupted_and_its_ledger_stays_as_it_was(ledger: Ledger) -> None:
    with workspace.driving(ledger.uri, "synthetic"):
        assert workspace.read(ledger, "synthetic").state is StudyState.RUNNING
    assert workspace.read(ledger, "synthetic").state is StudyState.INTERRUPTED
    assert ledger.load("synthetic").state is StudyState.RUNNING
    (workspace.study_folder(ledger.uri, "synthetic") / "driver.lock").unlink()
    assert workspace.read(ledger, "synthetic").state is StudyState.INTERRUPTED


@pytest.mark.parametrize("state", [StudyState.FAILED, StudyState.FINISHED])
def test_what_a_driver_has_entered_at_its_end_stands(ledger: Ledger, state: StudyState) -> None:
    ledger.set_state("synthetic", state)
    assert workspace.read(ledger, "synthetic").state is state


def test_a_driver_is_not_turned_away_by_a_reader_that_looks_at_its_lock(ledger: Ledger) -> None:
    path = workspace.study_folder(ledger.uri, "synthetic") / "driver.lock"
    path.parent.mkdir(parents=True)
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.01, os.close, [descriptor]).start()
    with workspace.driving(ledger.uri, "synthetic"):
        assert workspace.read(ledger, "synthetic").state is StudyState.RUNNING


def modes(folder: Path) -> set[str]:
    """The modes of all that is in a folder, and of the folder: ``d700``."""
    return {f"{'d' if one.is_dir() else 'f'}{one.stat().st_mode & 0o777:o}" for one in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(("shared", "found"), [(False, {"d700", "f600"}), (True, {"d755", "f644"})])
def test_what_is_made_is_its_owners_alone_unless_it_is_shared(tmp_path: Path, shared: bool, found: set[str]) -> None:
    uri, root = f"sqlite:///{tmp_path}/new/mlruns/ledger.db", tmp_path / "new/mlruns"
    before = os.umask(0o022)
    try:
        with workspace.driving(uri, "synthetic", shared=shared):
            book = Ledger(uri, create=True, shared=shared)
            spec = make_spec(uri)
            spec = spec.model_copy(update={"tracking": spec.tracking.model_copy(update={"shared": shared})})
            record = make_record(spec)
            book.create(record)
            folder = workspace.study_folder(uri, "synthetic")
            report.write_artifacts(record, folder)
            given.keep(root / "given", None, {"x": np.zeros((3, 2)), "y": np.zeros(3)}, shared=shared)
            assert {one.name for one in root.iterdir()} >= {"ledger.db", "ledger.db-wal", "ledger.db-shm", "given"}
            assert modes(tmp_path / "new") == found
            # What somebody asks for by its place follows the umask.
            assert write_report(record, folder, format="md", folder=tmp_path / "out").stat().st_mode & 0o777 == 0o644
            assert modes(tmp_path / "out") == {"d755", "f644"}
    finally:
        os.umask(before)
