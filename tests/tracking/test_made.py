"""MLflow's database in a folder where its maker was killed, and runs that dead drivers have left running."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from hpsearch.core.addresses import Uri
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState
from hpsearch.errors import ModelError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.observer import Observer
from hpsearch.search.session import Session
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.testing.synthetic import SyntheticExecutor, make_spec
from hpsearch.testing.synthetic import make_record as make_synthetic
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.client import connect, quiet
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tracking.settings import mlflow_settings


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with mlflow_settings(), quiet():
        yield


def edit(file: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as there, there:
        for statement in statements:
            there.execute(statement)


def test_a_database_whose_maker_was_killed_is_made_anew(folder: Path) -> None:
    address = resolve_address(make_record(folder=folder).spec.tracking)
    assert address.file is not None
    # As MLflow leaves it that is killed between two of its migrations; `make faults` kills it for real.
    edit(address.file, "DELETE FROM alembic_version", "DROP TABLE registered_model_aliases")
    with pytest.raises(Exception, match=r"already exists|duplicate column"):
        SqlAlchemyStore(address.uri.reveal(), str(folder))
    assert connect(address).search_experiments()[0].name == "Default"
    assert address.file.with_name("mlflow.db.half-made").exists()


def test_a_database_that_somebody_writes_is_not_set_aside(folder: Path) -> None:
    address = resolve_address(make_record(folder=folder).spec.tracking)
    assert address.file is not None
    edit(address.file, "DELETE FROM alembic_version", "DROP TABLE registered_model_aliases")
    with contextlib.closing(sqlite3.connect(address.file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match=r"locked|already exists|duplicate column"):
            connect(address)
    assert not address.file.with_name("mlflow.db.half-made").exists()


def test_a_database_of_an_older_mlflow_stays_where_it_is(folder: Path) -> None:
    address = resolve_address(make_record(folder=folder).spec.tracking)
    assert address.file is not None
    edit(
        address.file,
        "INSERT INTO experiments (experiment_id, name) VALUES (7, 'mine')",
        "UPDATE alembic_version SET version_num = 'cfd24bdc0731'",  # as an older MLflow has it
    )
    with pytest.raises(Exception, match="out-of-date"):
        connect(address)
    assert not address.file.with_name("mlflow.db.half-made").exists()
    with contextlib.closing(sqlite3.connect(address.file)) as there:
        assert there.execute("SELECT name FROM experiments WHERE experiment_id = 7").fetchall() == [("mine",)]


def test_a_study_that_fails_at_once_leaves_no_run_running(folder: Path, snapshot: Any) -> None:
    for turn in range(6):
        record = make_record((), folder=folder)
        record = replace(record, name=f"digits-{turn}", spec=record.spec.model_copy(update={"name": f"digits-{turn}"}))
        tracker = MlflowTracker(record.spec.tracking)
        tracker.open(record)
        running = [Trial(one.number, one.config, started=one.started) for one in make_trials(3)]
        for one in running:
            tracker.trial_changed(one)
        time.sleep(0.08 * turn)
        why = Failure(FailureKind.ERROR, "it raised")
        ended = tuple(
            replace(one, state=TrialState.FAILED, failure=why, finished=one.started + 1) for one in running[:1]
        )
        state = tracker.close(replace(record, trials=(*ended, *running[1:]), state=StudyState.FAILED))
        assert state.caught_up
        runs = snapshot(record.spec.tracking.uri.reveal(), record.name)
        assert {name.partition(" ")[0]: run["status"] for name, run in runs.items()} == {
            record.name: "FAILED", "t000": "FAILED", "t001": "KILLED", "t002": "KILLED",
        }  # fmt: skip


class Failing(SyntheticExecutor):
    """Trains, and fails at the refit."""

    def call(self, method: Any, *arguments: Any) -> Any:
        raise ModelError("no refit here", code="none")


def test_the_next_start_puts_right_what_a_dead_driver_has_left_running(folder: Path, snapshot: Any) -> None:
    uri = f"sqlite:///{folder}/ledger.db"
    ledger = Ledger(uri, create=True)
    dead, alive = (make_synthetic(make_spec(uri, name=name, trials=2)) for name in ("dead", "alive"))
    tracking = dead.spec.tracking.model_copy(update={"uri": Uri(f"sqlite:///{folder}/mlflow.db")})
    dead, alive = (replace(one, spec=one.spec.model_copy(update={"tracking": tracking})) for one in (dead, alive))
    for one in (dead, alive):
        ledger.create(one)
    config = {name: (one.values() or (0.02,))[0] for name, one in dead.space.items()}
    ledger.start_trial("dead", Trial(0, config, started=1.0), dead.space)
    sync(ledger.load("dead"))
    assert {run["status"] for run in snapshot(tracking.uri.reveal(), "dead").values()} == {"RUNNING"}
    with pytest.raises(ModelError):
        Session(ledger.load("alive"), ledger, Failing(), Observer()).run()
    assert ledger.load("dead").state is StudyState.INTERRUPTED
    assert {run["status"] for run in snapshot(tracking.uri.reveal(), "dead").values()} == {"KILLED"}


def test_a_study_that_mlflow_lacks_says_so_until_it_has_it(folder: Path) -> None:
    from hpsearch import study

    uri = f"sqlite:///{folder}/ledger.db"
    ledger = Ledger(uri, create=True)
    record: StudyRecord = make_synthetic(make_spec(uri, trials=1, uri="http://127.0.0.1:1"))
    ledger.create(record)
    said: list[str] = []

    class Listening(Observer):
        def note(self, text: str) -> None:
            said.append(text)

    with pytest.raises(ModelError):
        Session(ledger.load(record.name), ledger, Failing(), Listening()).run()
    behind = ledger.load(record.name)
    assert behind.behind == f"MLflow at {record.spec.tracking.uri} cannot be reached: connection refused"
    assert said[-1] == behind.lacking
    assert behind.lacking.startswith(f"MLflow lacks a part of study {record.name!r}: MLflow at http")
    there = record.spec.model_copy(
        update={"tracking": record.spec.tracking.model_copy(update={"uri": Uri(f"sqlite:///{folder}/mlflow.db")})}
    )
    ledger.set_spec(record.name, there)
    study.sync(record.name, ledger=uri)
    assert ledger.load(record.name).lacking == ""
