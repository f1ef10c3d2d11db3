"""What both writers of trials owe: the same study, whichever has entered it, and no step in half."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sqlalchemy import Column, Integer, MetaData, Text, event

from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.errors import LedgerError
from hpsearch.ledger import Ledger, StudyRecord, optuna_tables
from hpsearch.ledger.fast_writer import FastWriter
from hpsearch.ledger.public_writer import PublicWriter
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from tests.ledger.optuna_twin import check_that_optuna_reads_its_own
from tests.ledger.steps import BEFORE, Step, add_trial, enter, fold
from tests.ledger.test_version_0_1 import ledger as ledger_0_1  # noqa: F401 - a fixture
from tests.search.drive import drive


@pytest.fixture(params=["fast", "public"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "public":
        monkeypatch.setattr(optuna_tables, "DATABASE_VERSION", "v0.0.0.a")
    return request.param


@pytest.fixture
def ledger(tmp_path: Path, writer: str) -> Ledger:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    assert isinstance(book._writer, {"fast": FastWriter, "public": PublicWriter}[writer])
    book.create(make_record(make_spec(book.uri)))
    return book


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
        failure=None if whole else Failure(FailureKind.PRUNED, "not the best", fold=1, epoch=1, traceback="t"),
    )
    if state in (TrialState.COMPLETE, TrialState.PRUNED):
        trial = replace(trial, score=0.1 + 0.2, std=0.01, epoch=1, fold_scores=(0.1, 0.2, 0.3))
    ledger.finish_trial("synthetic", trial, "val_accuracy")
    assert Ledger(ledger.uri).load("synthetic").trials == (trial,)
    assert ledger.repair("synthetic") == ()


def test_finished_folds_of_a_running_trial_are_kept(ledger: Ledger) -> None:
    trial = add_trial(ledger)
    ledger.add_fold("synthetic", 0, fold(2), 99)
    assert Ledger(ledger.uri).load("synthetic").trials == (replace(trial, folds=(fold(2),), parameters=99),)


def test_optuna_reads_a_trial_as_if_it_had_written_it(ledger: Ledger) -> None:
    check_that_optuna_reads_its_own(ledger)


def test_values_that_are_not_finite_survive(ledger: Ledger) -> None:
    add_trial(ledger)
    ledger.add_fold("synthetic", 0, FoldResult(0, {"loss": (float("inf"), float("nan"))}, 0.0, 1.0), None)
    loss = ledger.load("synthetic").trials[0].folds[0].curves["loss"]
    assert loss[0] == float("inf")
    assert loss[1] != loss[1]


def test_two_drivers_of_one_study_are_noticed(ledger: Ledger) -> None:
    trial = add_trial(ledger)
    with pytest.raises(LedgerError) as caught:
        ledger.start_trial("synthetic", trial, ledger.load("synthetic").space)
    assert caught.value.code == "ledger.number-taken"
    assert caught.value.values == {"trial": 0, "number": 1}
    enter(ledger, "end")
    record = ledger.load("synthetic")
    with pytest.raises(LedgerError) as caught:
        enter(ledger, "end")
    assert caught.value.code == "ledger.ended-already"
    assert caught.value.values == {"trial": 0}
    assert ledger.load("synthetic") == record
    assert [one.number for one in record.trials] == [0]


class Killed(BaseException):
    """The driver dies."""


@contextmanager
def dying_at(ledger: Ledger, statement: int) -> Iterator[None]:
    """Die in place of the answer to the n-th statement that writes; what it belongs to is rolled back."""
    left = [statement]

    def countdown(_connection: object, _cursor: object, text: str, *_: object) -> None:
        left[0] -= text.startswith(("INSERT", "UPDATE"))
        if not left[0]:
            raise Killed

    engine = ledger._storage.engine
    event.listen(engine, "after_cursor_execute", countdown)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", countdown)


class Snapshot:
    """The file of a ledger, to go back to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._path = ledger, Path(ledger.uri.reveal().removeprefix("sqlite:///"))
        self._copy = self._path.with_suffix(".copy")
        ledger._storage.engine.dispose()
        shutil.copy(self._path, self._copy)

    def restore(self) -> None:
        self._ledger._storage.engine.dispose()
        for rest in ("-wal", "-shm"):
            self._path.with_name(self._path.name + rest).unlink(missing_ok=True)
        shutil.copy(self._copy, self._path)


def kill_at_every_write(ledger: Ledger, act: Callable[[Ledger], object]) -> Iterator[int]:
    """Let `act` be killed at its first, second, … statement that writes, each time from the same start."""
    before, statement = Snapshot(ledger), 0
    while True:
        statement += 1
        before.restore()
        try:
            with dying_at(ledger, statement):
                act(ledger)
        except Killed:
            yield statement
        else:
            assert statement > 1
            return


def as_optuna_has_it(ledger: Ledger) -> list[tuple[object, ...]]:
    trials = optuna.load_study(study_name="synthetic", storage=ledger._storage).trials
    held = [(t.params, t.intermediate_values, t.user_attrs, t.system_attrs) for t in trials]
    return [(t.number, t.state, t.values, *one) for t, one in zip(trials, held, strict=True)]


@pytest.mark.parametrize("step", ["start", "fold", "end"])
def test_a_driver_killed_at_any_write_has_entered_all_of_a_step_or_nothing(
    ledger: Ledger, step: Step, writer: str
) -> None:
    for earlier in BEFORE[step]:
        enter(ledger, earlier)
    before, snapshot = ledger.load("synthetic").trials, Snapshot(ledger)
    enter(ledger, step)
    after, expected = ledger.load("synthetic").trials, as_optuna_has_it(ledger)
    snapshot.restore()
    for _ in kill_at_every_write(ledger, lambda victim: enter(victim, step)):
        repaired = ledger.repair("synthetic")
        assert repaired == () or writer == "public"
        trials = ledger.load("synthetic").trials
        if trials != after:
            if step == "fold":  # the number of weights may be known before the fold counts as finished
                trials = tuple(replace(trial, parameters=None) for trial in trials)
            assert trials == before
            enter(ledger, step)
        assert ledger.load("synthetic").trials == after
        assert as_optuna_has_it(ledger) == expected


def test_a_driver_killed_in_a_repair_leaves_it_to_the_next(ledger: Ledger) -> None:
    enter(ledger, "start")
    enter(ledger, "fold")
    snapshot = Snapshot(ledger)
    enter(ledger, "end")
    expected = as_optuna_has_it(ledger)
    outcome = ledger._storage.get_all_trials(ledger._study_id("synthetic"))[0].system_attrs["outcome"]
    snapshot.restore()
    ledger._storage.set_trial_system_attr(ledger._trial_id("synthetic", 0), "outcome", outcome)
    for _ in kill_at_every_write(ledger, lambda victim: victim.repair("synthetic")):
        ledger.repair("synthetic")
        assert ledger.repair("synthetic") == ()
        assert as_optuna_has_it(ledger) == expected


def test_a_trial_that_ended_in_half_is_completed_in_a_ledger_of_0_1(ledger_0_1: Ledger) -> None:  # noqa: F811
    trials = optuna.load_study(study_name="killed", storage=ledger_0_1.uri.reveal()).trials
    number = next(trial.number for trial in trials if trial.state is optuna.trial.TrialState.RUNNING)
    folds = {"0": {"curves": {"val_accuracy": [0.25, 0.5]}, "started": 1.0, "seconds": 2.0}}
    outcome = {"state": "pruned", "finished": 9.0, "score": 0.5, "std": None, "epoch": 1, "fold_scores": [0.5]}
    outcome |= {"folds": folds, "failure": {"kind": "pruned", "message": "m"}}
    ledger_0_1._storage.set_trial_user_attr(trials[number]._trial_id, "outcome", outcome)
    assert ledger_0_1.repair("killed") == (number,)
    assert ledger_0_1.repair("killed") == ()
    ended = optuna.load_study(study_name="killed", storage=ledger_0_1.uri.reveal()).trials[number]
    assert (ended.state, ended.value) == (optuna.trial.TrialState.PRUNED, 0.5)
    assert ended.intermediate_values == {0: 0.25, 1: 0.5}
    assert ledger_0_1.load("killed").trials[number].state is TrialState.PRUNED


def test_a_number_that_is_taken_between_two_calls_leaves_a_failed_trial(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PublicWriter(ledger._storage)
    record, trial = ledger.load("synthetic"), add_trial(ledger)
    monkeypatch.setattr(writer, "_is_taken", lambda *_: False)
    with pytest.raises(LedgerError) as caught:
        writer.start(ledger._study_id("synthetic"), trial, record.space)
    assert caught.value.values == {"trial": 0, "number": 1}
    first, second = ledger.load("synthetic").trials
    assert (first, second.state, second.number) == (trial, TrialState.FAILED, 1)
    assert second.failure is not None


def without_times(record: StudyRecord) -> list[Trial]:
    return [replace(trial, started=0.0, finished=None) for trial in record.trials]


def test_a_search_that_is_killed_and_resumed_is_the_same_whichever_way_it_is_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drive(f"sqlite:///{tmp_path}/fast.db", SyntheticExecutor(), trials=8, pruning="median")
    monkeypatch.setattr(optuna_tables, "DATABASE_VERSION", "v0.0.0.a")
    epochs = itertools.count()

    def die_in_epoch_14() -> None:
        if next(epochs) == 14:
            raise Killed

    uri = f"sqlite:///{tmp_path}/public.db"
    with pytest.raises(Killed):
        drive(uri, SyntheticExecutor(on_epoch=die_in_epoch_14), trials=8, pruning="median")
    left = Ledger(uri).load("synthetic")
    assert {trial.state for trial in left.trials} >= {TrialState.COMPLETE, TrialState.RUNNING}
    resumed = drive(uri, SyntheticExecutor(), trials=8, pruning="median")
    assert without_times(resumed) == without_times(whole)


# Which writer is taken


def test_tables_as_tested_are_recognised(tmp_path: Path) -> None:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    assert book.remarks == ()
    assert optuna_tables.find_difference(book._storage) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tables: tables.remove(tables.tables["trial_values"]), "Optuna has no table trial_values"),
        (
            lambda tables: tables.tables["trials"].append_column(Column("note", Text())),
            "the table trials differs in note",
        ),
        (
            lambda tables: tables.tables["trial_params"].append_column(
                Column("param_value", Integer), replace_existing=True
            ),
            "the table trial_params differs in param_value",
        ),
    ],
)
def test_tables_that_differ_are_named_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[MetaData], object], words: str
) -> None:
    from optuna.storages._rdb import models

    uri = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(uri, create=True)
    theirs = MetaData()
    for table in models.BaseModel.metadata.sorted_tables:
        table.to_metadata(theirs)
    change(theirs)

    class Changed:
        metadata = theirs

    storage = Ledger(uri)._storage
    monkeypatch.setattr(models, "BaseModel", Changed)
    assert optuna_tables.find_difference(storage) == words
    monkeypatch.delattr(models, "BaseModel")
    assert optuna_tables.find_difference(storage) == "Optuna's module of tables is not where it was"


def test_a_ledger_with_an_unknown_schema_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = optuna_tables.DATABASE_VERSION
    monkeypatch.setattr(optuna_tables, "DATABASE_VERSION", "v0.0.0.a")
    (remark,) = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True).remarks
    assert f"the database has Optuna's schema {found}, not v0.0.0.a" in remark
    assert "slower" in remark
