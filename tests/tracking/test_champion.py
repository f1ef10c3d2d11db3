"""Champions registered from their files, and loaded in fresh processes that know no hpsearch.

The models are written in one process, as in a worker, because it imports Keras. This one never does.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.trial import Champion
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.testing.factories import make_champion, make_record, make_trials
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow.champion import champion_uri
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tracking.settings import mlflow_settings

from .conftest import Server

pytestmark = pytest.mark.slow

STUDY = """\
name = "{name}"
[data]
source = "{source}"
{data}
[validation]
folds = 2
[model]
{model}
[objective]
metric = "val_loss"
direction = "minimize"
"""

OWN = {
    "mine/__init__.py": "",
    "mine/scaling.py": """\
import keras
import sklearn

class Scale(keras.layers.Layer):
    def __init__(self, by=2.0, **more):
        super().__init__(**more)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}
""",
    "mine/model.py": """\
import keras
from mine.scaling import Scale

@keras.saving.register_keras_serializable()
def squash(x):
    return keras.ops.tanh(x)

def build(config, data):
    rows = keras.Input(data.input_shape)
    x = keras.layers.Activation(squash)(Scale(0.5)(keras.layers.Flatten()(rows)))
    model = keras.Model(rows, keras.layers.Dense(len(data.classes), activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
""",
}

WRITE = """
import hashlib, json, sys
from pathlib import Path
from hpsearch.core.trial import Champion
from hpsearch.models.saving import save_model
from hpsearch.spec import load_spec
from hpsearch.training.mlflow_model import mlflow_imported_ahead, write_mlflow_model
from hpsearch.training.problem import Problem

config = json.loads(sys.argv[1])
for name in ("digits", "houses", "own"):
    problem = Problem.load(load_spec(f"{name}.toml")[0])
    with mlflow_imported_ahead():
        model = problem.build(config, problem.dataset.train, seed=0)
    path = Path(name, "champion.keras")
    path.parent.mkdir()
    save_model(model, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    champion = Champion(0, config, 1, {}, {}, str(path), sha256, model.count_params(), path.stat().st_size, 1.0)
    assert write_mlflow_model(problem, model, champion, Path(name, "mlflow_model")) == Path(name, "mlflow_model")
    write_mlflow_model(problem, model, champion, Path(name, "mlflow_model"))
    part = problem.dataset.train.x
    x = {key: values[:9] for key, values in part.items()} if isinstance(part, dict) else part[:9]
    expected = model.predict(x, verbose=0).tolist()
    Path(name, "expected.json").write_text(json.dumps({"sha256": sha256, "predicted": expected}))
    if name == "digits":
        Path(name, "rows.json").write_text(json.dumps(x.tolist()))
"""

HIDDEN = "import sys\nsys.modules['hpsearch'] = None\n"

LOAD = (
    HIDDEN
    + """
import json
from pathlib import Path
import mlflow, numpy as np, pandas as pd

mlflow.set_tracking_uri(sys.argv[1])
folder = Path(sys.argv[2])
rows = np.array(json.loads((folder / "digits/rows.json").read_text()))
houses = pd.read_csv(folder / "houses.csv")
names = ("digits", "houses", "own")
expected = {name: json.loads((folder / name / "expected.json").read_text())["predicted"] for name in names}
models = {name: mlflow.pyfunc.load_model(f"models:/{name}@champion") for name in expected}
found = {}
for name in ("digits", "own"):
    table = models[name].predict(rows)
    assert list(table.columns) == ["prediction", "probability", *(f"p({digit})" for digit in range(10))]
    np.testing.assert_allclose(table.iloc[:, 2:], expected[name], rtol=1e-4, atol=1e-6)
    assert list(table["prediction"]) == [str(one) for one in np.argmax(expected[name], axis=1)]
    flat = pd.DataFrame(rows.reshape(len(rows), -1), index=list("abcdefghi"))
    assert list(models[name].predict(flat).index) == list("abcdefghi")
    np.testing.assert_allclose(models[name].predict(flat)["probability"], table["probability"], rtol=1e-5)
    np.testing.assert_allclose(models[name].predict(rows.astype("float32"))["probability"], table["probability"])
    assert models[name].input_example.shape == (5, 8, 8)
table = models["houses"].predict(houses.head(9))
assert list(table.columns) == ["prediction"]
np.testing.assert_allclose(table, expected["houses"], rtol=1e-4, atol=1e-6)
whole = houses.assign(rooms=houses["rooms"].fillna(3).astype(int)).head(9)
assert len(models["houses"].predict(whole)) == 9
assert list(models["houses"].input_example["city"].dropna().unique()) == ["Rome", "Oslo", "Bern"]
assert list(models["houses"].input_example.columns) == ["rooms", "garden", "city"]
keras_model = mlflow.keras.load_model("models:/digits@champion")
np.testing.assert_allclose(keras_model.predict(rows, verbose=0), expected["digits"], rtol=1e-4, atol=1e-6)
for bad in (houses[["rooms"]], houses.assign(rooms="many")):
    try:
        models["houses"].predict(bad)
    except Exception as error:
        found.setdefault("errors", []).append(str(error)[-80:])
found["run_ids"] = {name: model.metadata.run_id for name, model in models.items()}
found["model_ids"] = {name: model.model_id for name, model in models.items()}
found["needed"] = open(mlflow.artifacts.download_artifacts("models:/own@champion/requirements.txt")).read().split()
print(json.dumps(found))
"""
)


def run(code: str, folder: Path, *arguments: str) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(folder / "keras"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    (folder / "keras").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads((done.stdout.strip().splitlines() or ["{}"])[-1])
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three champions: of an image family, of a table family, and of a build function."""
    folder = tmp_path_factory.mktemp("models")
    for name, text in OWN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    towns = ["Rome", "Oslo", "", "Bern"]
    lines = [f"{i % 5 if i % 7 else ''},{i % 2 == 0},{towns[i % 4]},{i}.5" for i in range(60)]
    (folder / "houses.csv").write_text("\n".join(["rooms,garden,city,price", *lines]))
    sources = {
        "digits": ("sklearn:digits", "", 'family = "mlp"'),
        "houses": ("houses.csv", 'target = "price"\ntest_fraction = 0.0', 'family = "mlp"'),
        "own": ("sklearn:digits", "", 'build = "mine.model:build"'),
    }
    for name, (source, data, model) in sources.items():
        (folder / f"{name}.toml").write_text(STUDY.format(name=name, source=source, data=data, model=model))
    config = {"learning_rate": 0.1, "batch_size": 16, "epochs": 1, "optimizer": "sgd", "layers": 1, "units": 8}
    config |= {"activation": "relu", "dropout": 0.0, "batch_norm": False}
    run(WRITE, folder, json.dumps(config))
    return folder


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with mlflow_settings():
        yield


def crowned(models: Path, name: str, place: dict[str, Any]) -> StudyRecord:
    """A finished study whose champion is one of the models."""
    trials = make_trials(3)
    champion = replace(
        make_champion(trials[1]),
        path=str(models / name / "champion.keras"),
        sha256=json.loads((models / name / "expected.json").read_text())["sha256"],
        mlflow_model=str(models / name / "mlflow_model"),
    )
    return make_record(trials, name=name, state=StudyState.FINISHED, champion=champion, **place)


def track(record: StudyRecord) -> str:
    """Search, as it were, and crown; returns where the champion is registered."""
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(replace(record, trials=(), state=StudyState.RUNNING, champion=None))
    for trial in record.trials:
        tracker.trial_changed(trial)
    assert tracker.champion_ready(record) == f"models:/{record.name}@champion"
    state = tracker.close(record)
    assert state.caught_up, state
    assert state.notes == ()
    return state.model_uri


def check_loading(models: Path, uri: str) -> dict[str, Any]:
    elsewhere = models / "elsewhere"  # nothing of the user's own can be imported from here
    elsewhere.mkdir(exist_ok=True)
    found = run(LOAD, elsewhere, uri, str(models))
    assert [line.split("==")[0] for line in found["needed"]] == [
        *("mlflow", "keras", "jax", "numpy", "pandas", "scikit-learn")
    ]
    assert all("==" in line for line in found["needed"])
    assert "missing inputs ['garden', 'city']" in found["errors"][0] or "garden" in found["errors"][0]
    assert "needs numbers, but has text: 'many' in row 0" in found["errors"][1]
    return found


def test_champions_predict_raw_rows_in_a_process_without_hpsearch(models: Path, folder: Path) -> None:
    for name in ("digits", "houses", "own"):
        record = crowned(models, name, {"folder": folder})
        assert track(record) == f"models:/{name}/1"
    found = check_loading(models, record.spec.tracking.uri.reveal())
    from mlflow import MlflowClient

    client = MlflowClient(record.spec.tracking.uri.reveal(), record.spec.tracking.uri.reveal())
    logged = check_links(client, crowned(models, "digits", {"folder": folder}))
    assert found["run_ids"]["digits"] == logged.source_run_id
    assert found["model_ids"]["digits"] == logged.model_id


def check_links(client: Any, record: StudyRecord) -> Any:
    """The model knows its metrics, data set, params and pages; the study's run knows the model."""
    champion = record.champion
    assert champion is not None
    version = client.get_model_version_by_alias(record.name, "champion")
    (logged,) = client.search_logged_models(
        [client.get_experiment_by_name(record.name).experiment_id], f"tags.`hpsearch.sha256` = '{champion.sha256}'"
    )
    assert str(logged.status) == "READY"
    assert sorted((metric.key, metric.value) for metric in logged.metrics) == [
        *((f"refit_t001/{name}", curve[-1]) for name, curve in sorted(champion.curves.items())),
        *((f"test_{name}", value) for name, value in sorted(champion.test.items())),
    ]
    assert {(metric.dataset_name, metric.run_id) for metric in logged.metrics} == {("sklearn:digits", version.run_id)}
    assert logged.params == {name: str(value) for name, value in champion.config.items()}
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": record.name, "version": str(version.version)}]
    run = client.get_run(version.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert run.data.tags["hpsearch.champion"] == f"models:/{record.name}/{version.version}"
    assert run.info.status == "FINISHED"
    assert [(m.step, m.value) for m in client.get_metric_history(version.run_id, "test_accuracy")] == [
        (champion.trial, champion.test["accuracy"])
    ]
    return logged


@pytest.mark.slow
def test_a_server_serves_the_same_champions(models: Path, server: Server) -> None:
    for name in ("digits", "houses", "own"):
        record = crowned(models, name, {"tracking": {"uri": server.uri}})
        assert track(record) == f"models:/{name}/1"
    check_loading(models, server.uri)
    from mlflow import MlflowClient

    check_links(MlflowClient(server.uri, server.uri), crowned(models, "digits", {"tracking": {"uri": server.uri}}))


def test_a_champion_is_registered_once_and_the_alias_follows_the_newest(models: Path, folder: Path) -> None:
    record = crowned(models, "digits", {"folder": folder})
    assert record.champion is not None
    other = replace(record, champion=replace(record.champion, sha256="0" * 64))
    assert [sync(one).model_uri for one in (record, record, other, record)] == [
        *("models:/digits/1", "models:/digits/1", "models:/digits/2", "models:/digits/1")
    ]
    from mlflow import MlflowClient

    run = MlflowClient(record.spec.tracking.uri.reveal()).get_run(sync(record).run_id)
    params = {name: str(value) for name, value in record.champion.config.items()}
    assert (run.data.params, run.data.tags["hpsearch.params_of"]) == (params, f"t{record.champion.trial:03d}")
    quoted = replace(record, name='it\'s "mine": a/b')
    assert [sync(quoted).model_uri for _ in range(2)] == ["models:/it's _mine__ a_b/1"] * 2
    assert champion_uri(quoted.name) == "models:/it's _mine__ a_b@champion"


def test_what_a_broken_try_has_left_is_completed(models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    record = crowned(models, "digits", {"folder": folder})
    calls = ("log_model_artifact", "finalize_logged_model", "log_outputs", "create_model_version")

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("the disk is full")

    for call in calls:
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, fail)
            with pytest.raises(Exception, match="the disk is full"):
                sync(record)
    assert sync(record).model_uri == "models:/digits/1"
    client = MlflowClient(record.spec.tracking.uri.reveal(), record.spec.tracking.uri.reveal())
    assert len(client.search_logged_models(["1"])) == 1
    check_links(client, record)


@pytest.mark.parametrize("lost", ["never written", "deleted"])
def test_a_champion_without_its_files_costs_a_note(folder: Path, lost: str) -> None:
    champion: Champion = make_champion(make_trials(3)[1])
    if lost == "deleted":
        champion = replace(champion, mlflow_model=str(folder / "nowhere"))
    record = make_record(make_trials(3), folder=folder, state=StudyState.FINISHED, champion=champion)
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    tracker.champion_ready(record)
    state = tracker.close(record)
    assert (state.caught_up, state.model_uri, state.waiting) == (False, "", 0)
    assert "the champion's model in MLflow's format is missing" in state.problem
    report = sync(record)
    assert (report.written, report.model_uri) == (0, "")
    assert "the champion was not registered" in report.notes[0]


def test_an_outage_while_the_champion_is_registered_is_caught_up(
    models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpsearch.tracking.mlflow import tracker as module

    tries: list[str] = []
    register: Callable[..., str] = module.register_champion

    def flaky(*arguments: Any) -> str:
        tries.append("")
        if len(tries) == 1:
            raise OSError("the artifact store is away")
        return register(*arguments)

    monkeypatch.setattr(module, "register_champion", flaky)
    record = crowned(models, "digits", {"folder": folder})
    tracker = MlflowTracker(record.spec.tracking)
    tracker.open(record)
    tracker.champion_ready(record)
    assert tracker.flush(60)
    assert tracker.champion_ready(record) == "models:/digits@champion"
    state = tracker.close(record)
    assert (state.caught_up, state.model_uri) == (True, "models:/digits/1")
    assert ["the artifact store is away" in note for note in state.notes] == [True, False]


def test_only_the_drivers_thread_changes_the_environment(
    models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is started meanwhile copies the environment."""
    strangers: list[str] = []
    kind = type(os.environ)

    def watch(name: str) -> None:
        change = getattr(kind, name)

        def watched(self: Any, *arguments: str) -> None:
            if threading.current_thread() is not threading.main_thread():
                strangers.append(f"{threading.current_thread().name}: {arguments[0]}")
            change(self, *arguments)

        monkeypatch.setattr(kind, name, watched)

    watch("__setitem__")
    watch("__delitem__")
    before = dict(os.environ)
    track(crowned(models, "digits", {"folder": folder}))
    assert (strangers, dict(os.environ)) == ([], before)
