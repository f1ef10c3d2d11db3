"""The commands as a user types them, on a real study: worker processes, Keras, ledger, MLflow and report."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import hpsearch, mlflow_of, ok, write_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which the study ``flowers`` was searched to its end."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder, "flowers")
    done = hpsearch("run", "flowers.toml", folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    (folder / "databases.txt").write_text(" ".join(sorted(path.name for path in (folder / "mlruns").glob("*.db*"))))
    return folder


def test_a_run_shows_progress_leaderboard_verdict_and_where_to_look_next(finished: Path) -> None:
    progress, result = (finished / "stderr.txt").read_text(), (finished / "stdout.txt").read_text()
    assert "study flowers: 120 rows + 30 test, 3 folds, engine fit" in progress
    assert progress.count("✓") == 4
    assert "[4/4]" in progress
    assert "val_accuracy" in result
    assert "best of 4 complete trials" in result
    assert "held-out rows" in result
    for hint in ("hpsearch ui flowers", "hpsearch predict flowers", "mlruns/studies/flowers/report.html"):
        assert hint in result


def test_leaderboard_ledger_mlflow_and_champion_agree_number_for_number(finished: Path, monkeypatch) -> None:
    monkeypatch.chdir(finished)
    import optuna
    from mlflow import MlflowClient

    import hpsearch as package

    study = package.load("flowers")
    shown = json.loads(ok("show", "flowers", "--json", folder=finished))
    rows = shown["leaderboard"]["rows"]
    ledger = optuna.load_study(study_name="flowers", storage="sqlite:///mlruns/ledger.db")
    client = MlflowClient(mlflow_of(finished))
    experiment = client.get_experiment_by_name("flowers")
    runs = client.search_runs([experiment.experiment_id])
    children = {run.data.tags["hpsearch.trial"]: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert len(rows) == len(ledger.trials) == len(children) == 4
    for row in rows:
        trial, entry, child = study.trials[row["trial"]], ledger.trials[row["trial"]], children[str(row["trial"])]
        assert row["score"] == trial.score == entry.value == child.data.metrics["score"]
        assert tuple(row["fold_scores"]) == trial.fold_scores
        assert child.info.status == "FINISHED"
        assert {name: str(value) for name, value in trial.config.items()} == child.data.params
        for fold in trial.folds:
            for metric, values in fold.curves.items():
                history = client.get_metric_history(child.info.run_id, f"fold_{fold.fold}/{metric}")
                assert [point.value for point in sorted(history, key=lambda point: point.step)] == list(values)
        mean = client.get_metric_history(child.info.run_id, "val_accuracy")
        assert max(point.value for point in mean) == pytest.approx(trial.score, abs=1e-12)
    champion = study.champion
    assert champion.trial == study.best.number == rows[0]["trial"] == ledger.best_trial.number
    assert champion.epochs == study.best.epoch
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert shown["verdict"]["test"]["accuracy"] == champion.test["accuracy"]
    assert champion.test["accuracy"] in parent.data.metrics.values()
    version = client.get_model_version_by_alias("flowers", "champion")
    assert champion.model_uri == f"models:/flowers/{version.version}"


def test_the_champion_predicts_its_test_rows_as_it_was_scored(finished: Path, monkeypatch) -> None:
    monkeypatch.chdir(finished)
    import hpsearch as package
    from hpsearch.training.problem import Problem

    study = package.load("flowers")
    test = Problem.load(study.record.spec).dataset.test
    np.savez(finished / "rows.npz", x=test.x)
    lines = ok("predict", "flowers", "rows.npz", folder=finished).splitlines()
    assert lines[0] == "prediction,probability,p(setosa),p(versicolor),p(virginica)"
    names = study.record.facts.data.classes
    right = [line.split(",")[0] == names[label] for line, label in zip(lines[1:], test.y, strict=True)]
    assert sum(right) / len(right) == pytest.approx(study.champion.test["accuracy"], abs=1e-6)


def test_databases_are_whole_files_once_a_run_is_over(finished: Path) -> None:
    """A copy of ledger.db alone must have everything. Nothing may be left in SQLite's log."""
    assert (finished / "databases.txt").read_text().split() == ["ledger.db", "mlflow.db"]


def test_a_second_run_of_a_finished_study_changes_nothing(finished: Path) -> None:
    before = ok("show", "flowers", "--json", folder=finished)
    again = hpsearch("run", "flowers.toml", folder=finished)
    assert again.returncode == 0
    assert "best of 4 complete trials" in again.stdout
    assert again.stderr == "", "no trial is searched again, and nothing is refitted"
    assert ok("show", "flowers", "--json", folder=finished) == before


def test_list_show_compare_report_and_export(finished: Path) -> None:
    (row,) = json.loads(ok("list", "--json", folder=finished))
    assert (row["study"], row["state"], row["complete"]) == ("flowers", "finished", 4)
    assert "flowers" in ok("list", folder=finished)
    assert "fold scores" in ok("show", "flowers", "2", folder=finished)
    assert "trial 1" in ok("compare", "flowers:0", "flowers:1", folder=finished)
    for kind in ("html", "md", "json"):
        path = finished / ok("report", "flowers", "--format", kind, folder=finished).strip()
        assert path.stat().st_size > 500
    ok("init", "--from", "flowers", "next.toml", folder=finished)
    assert "name = " in (finished / "next.toml").read_text()


def test_another_file_under_the_same_name_is_refused_with_what_changed(finished: Path) -> None:
    changed = (finished / "flowers.toml").read_text().replace("seed = 5", "seed = 6")
    (finished / "changed.toml").write_text(changed)
    done = hpsearch("run", "changed.toml", folder=finished)
    assert done.returncode == 2
    assert done.stderr.startswith("error[study-file.study-changed]")
    assert "seed: was 5, is 6" in done.stderr
    more = (finished / "flowers.toml").read_text().replace("trials = 4", "trials = 6")
    (finished / "more.toml").write_text(more)
    done = hpsearch("run", "more.toml", folder=finished)
    assert "hint: `hpsearch resume flowers --trials 6` extends it" in done.stderr


def test_what_results_do_not_depend_on_may_change_in_the_file_and_counts_from_then_on(
    finished: Path, monkeypatch
) -> None:
    monkeypatch.chdir(finished)
    import hpsearch as package
    from hpsearch.errors import SpecError

    text = (finished / "flowers.toml").read_text()
    fewer = text.replace("trials = 4", "trials = 4\nmax_failures = 7").replace(
        "[resources]", "[resources]\nthreads = 1"
    )
    (finished / "patient.toml").write_text(fewer)
    assert len(package.run("patient.toml").trials) == 4
    spec = package.load("flowers").record.spec
    assert (spec.search.max_failures, spec.resources.threads, spec.search.trials) == (7, 1, 4)
    (finished / "engine.toml").write_text(text.replace('engine = "fit"', 'engine = "fused"'))
    with pytest.raises(SpecError) as caught:
        package.run("engine.toml")
    assert caught.value.code == "study-file.study-changed"
    assert caught.value.values == {"study": "flowers", "changed": ("resources.engine",)}


def test_a_changed_or_deleted_champion_is_noticed(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    model = copy / "mlruns" / "studies" / "flowers" / "champion.keras"
    model.write_bytes(model.read_bytes() + b"x")
    (copy / "rows.csv").write_text("a,b,c,d\n1,2,3,4\n")
    done = hpsearch("predict", "flowers", "rows.csv", folder=copy)
    assert done.returncode == 8
    assert done.stderr.startswith("error[study.champion-changed]")
    model.unlink()
    done = hpsearch("predict", "flowers", "rows.csv", folder=copy)
    assert done.stderr.startswith("error[study.champion-missing]")
    assert "models:/flowers/1" in done.stderr


LATE = """
import keras

def build(hp):
    width = 8
    if round(100 * hp.Float("threshold", 0.0, 1.0)) % 10 == 9:
        width = hp.Int("width", 4, 16)
    layers = [keras.layers.Dense(width, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    optimizer = hp.Choice("optimizer", ["sgd", "adam"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


def write_late(folder: Path) -> None:
    """A study of code that asks for `width` in one of ten configs, here first in trial 2."""
    (folder / "late.py").write_text(LATE)
    text = write_study(folder, "late", trials=5, epochs=1).read_text()
    head, _, rest = text.partition("[model]")
    objective = rest.partition("[objective]")[2].replace('tuner = "optuna"\nalgorithm = "tpe"', 'algorithm = "random"')
    model = '[model]\nbuild = "late:build"\n[space]\nbatch_size = 32\nepochs = 1\n[objective]'
    (folder / "late.toml").write_text(head.replace("folds = 3", "folds = 2") + model + objective)


def killed(name: str, after: str, folder: Path) -> dict[str, object]:
    """Run a study until a line of its progress has some words, and die as by ``kill -9``; its row of the list."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "run", f"{name}.toml"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stderr:
        if after in line:
            break
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (row,) = json.loads(ok("list", "--json", folder=folder))
    assert row["state"] == "interrupted"
    return row


def leaderboard_without_times(info: dict) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in info["leaderboard"]["rows"]]


def test_kill_9_of_a_real_study_loses_no_finished_fold_and_changes_no_number(finished: Path, tmp_path: Path) -> None:
    write_study(tmp_path, "flowers")
    row = killed("flowers", "✓ t001", tmp_path)
    assert row["complete"] >= 2
    resumed = hpsearch("resume", "flowers", "--json", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"continuing after {row['complete']} finished trials" in resumed.stderr
    whole = json.loads(ok("show", "flowers", "--json", folder=finished))
    mine = json.loads(resumed.stdout)
    assert leaderboard_without_times(mine) == leaderboard_without_times(whole)
    assert mine["verdict"]["test"] == whole["verdict"]["test"]


def test_kill_9_of_a_study_whose_space_has_grown_changes_no_number(tmp_path: Path) -> None:
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
        write_late(folder)
    whole = hpsearch("run", "late.toml", "--json", folder=folders[0])
    assert "trial 2: the code asks for width, now part of the space" in whole.stderr
    killed("late", "✓ t002", folders[1])
    resumed = hpsearch("resume", "late", "--json", folder=folders[1])
    assert resumed.returncode == 0, resumed.stderr
    mine, wanted = (leaderboard_without_times(json.loads(done.stdout)) for done in (resumed, whole))
    assert mine == wanted
    assert {row["trial"]: row["config"].get("width") for row in mine}[2] is not None


def test_ctrl_c_keeps_finished_folds_and_says_how_to_continue(tmp_path: Path) -> None:
    write_study(tmp_path, "stopped", trials=50, epochs=40)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "run", "stopped.toml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    printed = ""
    for line in process.stderr:
        printed += line
        if "✓ t000" in line:
            process.send_signal(signal.SIGINT)
            break
    printed += process.stderr.read()
    assert process.wait() == 130, printed
    assert "error[interrupted" in printed
    assert "`hpsearch resume stopped` continues it" in printed
    (row,) = json.loads(ok("list", "--json", folder=tmp_path))
    assert row["state"] == "interrupted"
    shown, begun = ok("show", "stopped", folder=tmp_path), row["trials"]
    assert f"interrupted after {begun} of 50 trials: `hpsearch resume stopped` continues" in shown
    assert f"`hpsearch resume stopped --trials {begun}` ends the search here" in shown
