"""Where a study stands, as readers see it: the driver's lock tells whether one lives."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

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
