"""Standardized targets from a file to a champion: scores, predictions and the saved models are in the targets' unit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpsearch as package
from tests.command_line import ok

pytestmark = pytest.mark.slow

SHORT = """
[search]
trials = 3
[space]
optimizer = ["sgd"]
learning_rate = 0.02
momentum = { low = 0.0, high = 0.5 }
units = 16
epochs = 15
batch_size = 32
"""

WITHOUT_HPSEARCH = """
import sys
import keras, numpy as np, pandas as pd
model = keras.saving.load_model(sys.argv[1])
assert not any(name.startswith("hpsearch") for name in sys.modules)
rows = pd.read_csv("homes.csv").drop(columns="price")
said = model.predict({name: np.asarray(rows[name], "float32")[:, None] for name in rows}, verbose=0)
print(model.loss, float(abs(said[:, 0] - pd.read_csv("homes.csv")["price"]).mean()))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homes")
    rng = np.random.default_rng(0)
    area, rooms = rng.uniform(30, 200, 200).round(1), rng.integers(1, 7, 200).astype(float)
    price = (1500 * area + 12000 * rooms + rng.normal(0, 20000, 200)).round(0)
    pd.DataFrame({"area": area, "rooms": rooms, "price": price}).to_csv(folder / "homes.csv", index=False)
    ok("init", "--data", "homes.csv", "--target", "price", folder=folder)
    text = (folder / "homes.toml").read_text()
    assert "standardize_targets = true" in text
    head, _, rest = text.partition("[space]")
    _, _, tail = rest.partition("[objective]")
    kept = tail.partition("[search]")
    (folder / "homes.toml").write_text(f"{head}[objective]{kept[0]}{SHORT}")
    return folder


@pytest.mark.parametrize("kind", ["refit", "folds"])
def test_scores_predictions_and_saved_models_are_in_the_targets_unit(kind: str, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    import mlflow

    text = (folder / "homes.toml").read_text().replace('"homes"', f'"{kind}"')
    (folder / f"{kind}.toml").write_text(f'{text}\n[champion]\nkind = "{kind}"\n')
    ok("run", f"{kind}.toml", folder=folder)
    study = package.load(kind)
    assert 15_000 < study.best.score < 30_000
    assert 60_000 < study.record.facts.baseline.value < 120_000
    assert 0 < study.best.folds[0].curves["val_loss"][-1] < 0.5, "the loss is of standardized targets"
    champion = study.champion
    assert 12_000 < champion.test["mae"] < 35_000
    assert 0 < champion.test["loss"] < 0.5
    kept = np.load(study.folder / "predictions.npz")
    assert np.abs(kept["y_true"] - kept["y_pred"]).mean() == pytest.approx(champion.test["mae"], rel=1e-5)
    rows = pd.read_csv("homes.csv")
    said = study.predict(rows)
    errors = np.abs(np.asarray(said["prediction"]) - rows["price"])
    assert errors.mean() < 30_000
    served = mlflow.pyfunc.load_model(champion.mlflow_model)
    assert np.asarray(served.predict(rows.drop(columns="price"))).ravel() == pytest.approx(
        np.asarray(said["prediction"]), rel=1e-5
    )
    plain = subprocess.run(
        [sys.executable, "-c", WITHOUT_HPSEARCH, champion.path],
        cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert plain.returncode == 0, plain.stderr
    *_, loss, error = plain.stdout.split()
    assert loss == "mean_squared_error"
    assert float(error) == pytest.approx(errors.mean(), rel=1e-4)
    if kind == "refit":
        written = ok("export", kind, "--to", "out", folder=folder)
        for runtime in ("ONNX runtimes; onnxruntime", "LiteRT, on phones and small devices; its interpreter"):
            assert f"the champion for {runtime} computes the same as Keras" in " ".join(written.split())
