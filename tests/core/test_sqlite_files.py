"""SQLite files that are made under another name: a killed or suspended maker is in nobody's way."""

import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpsearch.core import sqlite_files
from hpsearch.core.sqlite_files import make_whole, set_aside

SLOW = """
import sqlite3, sys, time
from pathlib import Path
from hpsearch.core.sqlite_files import make_whole
def make(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE first (x)")
        connection.commit()
        print("half", flush=True)
        time.sleep(30)
make_whole(Path(sys.argv[1]), make)
"""


def make(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE first (x)")
        connection.execute(f"INSERT INTO first VALUES ({os.getpid()})")


def rows(path: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM first").fetchall()


@contextlib.contextmanager
def half_way(path: Path):
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "half\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_file_is_made_once_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make_whole(path, make)
    make_whole(path, lambda _: pytest.fail("made twice"))
    assert rows(path) == [(os.getpid(),)]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.db"]


def test_a_killed_maker_leaves_no_file_and_the_next_one_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with half_way(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not path.exists()
    (left,) = tmp_path.glob(".a.db.*.draft")
    make_whole(path, make)
    assert rows(path) == [(os.getpid(),)]
    path.unlink()
    for one in tmp_path.glob(".a.db.*"):
        os.utime(one, (time.time() - 7200,) * 2)
    make_whole(path, make)
    assert not left.exists()


def test_a_suspended_maker_is_waited_for_and_then_passed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with half_way(path) as process:
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        make_whole(path, make, patience_s=0.5)
        assert 0.4 < time.monotonic() - began < 10
    assert rows(path) == [(os.getpid(),)]


def test_the_first_file_stays_when_two_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def second(draft: Path) -> None:
        make(draft)
        make(path)  # meanwhile, by another process

    make_whole(path, second)
    assert len(rows(path)) == 1


@pytest.mark.parametrize("links", [True, False])
def test_an_empty_file_and_a_left_log_are_in_nobodys_way(tmp_path: Path, links: bool, monkeypatch) -> None:
    if not links:
        monkeypatch.setattr(sqlite_files.os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links")))
    path = tmp_path / "a.db"
    path.touch()
    make_whole(path, make)
    assert rows(path) == [(os.getpid(),)]
    other = tmp_path / "b.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE first (x)")
        connection.execute("INSERT INTO first VALUES (1)")
        connection.commit()
        log = (tmp_path / "b.db-wal").read_bytes()
    other.unlink()
    (tmp_path / "b.db-wal").write_bytes(log)
    make_whole(other, make)
    assert rows(other) == [(os.getpid(),)]


def test_a_file_is_set_aside_with_its_log_if_it_is_half_made_by_then(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make(path)
    set_aside(path, lambda _: False)
    assert path.exists()
    (tmp_path / "a.db-wal").write_bytes(b"log")
    set_aside(path, lambda _: True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.db.half-made", "a.db.half-made-wal"]


def test_without_locks_a_file_is_made_at_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(95, "no locks here")))
    began = time.monotonic()
    make_whole(tmp_path / "a.db", make)
    assert rows(tmp_path / "a.db") == [(os.getpid(),)]
    assert time.monotonic() - began < 5
