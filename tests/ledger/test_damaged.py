"""A ledger that is damaged, no ledger, or nowhere: an error of its own with what to do, and nothing is written."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpsearch.errors import HpsearchError, LedgerError
from hpsearch.ledger import Ledger, workspace
from hpsearch.testing.synthetic import make_record, make_spec
from tests.ledger.steps import enter
from tests.raising import raises

HEAD = "UPDATE study_system_attributes SET value_json = ? WHERE key = 'hpsearch'"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    book = Ledger(f"sqlite:///{path}", create=True)
    book.create(make_record(make_spec(book.uri)))
    enter(book, "start")
    enter(book, "fold")
    book._storage.engine.dispose()
    return path


def uri_of(path: Path) -> str:
    return f"sqlite:///{path}"


def changed(sound: Path, tmp_path: Path, statement: str, *values: object) -> str:
    path = shutil.copy(sound, tmp_path / "ledger.db")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement, values).rowcount
        connection.commit()
    return uri_of(Path(path))


def head_of(sound: Path) -> dict[str, object]:
    with closing(sqlite3.connect(sound)) as connection:
        found = connection.execute("SELECT value_json FROM study_system_attributes WHERE key = 'hpsearch'").fetchone()
    head: dict[str, object] = json.loads(found[0])
    return head


def read(uri: str) -> None:
    book = Ledger(uri)
    assert book.names() == ["synthetic"]
    workspace.read(book, "synthetic")


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        (HEAD, '{"format": 4, "spec'),
        (HEAD, "[" * 100_000 + "]" * 100_000),
        (HEAD.replace("?", "CAST(x'fffe22' AS TEXT) || ?"), ""),
        ("UPDATE trial_system_attributes SET value_json = ? WHERE key LIKE 'fold:%'", "{"),
        ("UPDATE trial_params SET distribution_json = ?", '{"name": "NoSuch", "attributes": {}}'),
        ("UPDATE trial_params SET distribution_json = ?", "{"),
        ("UPDATE trial_params SET param_value = ?", "a text"),
        ("UPDATE trials SET state = ?", "NO SUCH STATE"),
        ("UPDATE trials SET datetime_start = ?", "yesterday"),
    ],
    ids=["json", "deep", "utf-8", "fold", "distribution", "distribution json", "value", "state", "date"],
)
def test_what_no_library_can_read_is_damaged(sound: Path, tmp_path: Path, statement: str, value: str) -> None:
    uri = changed(sound, tmp_path, statement, value)
    with raises("ledger.damaged", ledger=uri) as caught:
        read(uri)
    assert "restore a copy" in caught.value.hint
    assert len(caught.value.what) < 600


@pytest.mark.parametrize(
    "change",
    [
        {"format": None},
        {"format": "x" * 100_000},
        {"facts": 5},
        {"facts": {"version": 10**30}},
        {"space": {"a": {"low": 1, "high": 10**400}}},
        {"space": {"a": {"low": float("nan"), "high": 1.0}}},
        {"space": {"a": {"values": [1, 2], "when": {"b": [1]}}}},
        {"space": {"a": {"low": 0.0, "high": 1.0, "step": 1e-300}}},
        {"spec": {}},
        {"spec": None},
        {"created": "yesterday"},
    ],
    ids=str,
)  # fmt: skip
def test_what_this_version_cannot_read_is_an_unreadable_study(sound: Path, tmp_path: Path, change: dict) -> None:
    uri = changed(sound, tmp_path, HEAD, json.dumps({**head_of(sound), **change}))
    with raises("ledger.unreadable-study", study="synthetic") as caught:
        read(uri)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("key", "value"), [("champion", '{"path": 5}'), ("notes", "5"), ("facts", "[]"), ("state", '"hurt"')]
)
def test_later_entries_of_another_kind_make_a_study_unreadable(
    sound: Path, tmp_path: Path, key: str, value: str
) -> None:
    uri = changed(sound, tmp_path, "DELETE FROM study_system_attributes WHERE key != 'hpsearch'")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute(
            "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, ?, ?)", (key, value)
        )
        connection.commit()
    with raises("ledger.unreadable-study"):
        read(uri)


def test_a_study_file_that_is_no_toml_is_an_error_of_the_ledger(sound: Path, tmp_path: Path) -> None:
    uri = changed(sound, tmp_path, HEAD, json.dumps({**head_of(sound), "study_file": "name = ["}))
    record = Ledger(uri).load("synthetic")
    with raises("ledger.unreadable-study"):
        _ = record.sections


def test_a_file_cut_short_or_overwritten_is_damaged(sound: Path, tmp_path: Path) -> None:
    whole, path = sound.read_bytes(), tmp_path / "ledger.db"
    for data in (whole[:100], whole[:5_000], whole[: len(whole) // 2], b"\0" * 10_000, b"a text " * 100):
        path.write_bytes(data)
        with raises("ledger.damaged"):
            read(uri_of(path))


def test_another_programs_database_and_a_folder_are_no_ledgers(tmp_path: Path) -> None:
    other = tmp_path / "places.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    before = other.read_bytes()
    for create in (True, False):
        with raises("ledger.not-a-ledger", path=str(other)):
            Ledger(uri_of(other), create=create)
    assert other.read_bytes() == before
    with raises("ledger.not-a-ledger", path=str(tmp_path)):
        Ledger(uri_of(tmp_path))


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("postgresql://host:99999999/x", "port that does not exist"),
        ("postgresql://host:-1/x", "port that is no number"),
        ("postgresql://host:port/x", "port that is no number"),
        ("postgresql://user:pass@host:1:2/x", "port that is no number"),
        ("mysql://host:99999999/x", "port that does not exist"),
        ("redis://host/0", "redis"),
        ("", "no address"),
        ("mlruns/ledger.db", "no address"),
    ],
)
def test_addresses_that_lead_nowhere(uri: str, words: str) -> None:
    with raises("ledger.bad-address") as caught:
        Ledger(uri)
    assert words in caught.value.what


def test_the_unexpected_is_an_error_of_the_ledger(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("what nobody has thought of")

    monkeypatch.setattr("hpsearch.ledger.codec.record_from_json", fail)
    with raises("ledger.unreadable-study"):
        read(uri_of(sound))
    book = Ledger(uri_of(sound))
    monkeypatch.setattr(book._storage, "get_all_studies", fail)
    with pytest.raises(LedgerError) as caught:
        book.names()
    assert isinstance(caught.value, HpsearchError)
    assert caught.value.code == "ledger.damaged"
