"""Limits, Pareto fronts and a champion by hand as a user types them: with workers, Keras, ledger and MLflow."""

import json
from pathlib import Path

import pytest

from tests.command_line import STUDY, hpsearch, mlflow_of, ok

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The study ``flowers`` has models of 8 to 4,000 units, of which the largest are too large."""
    folder = tmp_path_factory.mktemp("limits")
    text = STUDY.format(name="flowers", trials=10, epochs=3).replace("units = [8, 16]", "units = [8, 16, 24, 4000]")
    text = text.replace("dropout = 0.0", "dropout = [0.0, 0.1]")
    most = "parameters = 1000, model_mb = 0.5, latency_ms = 60000"
    least = 'val_loss = 0.0, "sklearn:recall_macro" = 0.0'
    limits = f"at_most = {{ {most} }}\nat_least = {{ {least} }}\n"
    (folder / "flowers.toml").write_text(text.replace("[search]", f"{limits}[search]"))
    done = hpsearch("run", "flowers.toml", folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_a_run_ends_large_models_before_training_and_ranks_the_others(folder: Path) -> None:
    progress, result = (folder / "stderr.txt").read_text(), (folder / "stdout.txt").read_text()
    shown = json.loads(ok("show", "flowers", "--json", folder=folder))
    large = shown["limits"]["infeasible"]
    assert large
    assert shown["limits"]["untrained"] == len(large)
    assert progress.count("⊘") == len(large)
    assert "parameters, at most 1,000; " in progress
    assert progress.count("; not trained") == len(large)
    assert f"{len(large)} infeasible" in result
    result = " ".join(result.split())
    limits = "parameters at most 1,000, model_mb at most 0.5, latency_ms at most 60,000, val_loss at least 0, "
    limits += "val_recall_macro at least 0"
    assert f"Limits: {limits}; " in result
    assert "latency was measured on the machine that trained it" in result
    assert all(row["measured"]["parameters"] <= 1000 for row in shown["leaderboard"]["rows"])
    assert all(0 < row["measured"]["val_recall_macro"] <= 1 for row in shown["leaderboard"]["rows"])
    assert len(shown["leaderboard"]["rows"]) + len(large) == 10
    one = json.loads(ok("show", "flowers", str(large[0]["trial"]), "--json", folder=folder))
    assert (one["state"], one["seconds"], one["folds"]) == ("infeasible", 0, {})


def test_the_front_is_shown_in_the_terminal_and_as_json(folder: Path) -> None:
    text = ok("show", "flowers", "--pareto", folder=folder)
    assert "val_accuracy over parameters" in text
    assert "val_accuracy over training seconds, all folds" in text
    found = json.loads(ok("show", "flowers", "--pareto", "--json", folder=folder))
    (by_size, by_time) = found["fronts"]
    assert by_size["axis"] == "parameters"
    assert by_time["front"] or by_time["reason"]
    clash = hpsearch("show", "flowers", "1", "--pareto", folder=folder)
    assert clash.returncode == 2
    assert "--pareto compares all trials" in clash.stderr


def test_a_champion_by_hand_is_a_new_version_that_resume_and_sync_keep(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    from mlflow import MlflowClient

    import hpsearch as package

    before = package.load("flowers")
    chosen = before.record.ranked[1].number
    said = " ".join(ok("crown", "flowers", str(chosen), folder=folder).split())
    assert f"Trial {chosen} was made the champion by hand on" in said
    assert f"the search's best is trial {before.best.number}." in said
    assert "so its own is not unbiased" in said
    client = MlflowClient(mlflow_of(folder))

    def champion() -> str:
        version = client.get_model_version_by_alias("flowers", "champion")
        assert version.tags["hpsearch.trial"] == str(chosen)
        assert version.tags["hpsearch.chosen_by_hand"].startswith(f"Trial {chosen} was made the champion by hand")
        assert version.description == version.tags["hpsearch.chosen_by_hand"]
        return version.version

    assert str(champion()) == "2"
    after = package.load("flowers")
    assert after.champion.model_uri == "models:/flowers/2"
    card = json.loads((after.folder / "champion.json").read_text())
    assert card["trial"] == chosen
    assert card["chosen_by_hand"].endswith("UTC")
    ok("resume", "flowers", folder=folder)
    ok("sync", "flowers", folder=folder)
    assert str(champion()) == "2"
    assert package.load("flowers").champion == after.champion
    experiment = client.get_experiment_by_name("flowers")
    (parent,) = [one for one in client.search_runs([experiment.experiment_id])
                 if "mlflow.parentRunId" not in one.data.tags]  # fmt: skip
    assert parent.data.tags["hpsearch.champion"] == "models:/flowers/2"
    assert "by hand" in parent.data.tags["mlflow.note.content"]
    assert "by hand" in ok("list", folder=folder)
    again = hpsearch("crown", "flowers", str(chosen), folder=folder)
    assert (again.returncode, again.stdout) == (8, "")
    assert f"error[study.champion-already]: trial {chosen} is the champion of study 'flowers' already" in again.stderr
    predicted = ok("predict", "flowers", "rows.csv", folder=rows(folder))
    assert predicted.startswith("prediction")


def rows(folder: Path) -> Path:
    names = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
    (folder / "rows.csv").write_text(f"{names}\n5.1,3.5,1.4,0.2\n")
    return folder


def test_mlflow_has_what_limits_are_on_and_ranks_only_what_keeps_them(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    from mlflow import MlflowClient

    import hpsearch as package

    record = package.load("flowers").record
    client = MlflowClient(mlflow_of(folder))
    runs = client.search_runs([client.get_experiment_by_name("flowers").experiment_id])
    trials = {int(one.data.tags["hpsearch.trial"]): one for one in runs if "hpsearch.trial" in one.data.tags}
    for trial in record.infeasible:
        run = trials[trial.number]
        assert run.info.status == "KILLED"
        assert run.data.tags["hpsearch.state"] == "infeasible"
        assert "score" not in run.data.metrics
        assert "; not trained" in run.data.tags["hpsearch.failure"]
        assert run.data.metrics["model_mb"] == trial.measured["model_mb"]
    for trial in record.ranked:
        run = trials[trial.number]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["latency_ms"] == trial.measured["latency_ms"]


def test_a_limit_on_a_curve_that_no_trial_records_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    text = STUDY.format(name="typo", trials=2, epochs=1)
    (tmp_path / "typo.toml").write_text(text.replace("[search]", "at_least = { val_acuracy = 0.9 }\n[search]"))
    done = hpsearch("run", "typo.toml", folder=tmp_path)
    assert done.returncode == 2
    assert "objective.at_least.val_acuracy: the model records no 'val_acuracy'" in done.stderr
    assert "did you mean 'val_accuracy'?" in done.stderr
    assert not (tmp_path / "mlruns" / "ledger.db").exists()
