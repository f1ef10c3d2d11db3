"""Runs are written by MLflow's calls, or straight into its tables: both leave the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.addresses import Uri
from hpsearch.ledger.record import StudyState
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow import tables
from hpsearch.tracking.mlflow.address import Address
from hpsearch.tracking.mlflow.client import connect, is_gone, is_refusal, quiet
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tracking.mlflow.trial_view import Point
from hpsearch.tracking.mlflow.writers import ClientWriter, open_writer
from hpsearch.tracking.settings import mlflow_settings
from tests.mlflow_twin import (
    CURVE,
    GOES,
    Client,
    Given,
    check_that_the_tables_are_those_of_mlflow,
    log,
    new_run,
    rows,
    write,
)

WAYS = {"tables": write, "calls": log}
Way = Callable[[Client, str, Given], None]


@pytest.fixture
def address(folder: Path) -> Address:
    file = folder / "mlflow.db"
    return Address(Uri(f"sqlite:///{file}"), None, file, "")


@pytest.fixture
def client(address: Address) -> Iterator[Client]:
    with mlflow_settings(), quiet():
        yield connect(address)


@pytest.mark.parametrize("goes", GOES.values(), ids=GOES)
def test_the_tables_are_those_that_mlflow_would_leave(client: Client, goes: list[Given]) -> None:
    check_that_the_tables_are_those_of_mlflow(client, goes)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "bad",
    [
        {"points": [*CURVE, Point("no,comma", 1.0, 1, 1)]},
        {"params": {"batch_size": "1", "units": "33"}},
        {"params": {"batch_size": "1", "": "1"}},
        {"tags": {"a": "b", "x" * 300: "1"}},
    ],
    ids=["key", "param", "name", "tag"],
)
def test_what_mlflow_does_not_allow_is_refused_either_way(client: Client, way: Way, bad: Given) -> None:
    from mlflow.exceptions import MlflowException

    run = new_run(client)
    way(client, run, {"points": CURVE[:1], "params": {"units": "32"}})
    before = rows(client, run)
    with pytest.raises(MlflowException) as caught:
        way(client, run, {"points": CURVE, "params": {"depth": "3"}, "status": "FINISHED", **bad})
    assert is_refusal(caught.value)
    if way is write:
        assert rows(client, run) == before, "part of it was written"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_run_that_was_deleted_is_left_alone(client: Client, way: Way) -> None:
    run = new_run(client)
    client.delete_run(run)
    before = rows(client, run)
    with pytest.raises(Exception, match="deleted") as caught:
        way(client, run, {"points": CURVE})
    assert is_refusal(caught.value)
    assert rows(client, run) == before
    with pytest.raises(Exception, match="nowhere") as caught:
        way(client, "nowhere", {"points": CURVE})
    assert is_gone(caught.value)


def test_the_tested_database_is_written_straight(client: Client, address: Address) -> None:
    writer, note = open_writer(client, address)
    assert isinstance(writer, tables.TableWriter)
    assert note == ""


@pytest.mark.parametrize("unknown", ["store", "columns", "database"])
def test_any_part_that_is_not_known_leaves_the_work_to_mlflow(
    client: Client, address: Address, monkeypatch: pytest.MonkeyPatch, unknown: str
) -> None:
    if unknown == "store":
        monkeypatch.setattr(tables, "SqlAlchemyStore", type("Other", (), {}))
    elif unknown == "columns":
        monkeypatch.setitem(tables.COLUMNS, "metrics", (*tables.COLUMNS["metrics"], "unit"))
    else:
        monkeypatch.setattr(tables, "REVISIONS", frozenset({"0123456789ab"}))
    writer, note = open_writer(client, address)
    assert isinstance(writer, ClientWriter)
    shown = {
        "store": "the store SqlAlchemyStore",
        "columns": "table 'metrics'",
        "database": f"version {revision(client)}",
    }
    assert shown[unknown] in note


def revision(client: Client) -> str:
    from sqlalchemy import text

    with client._tracking_client.store.engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def test_a_study_looks_the_same_whether_its_tables_were_written_or_mlflow_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Any
) -> None:
    import mlflow

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("not here")

    found = []
    for way in ("tables", "calls"):
        home = folder / way
        home.mkdir()
        (home / "mlflow.db").write_bytes((folder / "mlflow.db").read_bytes())
        trials = make_trials(9)
        record = make_record((), folder=home)
        with monkeypatch.context() as patch:
            if way == "tables":
                patch.setattr(mlflow.MlflowClient, "log_batch", refuse)
            else:
                patch.setattr(tables, "REVISIONS", frozenset())
                patch.setattr(tables.TableWriter, "write", refuse)
            with mlflow_settings():
                tracker = MlflowTracker(record.spec.tracking)
                tracker.open(record)
                for trial in trials:
                    tracker.trial_changed(replace(trial, folds=()))
                    tracker.trial_changed(trial)
                ended = replace(record, trials=trials, state=StudyState.FINISHED)
                state = tracker.close(ended)
            assert state.caught_up, state
            assert len(state.notes) == (way == "calls")
            assert sync(ended).written == 0
        runs = snapshot(record.spec.tracking.uri.reveal())
        for run in runs.values():
            del run["id"]
            run["tags"].pop("mlflow.parentRunId", None)
        found.append(runs)
    assert found[0] == found[1]
    assert len(found[0]) == 10
