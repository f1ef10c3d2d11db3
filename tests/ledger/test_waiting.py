"""Readers wait for nobody; whoever does wait does so for a time, and learns for whom."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.core.addresses import Uri
from hpsearch.core.locks import holders, lock_file
from hpsearch.ledger import connection, workspace
from hpsearch.ledger.record import StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.testing.synthetic import make_record, make_spec
from tests.raising import raises

DRIVER = """
import sys, time
from hpsearch.ledger import workspace
with workspace.driving(sys.argv[1], "synthetic"):
    print("driving", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    found.create(make_record(make_spec(found.uri)))
    return found


@contextlib.contextmanager
def suspended(uri: str) -> Iterator[int]:
    """A driver that has the study and is suspended."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, uri], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "driving\n"
        driver.send_signal(signal.SIGSTOP)
        yield driver.pid
    finally:
        driver.kill()
        driver.wait()


def test_readers_wait_for_no_lock(ledger: Ledger, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    writer = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as a process has it that makes a database there
        writer.execute("BEGIN IMMEDIATE")  # as a driver that was suspended while it wrote
        for command in ("list", "show synthetic"):
            done = subprocess.run(
                [sys.executable, "-m", "hpsearch", *command.split(), "--ledger", ledger.uri.reveal()],
                cwd=tmp_path, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert "synthetic" in done.stdout, done.stderr
    finally:
        writer.close()
        os.close(descriptor)


def test_a_writer_that_waited_in_vain_learns_for_whom(ledger: Ledger, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_S", 0.2)
    with suspended(ledger.uri.reveal()) as pid, contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with raises("ledger.locked") as caught:
            Ledger(ledger.uri).set_state("synthetic", StudyState.FAILED)
        holder = f"process {pid} on {socket.gethostname()}, since "
        assert re.search(
            rf"What runs studies here: {holder}\d{{4}}-\d\d-\d\d \d\d:\d\d UTC \(synthetic\)", str(caught.value)
        )
        with raises("ledger.study-taken") as caught, workspace.driving(ledger.uri, "synthetic"):
            pass
        assert caught.value.values["holder"].startswith(holder)
    assert holders(tmp_path / "studies") == []


def test_a_folder_tells_who_holds_its_studies(tmp_path: Path) -> None:
    with lock_file(tmp_path / "a" / "driver.lock", "a"), lock_file(tmp_path / "b" / "driver.lock", "b"):
        found = holders(tmp_path)
    assert [one.partition(",")[0] for one in found] == [f"process {os.getpid()} on {socket.gethostname()}"] * 2
    assert [one[-3:] for one in found] == ["(a)", "(b)"]


def test_on_a_database_without_locks_nobody_is_taken_for_dead(ledger: Ledger, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "uri", Uri("mysql://somewhere/else"))
    assert workspace.enter_dead(ledger) == []
    monkeypatch.undo()
    assert [one.name for one in workspace.enter_dead(ledger)] == ["synthetic"]
    assert ledger.load("synthetic").state is StudyState.INTERRUPTED


def test_a_dead_study_is_settled_once_and_not_while_somebody_drives_it(ledger: Ledger) -> None:
    for _ in range(2):  # the first one could not write
        assert [one.name for one in workspace.enter_dead(ledger)] == ["synthetic"]
        assert ledger.load("synthetic").lacking.startswith("MLflow lacks a part of study 'synthetic': its driver died")
        workspace.settle(ledger.uri, "synthetic", lambda record: False)
    with workspace.driving(ledger.uri, "synthetic"):
        assert workspace.enter_dead(ledger) == []
        workspace.settle(ledger.uri, "synthetic", lambda record: pytest.fail("it is driven"))
    written = []
    workspace.settle(ledger.uri, "synthetic", lambda record: written.append(record.state) is None)
    assert written == [StudyState.INTERRUPTED]
    assert ledger.load("synthetic").lacking == ""
    assert workspace.enter_dead(ledger) == []
