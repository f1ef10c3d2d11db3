"""Files appear as a whole, and nobody else reads them."""

import os
import sqlite3
from pathlib import Path

import pytest

from hpsearch.core.files import close_to_others, make_file, make_folder, write_atomically


@pytest.fixture(params=[0o022, 0o000, 0o077, 0o027])
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_new_folders_and_files_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    write_atomically(tmp_path / "a/b/c/x.txt", lambda path: path.write_text("x"))
    make_file(tmp_path / "a/x.db")
    assert [mode(tmp_path / one) for one in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert [mode(tmp_path / one) for one in ("a/b/c/x.txt", "a/x.db")] == [0o600] * 2
    assert mode(tmp_path) == 0o755


def test_shared_ones_are_as_the_umask_says(tmp_path: Path, umask: int) -> None:
    make_folder(tmp_path / "a/b", shared=True)
    write_atomically(tmp_path / "a/b/x.txt", lambda path: path.write_text("x"), shared=True)
    make_file(tmp_path / "a/x.db", shared=True)
    assert [mode(tmp_path / one) for one in ("a", "a/b")] == [0o777 & ~umask] * 2
    assert [mode(tmp_path / one) for one in ("a/b/x.txt", "a/x.db")] == [0o666 & ~umask] * 2


def test_a_stricter_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        make_file(tmp_path / "x.db")
        write_atomically(tmp_path / "x.txt", lambda path: None)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "x.db"), mode(tmp_path / "x.txt")) == (0o400, 0o400)


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "x.db").write_text("kept")
    (tmp_path / "x.db").chmod(0o644)
    make_folder(tmp_path / "a")
    make_file(tmp_path / "x.db")
    assert (mode(tmp_path / "a"), mode(tmp_path / "x.db"), (tmp_path / "x.db").read_text()) == (0o755, 0o644, "kept")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "x.db")


def test_a_writer_that_replaces_the_file_and_a_file_left_behind_change_nothing(tmp_path: Path) -> None:
    (tmp_path / ".x.txt").write_text("left by a killed process")
    (tmp_path / ".x.txt").chmod(0o666)

    def write(path: Path) -> None:
        path.unlink()
        path.write_text("x")

    write_atomically(tmp_path / "x.txt", write)
    assert (mode(tmp_path / "x.txt"), (tmp_path / "x.txt").read_text()) == (0o600, "x")
    assert [one.name for one in tmp_path.iterdir()] == ["x.txt"]


def test_the_files_beside_a_database_are_as_the_database(tmp_path: Path, umask: int) -> None:
    make_file(tmp_path / "x.db")
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("PRAGMA journal_mode=wal")
    database.execute("CREATE TABLE t (x)")
    assert {one.name: mode(one) for one in tmp_path.iterdir()} == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm"), 0o600)
    database.close()


def test_what_others_have_written_can_be_closed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/run.sh").touch(mode=0o755)
    close_to_others(tmp_path / "a")
    assert [mode(tmp_path / one) for one in ("a", "a/b", "a/b/run.sh")] == [0o700] * 3
