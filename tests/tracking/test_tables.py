"""What is written straight into MLflow's tables is what MLflow itself would have written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.ledger.record import StudyState
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.tracking.mlflow import Tracker, tables
from hpsearch.tracking.mlflow.address import Address
from hpsearch.tracking.mlflow.client import connect, polite
from hpsearch.tracking.mlflow.trial_view import Point
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


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    file = folder / "mlflow.db"
    with polite():
        yield connect(Address(f"sqlite:///{file}", None, file, ""))


@pytest.mark.parametrize("goes", GOES.values(), ids=GOES)
def test_the_tables_are_those_that_mlflow_would_leave(client: Client, goes: list[Given]) -> None:
    check_that_the_tables_are_those_of_mlflow(client, goes)


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
def test_what_mlflow_refuses_is_refused_and_nothing_of_it_written(client: Client, bad: Given) -> None:
    run = new_run(client)
    write(client, run, {"points": CURVE[:1], "params": {"units": "32"}})
    before = rows(client, run)
    with pytest.raises(Exception, match=r"[Ii]nvalid|exceed|not allowed"):
        log(client, new_run(client) if "points" in bad else run, bad)
    with pytest.raises(Exception, match=r"[Ii]nvalid|exceed|other values"):
        write(client, run, {"points": CURVE, "params": {"depth": "3"}, "status": "FINISHED", **bad})
    assert rows(client, run) == before


def test_a_run_that_was_deleted_is_left_alone(client: Client) -> None:
    run = new_run(client)
    client.delete_run(run)
    before = rows(client, run)
    with pytest.raises(Exception, match="deleted"):
        write(client, run, {"points": CURVE})
    assert rows(client, run) == before


def test_a_study_looks_the_same_whether_its_tables_were_written_or_mlflow_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Any
) -> None:
    import mlflow

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("not here")

    found = []
    for way, (owner, call) in {"straight": (mlflow.MlflowClient, "log_batch"), "calls": (tables, "write")}.items():
        home = folder / way
        home.mkdir()
        (home / "mlflow.db").write_bytes((folder / "mlflow.db").read_bytes())
        trials = make_trials(9)
        record = make_record((), folder=home)
        with monkeypatch.context() as patch:
            patch.setattr(owner, call, refuse)
            tracker = Tracker(record.spec.tracking)
            tracker.open(record)
            for trial in trials:
                tracker.trial_started(replace(trial, folds=()))
                tracker.trial_finished(trial)
            tracker.close(replace(record, trials=trials, state=StudyState.FINISHED))
        assert tracker.state.caught_up, tracker.state
        runs = snapshot(record.spec.tracking.uri)
        for run in runs.values():
            del run["id"]
            run["tags"].pop("mlflow.parentRunId", None)
        found.append(runs)
    assert found[0] == found[1]
    assert len(found[0]) == 10
