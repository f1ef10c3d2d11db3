"""Logging and registering a real Keras model, in a process of its own, as in a worker: it imports Keras."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
from dataclasses import replace
import keras, numpy as np
from hpsearch.ledger.record import StudyState
from hpsearch.tracking.mlflow import log_champion, sync
from hpsearch.testing.factories import make_champion, make_record, make_trials
from pathlib import Path

folder = Path(sys.argv[1])
trials = make_trials(3)
record = make_record(trials, folder=folder, champion=make_champion(trials[1]), state=StudyState.FINISHED)
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
model.save(folder / "champion.keras")
rows = np.random.default_rng(0).random((5, 8, 8)).astype("float32")
tracking = record.spec.tracking

sync(record)
uri = log_champion(model=model, example=rows, tracking=tracking, record=record)
again = log_champion(model=str(folder / "champion.keras"), example=rows, tracking=tracking, record=record)
other = replace(record, champion=make_champion(trials[2]))
second = log_champion(model=str(folder / "champion.keras"), example=rows, tracking=tracking, record=other)
back = log_champion(model=model, example=rows, tracking=tracking, record=record)
sync(replace(record, champion=replace(record.champion, model_uri=uri)))
quoted = replace(record, name="it's \\"mine\\"")
twice = [log_champion(model=model, example=rows, tracking=tracking, record=quoted) for _ in range(2)]

import mlflow
assert not mlflow.is_tracking_uri_set() and mlflow.active_run() is None
mlflow.set_tracking_uri(tracking.uri)
expected = model.predict(rows, verbose=0)
loaded = mlflow.keras.load_model("models:/digits@champion").predict(rows, verbose=0)
served = mlflow.pyfunc.load_model("models:/digits@champion")
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("digits", "champion")
logged = client.get_logged_model(version.source.rsplit("/", 1)[-1])
needed = mlflow.artifacts.download_artifacts("models:/digits@champion/requirements.txt")
parent = client.get_run(version.run_id)
print(json.dumps({
    "uris": [uri, again, second, back],
    "quoted": twice,
    "loaded": bool(np.array_equal(loaded, expected)),
    "served": bool(np.array_equal(served.predict(rows), expected)),
    "signature": str(served.metadata.signature.inputs.to_dict()),
    "example": np.asarray(served.input_example).tolist() == rows.tolist(),
    "requirements": open(needed).read().split(),
    "model_metrics": [[m.key, m.value] for m in logged.metrics],
    "refit": {name: curve[-1] for name, curve in record.champion.curves.items()},
    "dataset": logged.metrics[0].dataset_name,
    "pages": logged.tags["mlflow.modelVersions"],
    "params": logged.params,
    "config": {name: str(value) for name, value in trials[1].config.items()},
    "status": parent.info.status,
    "parent": parent.data.tags["hpsearch.champion"],
    "test_accuracy": [(m.step, m.value) for m in client.get_metric_history(version.run_id, "test_accuracy")],
}))
"""


def test_champion_is_logged_once_loads_by_alias_and_predicts_the_same(folder: Path) -> None:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(folder / "keras"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    (folder / "keras").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["uris"] == ["models:/digits/1", "models:/digits/1", "models:/digits/2", "models:/digits/1"]
    assert found["quoted"] == ["models:/it's _mine_/1"] * 2
    assert found["loaded"]
    assert found["served"]
    assert found["example"]
    assert "float32" in found["signature"]
    assert "(-1, 8, 8)" in found["signature"]
    assert [line.split("==")[0] for line in found["requirements"]] == ["mlflow", "keras", "jax", "numpy"]
    assert all("==" in line for line in found["requirements"])
    assert sorted(found["model_metrics"]) == [
        ["refit_t001/accuracy", found["refit"]["accuracy"]],
        ["refit_t001/loss", found["refit"]["loss"]],
        ["test_accuracy", 0.9777777777777777],
        ["test_loss", 0.1234567890123],
    ]
    assert found["dataset"] == "sklearn:digits"
    assert json.loads(found["pages"]) == [{"name": "digits", "version": "1"}]
    assert found["params"] == found["config"]
    assert found["status"] == "FINISHED"
    assert found["parent"] == "models:/digits/1"
    assert found["test_accuracy"] == [[1, 0.9777777777777777], [2, 0.9777777777777777]]
    assert "WARNING mlflow" not in done.stderr
    assert "Traceback" not in done.stderr
