import shlex
import sqlite3
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.core.trial import Champion, FoldResult
from hpsearch.errors import LedgerError, SpecError
from hpsearch.ledger import Ledger, StudyState, deletion, workspace
from hpsearch.testing.synthetic import make_record, make_spec
from tests.ledger.steps import CONFIG, add_trial, fold
from tests.raising import raises


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    book.create(make_record(make_spec(book.uri)))
    return book


def test_a_study_comes_back_as_it_was_entered(ledger: Ledger) -> None:
    spec = make_spec(ledger.uri, name="other", seed=11)
    record = replace(make_record(spec), study_file="name = …", created=123.5)
    ledger.create(record)
    loaded = Ledger(ledger.uri).load("other")
    assert loaded.spec == spec
    assert dict(loaded.space) == dict(record.space)
    assert list(loaded.space) == list(record.space)
    assert (loaded.study_file, loaded.facts, loaded.created) == (record.study_file, record.facts, record.created)
    assert Ledger(ledger.uri).names() == ["synthetic", "other"]


def test_a_study_that_cannot_be_read_can_be_deleted(ledger: Ledger) -> None:
    head = ledger._storage.get_study_system_attrs(ledger._study_id("synthetic"))["hpsearch"]
    ledger._set_attr("synthetic", "hpsearch", {**head, "format": 99})
    with raises("ledger.newer-format"):
        ledger.load("synthetic")
    deletion.delete("synthetic", ledger=ledger.uri)
    assert Ledger(ledger.uri).names() == []


def test_optuna_and_its_dashboard_know_the_metric_by_its_name(ledger: Ledger) -> None:
    import optuna

    study = optuna.load_study(study_name="synthetic", storage=ledger.uri.reveal())
    assert study.metric_names == [ledger.load("synthetic").objective.metric]


def test_champion_state_notes_and_extension(ledger: Ledger) -> None:
    champion = Champion(
        0, CONFIG, 3, {"loss": (1.0, 0.5)}, {"accuracy": 0.9}, "c.keras", "ab", 10, 20, 1.5, model_uri="models:/s/1"
    )
    ledger.set_champion("synthetic", champion)
    ledger.set_state("synthetic", StudyState.FINISHED)
    ledger.add_note("synthetic", "one")
    ledger.add_note("synthetic", "two")
    ledger.add_note("synthetic", "one")
    longer = make_spec(ledger.uri, trials=99)
    assert ledger.set_spec("synthetic", longer).spec == longer
    record = Ledger(ledger.uri).load("synthetic")
    # The file is looked for in the study's folder, wherever that has been moved.
    found = workspace.study_folder(ledger.uri, "synthetic") / "c.keras"
    assert record.champion == replace(champion, path=str(found))
    assert record.state is StudyState.FINISHED
    assert record.notes == ("one", "two")


def test_a_second_study_of_that_name_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.create(make_record(make_spec(ledger.uri)))
    assert caught.value.code == "ledger.name-taken"
    assert caught.value.values["study"] == "synthetic"
    assert caught.value.values["made_by_hpsearch"] is True
    assert "hpsearch resume synthetic" in caught.value.hint


def test_unknown_study_offers_the_closest_name(ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.load("syntetic")
    assert caught.value.code == "ledger.unknown-study"
    assert caught.value.values["known"] == ["synthetic"]
    assert caught.value.hint == "did you mean 'synthetic'?"


def test_missing_ledger_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(f"sqlite:///{tmp_path}/nothing.db")
    assert caught.value.code == "ledger.missing"
    assert caught.value.values["path"] == f"{tmp_path}/nothing.db"
    assert "--ledger" in caught.value.hint
    assert not (tmp_path / "nothing.db").exists()


def test_damaged_ledger_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database, not at all " * 64)
    with pytest.raises(LedgerError) as caught:
        Ledger(f"sqlite:///{path}")
    assert caught.value.code == "ledger.damaged"
    assert "file is not a database" in caught.value.what
    assert "damaged" in caught.value.hint


def test_locked_ledger_says_who_to_look_for(ledger: Ledger, monkeypatch) -> None:
    from sqlalchemy import event

    @event.listens_for(ledger._storage.engine, "connect")
    def impatient(connection, _) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    ledger._storage.engine.dispose()
    with sqlite3.connect(ledger.uri.reveal().removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError) as caught:
            ledger.set_state("synthetic", StudyState.FAILED)
        other.execute("ROLLBACK")
    assert caught.value.code == "ledger.locked"
    assert "another program holds the database" in caught.value.hint


def test_full_disk_is_told_and_what_was_written_before_stays(ledger: Ledger) -> None:
    trial = add_trial(ledger)
    ledger.add_fold("synthetic", 0, fold(0), 1)
    from sqlalchemy import event

    # SQLite's own limit on the file's size gives the error of a full disk.
    @event.listens_for(ledger._storage.engine, "connect")
    def small(connection, _) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 1}")

    ledger._storage.engine.dispose()
    huge = FoldResult(1, {"loss": tuple(float(i) for i in range(20_000))}, 0.0, 1.0)
    with pytest.raises(LedgerError) as caught:
        ledger.add_fold("synthetic", 0, huge, None)
    assert caught.value.code == "ledger.disk-full"
    assert "free some disk space" in caught.value.hint
    assert Ledger(ledger.uri).load("synthetic").trials == (replace(trial, folds=(fold(0),), parameters=1),)


def test_newer_format_is_not_guessed_at(ledger: Ledger) -> None:
    head = dict(ledger._storage.get_study_system_attrs(ledger._study_id("synthetic"))["hpsearch"])
    ledger._set_attr("synthetic", "hpsearch", {**head, "format": 99})
    with pytest.raises(LedgerError) as caught:
        ledger.load("synthetic")
    assert caught.value.code == "ledger.newer-format"
    assert caught.value.values == {"study": "synthetic", "format": 99}


def test_unreachable_database_names_its_address_without_a_traceback() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError) as caught:
        Ledger("postgresql+psycopg://user:secret@127.0.0.1:1/none")
    assert caught.value.code == "ledger.unreachable"
    assert caught.value.values["ledger"] == "postgresql+psycopg://user:***@127.0.0.1:1/none"
    assert "check the address" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_studies_that_begin_in_an_empty_folder_at_once_make_its_ledger_once(tmp_path: Path) -> None:
    script = "import sys; from hpsearch.ledger import Ledger; print(Ledger(sys.argv[1], create=True).names())"
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path}/new/ledger.db"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in both] == ["[]\n"] * 4


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_driver_killed_while_it_entered_its_study_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch) -> None:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    record = make_record(make_spec(book.uri))
    with monkeypatch.context() as patch:
        patch.setattr(book._storage, "set_study_system_attr", die)
        with pytest.raises(KeyboardInterrupt):
            book.create(record)
    again = Ledger(book.uri)
    assert not again.has("synthetic")
    again.create(record)
    assert again.load("synthetic").spec == record.spec


def test_a_study_that_another_program_made_is_left_alone(tmp_path: Path) -> None:
    import optuna

    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    theirs = optuna.create_study(study_name="synthetic", storage=book.uri.reveal())
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(LedgerError) as caught:
        book.create(make_record(make_spec(book.uri)))
    assert caught.value.code == "ledger.name-taken"
    assert caught.value.values["made_by_hpsearch"] is False
    assert "hpsearch did not make it" in caught.value.hint
    assert len(theirs.trials) == 1


def test_results_can_be_read_where_the_addresses_variables_are_not_set(tmp_path: Path, monkeypatch) -> None:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    monkeypatch.setenv("MLFLOW_PLACE", "http://mlflow.example:5000")
    book.create(make_record(make_spec(book.uri, uri="${MLFLOW_PLACE}")))
    monkeypatch.delenv("MLFLOW_PLACE")
    tracking = Ledger(book.uri).load("synthetic").spec.tracking
    assert tracking.uri == "${MLFLOW_PLACE}"
    with pytest.raises(SpecError) as caught:
        tracking.resolved()
    assert "MLFLOW_PLACE" in caught.value.what


def test_a_study_that_breaks_a_rule_of_today_is_told_without_a_traceback(ledger: Ledger) -> None:
    head = dict(ledger._storage.get_study_system_attrs(ledger._study_id("synthetic"))["hpsearch"])
    ledger._set_attr("synthetic", "hpsearch", {**head, "spec": {**head["spec"], "seed": -1}})
    with pytest.raises(LedgerError) as caught:
        ledger.load("synthetic")
    assert caught.value.code == "ledger.unreadable-study"
    assert "seed" in str(caught.value.values["reason"])
    assert "read it with the hpsearch that made it" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "code", "values", "hint"),
    [
        ("mysql://db/ledger", "missing-package", {"module": "MySQLdb"}, "pip install mysqlclient"),
        ("mlruns/ledger.db", "bad-address", {"ledger": "mlruns/ledger.db"}, "such as sqlite:///mlruns/ledger"),
    ],
)
def test_addresses_that_cannot_be_used_say_what_to_write_or_install(
    uri: str, code: str, values: dict[str, object], hint: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(uri)
    assert caught.value.code == f"ledger.{code}"
    assert values.items() <= caught.value.values.items()
    assert hint in caught.value.hint


def test_hints_are_commands_for_a_shell(tmp_path: Path, monkeypatch) -> None:
    record = make_record(make_spec("sqlite:///mlruns/ledger.db", name="it's mine"))
    assert shlex.split(record.command("resume", "--trials 9")) == ["hpsearch", "resume", "it's mine", "--trials", "9"]
    record = make_record(make_spec("sqlite:////data/my ledger.db"))
    words = ["hpsearch", "show", "synthetic", "--ledger", "sqlite:////data/my ledger.db"]
    assert shlex.split(record.command("show")) == words
    monkeypatch.setenv("LEDGER", "postgresql+psycopg://db/ledger")
    assert make_record(make_spec("${LEDGER}")).command("show") == "hpsearch show synthetic --ledger ${LEDGER}"
    record = make_record(make_spec("postgresql://me:secret@db/ledger"))
    assert "secret" not in record.command("show")


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/none", "unreachable"),
        ("postgresql+psycopg://me:hunt er2@127.0.0.1:1/none", "unreachable"),
        ("postgresql+psycopg://me@127.0.0.1:1/none?password=hunter2", "unreachable"),
        ("postgresql+psycopg://me@127.0.0.1:1/none?sslpassword=hunter2", "unreachable"),
        ("postgresql+psycopg://me@127.0.0.1:1/none?hunter2", "unreachable"),
        ("postgresql+psycopg://me@127.0.0.1:1/none?channel_binding=hunter2", "unreachable"),
        ("postgresql+psycopg://me:hunter2%40hunter2@127.0.0.1:1/none", "unreachable"),
        ("postgresql+psycopg://me:hunter2@hunter2@127.0.0.1:1/none", "bad-address"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1,127.0.0.1:2/none", "bad-address"),
        ("postgresql+psycopg://me:hunter2/none", "bad-address"),
        ("postgresql:/me:hunter2@127.0.0.1/none", "bad-address"),
    ],
)
def test_no_error_of_a_database_shows_the_password(address: str, code: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError) as caught:
        Ledger(address)
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value.values)
    assert "er2" not in told
    assert caught.value.code == f"ledger.{code}"
