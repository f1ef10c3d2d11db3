"""Runs written straight into MLflow's tables, and the same ones written by MLflow's own calls."""

import math
from typing import Any

from hpsearch.tracking.mlflow.tables import TableWriter
from hpsearch.tracking.mlflow.trial_view import Point
from hpsearch.tracking.mlflow.writers import ClientWriter, RunUpdate

Given = dict[str, Any]
Client = Any

TABLES = ("metrics", "latest_metrics", "params", "tags", "runs", "logged_model_metrics")
CURVE = [Point("loss", 1 / (step + 1), 1000 + step, step) for step in range(5)]

GOES: dict[str, list[Given]] = {
    "a whole trial": [
        {
            "points": [*CURVE, Point("score", 0.1 + 0.2, 2000, 0)],
            "params": {"units": "32", "note": "x" * 7000},
            "tags": {"mlflow.runName": "t000 · 0.3", "digest": "abc"},
            "status": "FINISHED",
            "end_ms": 5000,
        }
    ],
    "not finite": [
        {
            "points": [
                Point("loss", value, 1, step) for step, value in enumerate((math.nan, math.inf, -math.inf, 1e-320))
            ]
        },
        {"points": [Point("loss", math.inf, 1, 9), Point("accuracy", math.nan, 1, 0)]},
        {"points": [Point("loss", math.nan, 1, 9), Point("loss", 1.7976931348623157e308, 1, 9)]},
    ],
    "repeated": [
        {"points": [*CURVE, *CURVE, Point("loss", math.nan, 7, 1), Point("loss", float("nan"), 7, 1)]},
        {
            "points": [
                *CURVE,
                Point("loss", math.nan, 7, 1),
                Point("accuracy", 0.0, 7, 1),
                Point("accuracy", -0.0, 7, 1),
            ]
        },
        {"points": [Point("accuracy", -0.0, 7, 1), Point("accuracy", math.nan, 7, 1), Point("loss", 5.0, 1002, 2)]},
    ],
    "keys in two goes": [
        {"points": CURVE[2:4], "tags": {"a": "1", "b": "2"}, "params": {"units": "32"}, "status": "RUNNING"},
        {"points": CURVE[:2], "tags": {"b": "3", "c": "4"}, "params": {"units": "32", "dropout": "0.5"}},
        {
            "points": [
                *CURVE[4:],
                Point("loss", 9.0, 1004, 4),
                Point("loss", 8.0, 1004, 4),
                Point("loss", 99.0, 9999, 3),
            ]
        },
        {"tags": {"mlflow.runName": "another", "a": ""}, "status": "KILLED", "end_ms": 77},
    ],
    "latest by time, then value": [
        {"points": [Point("loss", 3.0, 10, 0), Point("loss", 1.0, 20, 0), Point("loss", 2.0, 20, 0)]},
        {"points": [Point("loss", 7.0, 19, 0), Point("loss", -1.0, 20, 0)]},
        {"points": [Point("loss", -5.0, 21, 0), Point("loss", 0.0, 30, -1)]},
    ],
    "a zero and a NaN": [
        {"points": [Point("loss", 0.0, 1, 1)]},
        {"points": [Point("loss", math.nan, 1, 1), Point("accuracy", math.nan, 1, 1), Point("accuracy", 0.0, 1, 1)]},
    ],
}


def check_that_the_tables_are_those_of_mlflow(client: Client, goes: list[Given]) -> None:
    """Write the same in both ways, go by go, and compare table by table."""
    theirs, ours, again = new_run(client), new_run(client), new_run(client)
    for go in goes:
        log(client, theirs, go)
        write(client, ours, go)
        assert rows(client, ours) == rows(client, theirs)
        write(client, again, go)
        write(client, again, go)
        assert rows(client, again) == rows(client, theirs), "a repetition changed something"
    assert rows(client, theirs)["tags"] != []


def rows(client: Client, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a run, by table, without what tells one run from another."""
    from sqlalchemy import text

    found = {}
    with client._tracking_client.store.engine.connect() as connection:
        for table in TABLES:
            key = "run_id" if table == "logged_model_metrics" else "run_uuid"
            there = connection.execute(text(f"SELECT * FROM {table} WHERE {key} = :run"), {"run": run_id}).mappings()
            kept = [{name: row[name] for name in row if name not in (key, "artifact_uri")} for row in there]
            found[table] = sorted(kept, key=repr)
    return found


def new_run(client: Client) -> str:
    return str(client.create_run("0", start_time=1, run_name="t000").info.run_id)


def write(client: Client, run_id: str, go: Given) -> None:
    """Straight into the tables."""
    TableWriter(client).write(run_id, RunUpdate(**go))


def log(client: Client, run_id: str, go: Given) -> None:
    """By MLflow's own calls."""
    ClientWriter(client).write(run_id, RunUpdate(**go))
