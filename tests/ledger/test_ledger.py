import shlex
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.core.trial import Champion, Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.errors import LedgerError, SpecError
from hpsearch.ledger.record import StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.testing.synthetic import curve, make_record, make_spec
from tests.ledger.optuna_twin import check_that_optuna_reads_its_own

CONFIG = {
    "learning_rate": 0.0123456789,
    "batch_size": 32,
    "epochs": 4,
    "optimizer": "adam",
    "units": 16,
    "dropout": 0.25,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    book.create(make_record(make_spec(book.uri)))
    return book


def config_of(ledger: Ledger) -> dict:
    space = ledger.load("synthetic").space
    return {name: CONFIG[name] if name in CONFIG else space[name].values()[0] for name in space}


def add_trial(ledger: Ledger) -> Trial:
    trial = Trial(0, config_of(ledger), started=1_700_000_000.25)
    ledger.start_trial("synthetic", trial, ledger.load("synthetic").space)
    return trial


def fold(index: int, epochs: int = 4) -> FoldResult:
    return FoldResult(index, curve(CONFIG, index, epochs), started=5.0, seconds=1.5)


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


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.DIVERGED, TrialState.FAILED])
def test_every_kind_of_trial_comes_back_number_for_number(ledger: Ledger, state: TrialState) -> None:
    started = add_trial(ledger)
    whole = state is TrialState.COMPLETE
    folds = tuple(fold(index, 4 if whole else 2) for index in range(3))
    if whole:
        for result in folds:
            ledger.add_fold("synthetic", 0, result, 4321 if result.fold == 0 else None)
    trial = replace(
        started,
        state=state,
        folds=folds,
        finished=1_700_000_009.5,
        parameters=4321 if whole else None,
        failure=None if whole else Failure(FailureKind.PRUNED, "not among the best", fold=1, epoch=1, traceback="t"),
    )
    if state in (TrialState.COMPLETE, TrialState.PRUNED):
        trial = replace(trial, score=0.1 + 0.2, std=0.01, epoch=1, fold_scores=(0.1, 0.2, 0.3))
    ledger.finish_trial("synthetic", trial, "val_accuracy")
    assert Ledger(ledger.uri).load("synthetic").trials == (trial,)


def test_finished_folds_of_a_running_trial_are_kept(ledger: Ledger) -> None:
    trial = add_trial(ledger)
    ledger.add_fold("synthetic", 0, fold(2), 99)
    assert Ledger(ledger.uri).load("synthetic").trials == (replace(trial, folds=(fold(2),), parameters=99),)


def test_optuna_reads_a_trial_as_if_it_had_written_it(ledger: Ledger) -> None:
    check_that_optuna_reads_its_own(ledger)


def test_champion_state_notes_and_extension(ledger: Ledger) -> None:
    champion = Champion(
        0, CONFIG, 3, {"loss": (1.0, 0.5)}, {"accuracy": 0.9}, "c.keras", "ab", 10, 20, 1.5, "models:/s/1"
    )
    ledger.set_champion("synthetic", champion)
    ledger.set_state("synthetic", StudyState.FINISHED)
    ledger.add_note("synthetic", "one")
    ledger.add_note("synthetic", "two")
    ledger.add_note("synthetic", "one")
    longer = make_spec(ledger.uri, trials=99)
    assert ledger.set_spec("synthetic", longer).spec == longer
    record = Ledger(ledger.uri).load("synthetic")
    assert record.champion == champion
    assert record.state is StudyState.FINISHED
    assert record.notes == ("one", "two")


def test_values_that_are_not_finite_survive(ledger: Ledger) -> None:
    add_trial(ledger)
    ledger.add_fold("synthetic", 0, FoldResult(0, {"loss": (float("inf"), float("nan"))}, 0.0, 1.0), None)
    loss = ledger.load("synthetic").trials[0].folds[0].curves["loss"]
    assert loss[0] == float("inf")
    assert loss[1] != loss[1]


def test_a_second_study_of_that_name_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="already has a study 'synthetic'") as caught:
        ledger.create(make_record(make_spec(ledger.uri)))
    assert "hpsearch resume synthetic" in caught.value.hint


def test_unknown_study_offers_the_closest_name(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no study 'syntetic' in the ledger") as caught:
        ledger.load("syntetic")
    assert caught.value.hint == "did you mean synthetic?"


def test_two_drivers_of_one_study_are_noticed(ledger: Ledger) -> None:
    trial = add_trial(ledger)
    with pytest.raises(LedgerError, match="trial 0 of study 'synthetic' would become number 1: another driver"):
        ledger.start_trial("synthetic", trial, ledger.load("synthetic").space)
    enter(ledger, "end")
    record = ledger.load("synthetic")
    with pytest.raises(LedgerError, match="trial 0 of study 'synthetic' has ended already: another driver"):
        enter(ledger, "end")
    assert ledger.load("synthetic") == record
    assert [one.number for one in record.trials] == [0]


def test_missing_ledger_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"there is no ledger at .*nothing\.db") as caught:
        Ledger(f"sqlite:///{tmp_path}/nothing.db")
    assert "--ledger" in caught.value.hint
    assert not (tmp_path / "nothing.db").exists()


def test_damaged_ledger_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database, not at all " * 64)
    with pytest.raises(LedgerError, match="file is not a database") as caught:
        Ledger(f"sqlite:///{path}")
    assert "damaged" in caught.value.hint


def test_locked_ledger_says_who_to_look_for(ledger: Ledger, monkeypatch) -> None:
    from sqlalchemy import event

    @event.listens_for(ledger._storage.engine, "connect")
    def impatient(connection, _) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    ledger._storage.engine.dispose()
    with sqlite3.connect(ledger.uri.removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match="database is locked") as caught:
            ledger.set_state("synthetic", StudyState.FAILED)
        other.execute("ROLLBACK")
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
    with pytest.raises(LedgerError, match="full") as caught:
        ledger.add_fold("synthetic", 0, huge, None)
    assert "free some disk space" in caught.value.hint
    assert Ledger(ledger.uri).load("synthetic").trials == (replace(trial, folds=(fold(0),), parameters=1),)


def test_newer_format_is_not_guessed_at(ledger: Ledger) -> None:
    head = dict(ledger._storage.get_study_user_attrs(ledger._study_id("synthetic"))["hpsearch"])
    ledger._set_attr("synthetic", "hpsearch", {**head, "format": 99})
    with pytest.raises(LedgerError, match=r"written by a newer hpsearch \(format 99, this one reads 2\)"):
        ledger.load("synthetic")


def test_unreachable_database_names_its_address_without_a_traceback() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError, match=r"the ledger postgresql\+psycopg://.*127.0.0.1:1/none failed") as caught:
        Ledger("postgresql+psycopg://user:secret@127.0.0.1:1/none")
    assert "check the address" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_studies_that_begin_in_an_empty_folder_at_once_make_its_ledger_once(tmp_path: Path) -> None:
    script = "import sys; from hpsearch.ledger.store import Ledger; print(Ledger(sys.argv[1], create=True).names())"
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path}/new/ledger.db"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in both] == ["[]\n"] * 4


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_driver_killed_while_it_entered_its_study_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch) -> None:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    record = make_record(make_spec(book.uri))
    with monkeypatch.context() as patch:
        patch.setattr(book._storage, "set_study_user_attr", die)
        with pytest.raises(KeyboardInterrupt):
            book.create(record)
    again = Ledger(book.uri)
    assert not again.has("synthetic")
    again.create(record)
    assert again.load("synthetic").spec == record.spec


def test_a_study_that_another_program_made_is_left_alone(tmp_path: Path) -> None:
    import optuna

    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    theirs = optuna.create_study(study_name="synthetic", storage=book.uri)
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(LedgerError, match="already has a study 'synthetic'") as caught:
        book.create(make_record(make_spec(book.uri)))
    assert "change `name` in the study file; hpsearch did not make it" in caught.value.hint
    assert len(theirs.trials) == 1


def enter(ledger: Ledger, step: str) -> None:
    """One step of trial 0: its start, its first fold, or its end (pruned, with a fold stopped early)."""
    if step == "start":
        add_trial(ledger)
    elif step == "fold":
        ledger.add_fold("synthetic", 0, fold(0), 4321)
    else:
        trial = replace(ledger.load("synthetic").trials[0], state=TrialState.PRUNED, finished=9.0, score=0.5, epoch=1)
        ledger.finish_trial("synthetic", replace(trial, folds=(fold(0), fold(1, 2))), "val_accuracy")


@pytest.mark.parametrize("step", ["start", "fold", "end"])
def test_a_driver_killed_at_any_statement_has_entered_all_of_a_step_or_nothing(ledger: Ledger, step: str) -> None:
    from sqlalchemy import event

    for earlier in {"start": (), "fold": ("start",), "end": ("start", "fold")}[step]:
        enter(ledger, earlier)
    before, left = Ledger(ledger.uri).load("synthetic"), [0]

    def countdown(*_: object) -> None:
        left[0] -= 1
        if not left[0]:
            die()

    event.listen(ledger._storage.engine, "after_cursor_execute", countdown)
    statements = 0
    while True:
        statements += 1
        left[0] = statements
        try:
            enter(ledger, step)
        except KeyboardInterrupt:
            assert Ledger(ledger.uri).load("synthetic") == before
        else:
            break
    assert statements > 1
    assert Ledger(ledger.uri).load("synthetic").trials != before.trials


def test_results_can_be_read_where_the_addresses_variables_are_not_set(tmp_path: Path, monkeypatch) -> None:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    monkeypatch.setenv("MLFLOW_PLACE", "http://mlflow.example:5000")
    book.create(make_record(make_spec(book.uri, uri="${MLFLOW_PLACE}")))
    monkeypatch.delenv("MLFLOW_PLACE")
    tracking = Ledger(book.uri).load("synthetic").spec.tracking
    assert tracking.uri == "${MLFLOW_PLACE}"
    with pytest.raises(SpecError) as caught:
        tracking.resolved()
    assert "tracking.uri: '${MLFLOW_PLACE}' names the environment variable MLFLOW_PLACE" in caught.value.what
    assert caught.value.hint == "set it in the environment and try again"


def test_a_study_that_breaks_a_rule_of_today_is_told_without_a_traceback(ledger: Ledger) -> None:
    head = dict(ledger._storage.get_study_user_attrs(ledger._study_id("synthetic"))["hpsearch"])
    ledger._set_attr("synthetic", "hpsearch", {**head, "spec": {**head["spec"], "seed": -1}})
    with pytest.raises(LedgerError, match=r"study 'synthetic' breaks a rule of this hpsearch: .*seed") as caught:
        ledger.load("synthetic")
    assert "read it with the hpsearch that made it" in caught.value.hint


@pytest.mark.parametrize(
    ("uri", "message", "hint"),
    [
        ("mysql://db/ledger", "the ledger mysql://db/ledger needs the package 'MySQLdb'", "pip install mysqlclient"),
        ("mlruns/ledger.db", "the ledger mlruns/ledger.db failed: Could not parse", "such as sqlite:///mlruns/ledger"),
    ],
)
def test_addresses_that_cannot_be_used_say_what_to_write_or_install(uri: str, message: str, hint: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(uri)
    assert message in caught.value.what
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
