"""The same projection through a real MLflow server, which may be gone at any time."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyState
from hpsearch.testing.factories import make_champion, make_record, make_trials
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow.tracker import MlflowTracker

from .conftest import Server
from .test_tracker import play, settings, track

pytestmark = pytest.mark.slow

__all__ = ["settings"]

Snapshot = Callable[..., dict[str, dict[str, Any]]]


def test_server_and_database_show_the_same(
    server: Server, folder: Path, snapshot: Snapshot, capfd: pytest.CaptureFixture[str]
) -> None:
    trials = make_trials(9)
    over_http = make_record((), name="over http", tracking={"uri": server.uri})
    end = {"champion": make_champion(trials[0])}
    state = track(over_http, trials, **end)
    assert state.url.startswith(f"{server.uri}/#/experiments/1/runs?")
    assert capfd.readouterr() == ("", "")
    first = snapshot(server.uri, "over http")
    assert sync(replace(over_http, trials=trials, state=StudyState.FINISHED, **end)).written == 0
    assert snapshot(server.uri, "over http") == first

    direct = make_record((), name="over http", folder=folder)
    track(direct, trials, **end)
    second = snapshot(direct.spec.tracking.uri.reveal(), "over http")
    for name, run in first.items():
        assert {key: run[key] for key in ("name", "status", "times", "params", "points")} == {
            key: second[name][key] for key in ("name", "status", "times", "params", "points")
        }


def test_points_written_twice_over_http_stand_once(server: Server, snapshot: Snapshot) -> None:
    from mlflow import MlflowClient

    record = make_record(make_trials(2), name="twice", tracking={"uri": server.uri}, state=StudyState.FINISHED)
    sync(record)
    before = snapshot(server.uri, "twice")
    MlflowClient(server.uri).set_tag(before["t001"]["id"], "hpsearch.digest", "")
    assert sync(record).written == 1
    assert snapshot(server.uri, "twice") == before


def test_a_server_killed_midway_is_caught_up(server: Server, folder: Path, snapshot: Snapshot) -> None:
    trials = make_trials(12)
    record = make_record((), name="outage", tracking={"uri": server.uri})
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    play(tracker, trials[:3])
    assert tracker.flush(60)
    play(tracker, trials[3:6])
    time.sleep(0.25)  # into the writing
    server.stop()
    try:
        begun = time.perf_counter()
        play(tracker, trials[6:9])
        running = replace(trials[9], state=TrialState.RUNNING, folds=(), score=None, finished=None)
        tracker.trial_changed(running)
        tracker.trial_changed(replace(running, folds=trials[9].folds[:1]))
        assert time.perf_counter() - begun < 0.5
        deadline = time.monotonic() + 30
        while not tracker.state.notes and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "; the study goes on, and MLflow is caught up later" in tracker.state.notes[0]
    finally:
        server.start()
    play(tracker, trials[9:])
    assert tracker.flush(90)
    assert tracker.state.notes[1:] == ("MLflow is back and caught up",)
    assert len(snapshot(server.uri, "outage")["outage"]["points"]["best_score"]) == 12
    tracker.close(replace(record, trials=trials, state=StudyState.FINISHED))
    assert tracker.state.caught_up, tracker.state
    broken = snapshot(server.uri, "outage")

    direct = make_record((), name="outage", folder=folder)
    track(direct, trials)
    whole = snapshot(direct.spec.tracking.uri.reveal(), "outage")
    for runs in (broken, whole):
        for key in [one for one in runs["outage"]["points"] if one.startswith("system/")]:
            del runs["outage"]["points"][key]  # of this machine at that time
    assert {name: run["points"] for name, run in broken.items()} == {name: run["points"] for name, run in whole.items()}


def test_what_a_dead_server_missed_is_caught_up_by_sync(server: Server, snapshot: Snapshot) -> None:
    trials = make_trials(6)
    record = make_record((), name="later", tracking={"uri": server.uri})
    tracker = MlflowTracker(record.spec.tracking, patience_s=5)
    tracker.open(record)
    play(tracker, trials[:2])
    assert tracker.flush(60)
    server.stop()
    try:
        play(tracker, trials[2:])
        ended = replace(record, trials=trials, state=StudyState.FINISHED)
        begun = time.perf_counter()
        tracker.close(ended)
        assert time.perf_counter() - begun < 10
        assert not tracker.state.caught_up
        assert tracker.state.waiting >= 4
    finally:
        server.start()
    assert snapshot(server.uri, "later")["later"]["status"] == "RUNNING"
    report = sync(ended)
    assert report.written >= 4
    done = snapshot(server.uri, "later")
    assert done["later"]["status"] == "FINISHED"
    assert {name for name in done if name != "later"} == {f"t{n:03d}" for n in range(6)}
    assert sync(ended).written == 0
