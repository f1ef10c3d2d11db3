import contextlib
import json
import math
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.errors import TrackingError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.testing.factories import CREATED, make_champion, make_record, make_trial, make_trials
from hpsearch.tracking import TrackingState, sync
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tracking.settings import mlflow_settings

from .conftest import values

Snapshot = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """As a driver's thread has them around a study."""
    with mlflow_settings():
        yield


def play(tracker: MlflowTracker, trials: tuple[Trial, ...]) -> None:
    """Tell the tracker what a driver would."""
    for trial in trials:
        running = Trial(trial.number, trial.config, started=trial.started)
        tracker.trial_changed(running)
        if trial.state is not TrialState.PRUNED:
            for count in range(1, len(trial.folds) + 1):
                tracker.trial_changed(replace(running, folds=trial.folds[:count]))
        if trial.state.finished:
            tracker.trial_changed(trial)


def track(record: StudyRecord, trials: tuple[Trial, ...], **end: Any) -> TrackingState:
    """A whole study, from open to close."""
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    play(tracker, trials)
    state = tracker.close(replace(record, trials=trials, **{"state": StudyState.FINISHED, **end}))
    assert state.caught_up, state
    return state


def test_every_fate_arrives_with_exact_numbers(folder: Path, snapshot: Snapshot) -> None:
    trials = make_trials(9)
    record = make_record((), folder=folder)
    state = track(record, trials, champion=make_champion(trials[0]))
    runs = snapshot(record.spec.tracking.uri.reveal())
    assert state.notes == ()
    assert set(runs) == {"digits", *(f"t{n:03d}" for n in range(9))}
    for trial in trials:
        run = runs[f"t{trial.number:03d}"]
        assert run["params"] == {name: str(value) for name, value in trial.config.items()}
        assert run["tags"]["mlflow.parentRunId"] == runs["digits"]["id"]
        assert run["times"] == (round(trial.started * 1000), round((trial.finished or 0) * 1000))
        for fold in trial.folds:
            for metric, curve in fold.curves.items():
                assert values(run, f"fold_{fold.fold}/{metric}") == list(curve)
        score = "pruned_score" if trial.state is TrialState.PRUNED else "score"
        assert (values(run, score) if score in run["points"] else [None]) == [trial.score]
        assert ("score" in run["points"]) == (trial.state is TrialState.COMPLETE), "MLflow would rank it"
    best = runs["t000"]
    assert (best["status"], best["name"]) == ("FINISHED", "t000 · 0.9179")
    assert values(best, "score_std") == [trials[0].std]
    assert [values(best, f"fold_{n}/score")[0] for n in range(5)] == list(trials[0].fold_scores)
    assert values(best, "val_accuracy")[(trials[0].epoch or 1) - 1] == trials[0].score
    assert values(best, "score_epoch") == [trials[0].epoch]
    assert [runs[name]["status"] for name in ("t004", "t006", "t008")] == ["KILLED", "FAILED", "FAILED"]
    assert runs["t006"]["tags"]["hpsearch.failure"] == "diverged (fold 2, epoch 4): loss is nan"
    assert "ValueError: units" in runs["t008"]["tags"]["mlflow.note.content"]
    assert "val_accuracy" not in runs["t006"]["points"]


def test_parent_run_has_charts_table_and_provenance(
    folder: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = make_trials(12)
    record = make_record((), folder=folder)
    state = track(record, trials, champion=make_champion(trials[1]))
    parent = snapshot(record.spec.tracking.uri.reveal())["digits"]
    assert parent["status"] == "FINISHED"
    assert parent["times"][0] == round(CREATED * 1000)
    assert len(parent["points"]["best_score"]) == 12
    best = replace(record, trials=trials).best
    assert best is not None
    assert values(parent, "best_score")[-1] == best.score
    assert values(parent, "test_accuracy") == [0.9777777777777777]
    assert len(parent["points"]["t001/val_accuracy"]) == 20
    assert len(parent["points"]["refit_t001/loss"]) == make_champion(trials[1]).epochs
    tags = parent["tags"]
    assert tags["hpsearch.seed"] == "7"
    assert tags["hpsearch.versions"] == "python 3.11.7, keras 3.15.1, hpsearch 0.1.0"
    assert tags["mlflow.source.git.commit"] == "deadbeef" * 5
    assert "Best: trial **1**" in tags["mlflow.note.content"]

    from mlflow import MlflowClient

    client = MlflowClient(record.spec.tracking.uri.reveal())
    run = client.get_run(state.run_id)
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("sklearn:digits", "0123456789abcdef")
    assert json.loads(dataset.profile)["rows"] == 1438
    of_trials = client.search_runs([run.info.experiment_id], "tags.`mlflow.parentRunId` != ''")
    assert {one.inputs.dataset_inputs[0].dataset.digest for one in of_trials} == {"0123456789abcdef"}
    assert len(of_trials) == 12
    experiment = client.get_experiment(run.info.experiment_id)
    assert "Hyperparameter search by hpsearch" in experiment.tags["mlflow.note.content"]
    assert "Hyperparameter search by hpsearch" not in tags["mlflow.note.content"]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location == (folder / "artifacts").as_uri() + "/digits"
    path = folder / "artifacts" / "digits" / run.info.run_id / "artifacts"
    assert {one.name for one in path.iterdir()} == {"facts.json", "leaderboard.json", "study.toml"}
    assert (path / "study.toml").read_text() == record.study_file
    # load_table looks there, not at its client
    monkeypatch.setenv("MLFLOW_TRACKING_URI", record.spec.tracking.uri.reveal())
    table = client.load_table(experiment.experiment_id, "leaderboard.json", run_ids=[run.info.run_id])
    assert table["trial"].tolist()[:2] == [trial.number for trial in replace(record, trials=trials).ranked[:2]]


def test_projecting_again_changes_nothing(folder: Path, snapshot: Snapshot) -> None:
    trials = make_trials(9)
    infinite = FoldResult(0, {"loss": (1.0, math.inf, math.nan), "val_accuracy": (0.1, 0.1, math.nan)}, CREATED, 1.0)
    failure = Failure(FailureKind.DIVERGED, "loss is nan", fold=0, epoch=1)
    diverged = replace(make_trial(9, TrialState.DIVERGED), folds=(infinite,), failure=failure)
    trials = (*trials, diverged)
    record = make_record((), folder=folder)
    track(record, trials, champion=make_champion(trials[0]))
    uri = record.spec.tracking.uri.reveal()
    before = snapshot(uri)
    assert [math.isnan(value) for value in values(before["t009"], "fold_0/loss")] == [False, True, True]
    ended = replace(record, trials=trials, state=StudyState.FINISHED, champion=make_champion(trials[0]))
    assert sync(ended).written == 0
    assert snapshot(uri) == before
    # Without the tags that say "complete", every point is written again, and the store ignores every one.
    from mlflow import MlflowClient

    for name, run in before.items():
        if name != "digits":
            MlflowClient(uri).set_tag(run["id"], "hpsearch.digest", "")
    assert sync(ended).written == 10
    assert snapshot(uri) == before


@pytest.mark.parametrize("straight", [True, False])
def test_more_points_than_one_call_takes(
    folder: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, straight: bool
) -> None:
    from mlflow import MlflowClient

    from hpsearch.tracking.mlflow import tables

    sizes, log_batch = [0], MlflowClient.log_batch

    def spy(self: Any, run_id: str, metrics: Any = (), params: Any = (), tags: Any = (), **rest: Any) -> Any:
        sizes.append(len(metrics) + len(params) + len(tags))
        return log_batch(self, run_id, metrics=metrics, params=params, tags=tags, **rest)

    monkeypatch.setattr(MlflowClient, "log_batch", spy)
    if not straight:
        monkeypatch.setattr(tables, "REVISIONS", frozenset())
    config = {f"layer_{n}": n for n in range(230)}
    trial = make_trial(0, epochs=150, folds=5, config=config)
    record = make_record((), folder=folder)
    track(record, (trial,))
    run = snapshot(record.spec.tracking.uri.reveal())["t000"]
    assert sum(len(points) for points in run["points"].values()) == 5 * 150 * 4 + 150 * 4 + 11
    assert run["params"] == {name: str(value) for name, value in config.items()}
    assert max(sizes) == 0 if straight else 800 < max(sizes) <= 1000


def test_a_resumed_study_goes_on_in_its_runs(folder: Path, snapshot: Snapshot) -> None:
    trials = make_trials(6)
    half = replace(trials[3], state=TrialState.RUNNING, folds=trials[3].folds[:2], score=None, finished=None)
    record = make_record((), folder=folder)
    track(record, (*trials[:3], half), state=StudyState.INTERRUPTED)
    uri = record.spec.tracking.uri.reveal()
    stopped = snapshot(uri)
    assert (stopped["digits"]["status"], stopped["t003"]["status"]) == ("KILLED", "KILLED")
    assert stopped["t003"]["name"] == "t003"

    resumed = make_record((*trials[:3], half), folder=folder)
    tracker = MlflowTracker(resumed.spec.tracking)
    tracker.open(resumed)
    tracker.trial_changed(half)
    assert tracker.flush(60)
    assert snapshot(uri)["digits"]["status"] == snapshot(uri)["t003"]["status"] == "RUNNING"
    for count in range(3, len(trials[3].folds) + 1):
        tracker.trial_changed(replace(half, folds=trials[3].folds[:count]))
    play(tracker, trials[3:])
    tracker.close(replace(resumed, trials=trials, state=StudyState.FINISHED))
    done = snapshot(uri)
    assert set(done) == {"digits", *(f"t{n:03d}" for n in range(6))}
    assert done["t003"]["id"] == stopped["t003"]["id"]
    assert done["t003"]["status"] == "FINISHED"

    whole = folder / "uninterrupted"
    whole.mkdir()
    (whole / "mlflow.db").write_bytes(b"")
    other = make_record((), folder=whole)
    track(other, trials)
    once = snapshot(other.spec.tracking.uri.reveal())
    assert {name: run["points"] for name, run in done.items()} == {name: run["points"] for name, run in once.items()}


def test_a_study_begun_anew_gets_a_run_of_its_own(folder: Path) -> None:
    from mlflow import MlflowClient

    for created in (CREATED, CREATED + 100):
        record = replace(make_record(make_trials(2), folder=folder, state=StudyState.FINISHED), created=created)
        assert sync(record).written == 2
    client = MlflowClient(record.spec.tracking.uri.reveal())
    runs = client.search_runs(["1"], filter_string="tags.`hpsearch.kind` = 'study'")
    assert len(runs) == 2


def test_what_was_deleted_in_the_pages_stays_deleted_until_sync(folder: Path, snapshot: Snapshot) -> None:
    from mlflow import MlflowClient

    trials = make_trials(4)
    record = make_record((), folder=folder)
    uri = record.spec.tracking.uri.reveal()
    track(record, trials[:3])
    before = snapshot(uri)
    client = MlflowClient(uri)
    client.delete_run(before["t001"]["id"])
    client.delete_run(before["digits"]["id"])
    state = track(make_record(trials[:3], folder=folder), trials)
    assert state.notes == ("the MLflow run of study 'digits' had been deleted; it was restored",)
    after = snapshot(uri)
    assert [after[name]["stage"] for name in ("digits", "t000", "t001", "t003")] == [
        "active",
        "active",
        "deleted",
        "active",
    ]
    client.delete_experiment("1")
    report = sync(make_record(trials, folder=folder, state=StudyState.FINISHED))
    assert report.notes == ("MLflow experiment 'digits' had been deleted; it was restored",)
    assert {run["stage"] for run in snapshot(uri).values()} == {"active"}


@pytest.mark.parametrize("victim", ["t000", "digits"])
def test_a_run_deleted_while_the_study_runs(folder: Path, snapshot: Snapshot, victim: str) -> None:
    from mlflow import MlflowClient

    trials = make_trials(3)
    record = make_record((), folder=folder)
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    tracker.trial_changed(replace(trials[0], state=TrialState.RUNNING, folds=()))
    assert tracker.flush(60)
    client = MlflowClient(record.spec.tracking.uri.reveal())
    client.delete_run(snapshot(record.spec.tracking.uri.reveal())[victim]["id"])
    play(tracker, trials)
    tracker.close(replace(record, trials=trials, state=StudyState.FINISHED))
    assert tracker.state.caught_up, tracker.state
    runs = snapshot(record.spec.tracking.uri.reveal())
    # A trial's run stays deleted; the study's own is needed, and comes back.
    first = "deleted" if victim == "t000" else "active"
    assert [runs[name]["stage"] for name in ("digits", "t000", "t001")] == ["active", first, "active"]
    assert runs["digits"]["status"] == "FINISHED"


def test_one_trial_that_mlflow_refuses_does_not_stop_the_others(
    folder: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    trials = make_trials(3)
    trials = (trials[0], replace(trials[1], config={"words": "x" * 7000}), trials[2])
    record = make_record((), folder=folder)
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    play(tracker, trials)
    tracker.close(replace(record, trials=trials, state=StudyState.FINISHED))
    runs = snapshot(record.spec.tracking.uri.reveal())
    assert [runs[name]["status"] for name in ("digits", "t000", "t001", "t002")] == [
        "FINISHED",
        "FINISHED",
        "RUNNING",
        "FINISHED",
    ]
    refusal = f"MLflow at {record.spec.tracking.uri.reveal()} refuses: 'Param value' exceeds the maximum length of 6000"
    assert [note for note in tracker.state.notes if refusal not in note] == []
    assert tracker.state.notes[0].startswith("trial 1: ")
    assert (tracker.state.caught_up, tracker.state.waiting) == (False, 1)
    monkeypatch.undo()
    assert sync(replace(record, trials=trials, state=StudyState.FINISHED)).written == 1


def test_folders_are_made_where_the_study_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = make_record(make_trials(1))
    track(record, make_trials(1))
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()
    assert len(list((tmp_path / "mlruns" / "artifacts" / "digits").iterdir())) == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mlruns"]


def test_the_process_is_left_as_it_was(folder: Path) -> None:
    import mlflow

    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
    track(make_record((), folder=folder), make_trials(1))
    assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")} == before
    assert mlflow.active_run() is None


def test_an_unreachable_mlflow_costs_the_study_nothing(tmp_path: Path) -> None:
    tracking = {"uri": "http://127.0.0.1:9", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    record = make_record((), tracking=tracking)
    trials = make_trials(3)
    tracker = MlflowTracker(record.spec.tracking)
    begun = time.perf_counter()
    tracker.open(record)
    play(tracker, trials)
    assert time.perf_counter() - begun < 1
    final = replace(record, trials=trials, state=StudyState.FINISHED)
    tracker.close(final)
    state = tracker.state
    assert (state.caught_up, state.waiting, state.url) == (False, 3, "")
    assert state.problem == "MLflow at http://127.0.0.1:9 cannot be reached: connection refused"
    assert state.notes == (f"{state.problem}; the study goes on, and MLflow is caught up later",)
    with pytest.raises(TrackingError) as caught:
        sync(final)
    assert caught.value.code == "tracking.unreachable"
    assert caught.value.values == {"address": "http://127.0.0.1:9", "reason": "connection refused"}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END", "disk is full"),
        ("DROP TABLE runs", "sqlite3.OperationalError"),
    ],
)
def test_a_database_that_cannot_be_written_is_told_without_tracebacks(
    folder: Path, capfd: pytest.CaptureFixture[str], damage: str, reason: str
) -> None:
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute(damage)
    tracker = MlflowTracker((record := make_record((), folder=folder)).spec.tracking)
    tracker.open(record)
    play(tracker, make_trials(1))
    begun = time.perf_counter()
    tracker.close(record)
    assert time.perf_counter() - begun < 10
    assert reason in tracker.state.problem
    assert "Traceback" not in capfd.readouterr().err


def test_an_mlflow_that_cannot_be_imported_costs_a_note(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    record = make_record((), folder=folder)
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    play(tracker, make_trials(1))
    tracker.close(record)
    assert not tracker.state.caught_up
    assert len(tracker.state.notes) == 1
    assert "import of mlflow halted" in tracker.state.notes[0]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = make_record(make_trials(1), folder=tmp_path / "file")
    with pytest.raises(TrackingError) as caught:
        sync(record)
    assert caught.value.code == "tracking.folder-not-created"
    assert caught.value.values == {"folder": str(tmp_path / "file")}


def test_mlflows_database_is_its_owners_alone(migrated: Path) -> None:
    assert migrated.stat().st_mode & 0o777 == 0o600


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    relative = resolve_address(make_record().spec.tracking, folder=tmp_path)
    assert relative.uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert relative.experiment_location("a <b>") == (tmp_path / "mlruns/artifacts/a_b_").as_uri()
    http = resolve_address(
        make_record(tracking={"uri": "https://me:${SECRET}@host/x", "artifacts": "s3://b/c/"}).spec.tracking
    )
    assert (http.uri, http.written) == ("https://me:hunter2@host/x", "https://***:${SECRET}@host/x")
    assert http.experiment_location("n") == "s3://b/c/n"
    assert resolve_address(make_record(tracking={"uri": "http://host:5000"}).spec.tracking).artifact_root is None
