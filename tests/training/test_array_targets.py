"""Targets that are arrays: images, maps of classes, sequences."""

from pathlib import Path

import numpy as np
import pytest

import hpsearch
from hpsearch.champion.export import export
from tests.raising import raises

MODULE = """
import keras
import numpy as np
from keras import layers

def load(flat=False, classes=True):
    x = np.random.default_rng(0).random((40, 4, 4, 1)).astype("float32")
    y = np.digitize(x[..., 0], [0.3, 0.7]) if classes else x
    return x, y.reshape(40, 16) if flat else y

def classes(config, data):
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(3, 1, activation="softmax")(inputs)
    x = layers.Reshape((16, 3))(x) if data.y.ndim == 2 else x
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def image(config, data):
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(inputs))
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return model

def masked(config, data):
    inputs = keras.Input((4, 4, 1))
    numbers = keras.ops.cast(layers.Reshape((16,))(inputs) * 5, "int32")
    steps = layers.LSTM(3, return_sequences=True)(layers.Embedding(5, 3, mask_zero=True)(numbers))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(steps))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model

def one_number(config, data):
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs)))
    model.compile("adam", "mse")
    return model
"""

STUDY = """
name = "{name}"
[data]
source = "array_targets:load"
options = {{ {options} }}
[validation]
folds = 2
[model]
build = "array_targets:{build}"
[space]
epochs = 4
[objective]
metric = "val_loss"
direction = "minimize"
[search]
trials = 1
[resources]
executor = "inline"
backend = "jax"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "array_targets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def _run(build: str, options: str = "") -> hpsearch.Study:
        name = f"{build}-{len(list(tmp_path.glob('*.toml')))}"
        (tmp_path / f"{name}.toml").write_text(STUDY.format(name=name, build=build, options=options))
        return hpsearch.run(tmp_path / f"{name}.toml")

    return _run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "options", "shape"),
    [
        ("image", "classes = false", (4, 4, 1)),
        ("classes", "", (4, 4, 3)),
        ("classes", "flat = true", (16, 3)),
    ],
)
def test_models_learn_arrays(run, tmp_path: Path, build: str, options: str, shape: tuple[int, ...]) -> None:
    study = run(build, options)
    (trial,) = study.trials
    curve = trial.folds[0].curves["val_loss"]
    assert curve[-1] < curve[0]
    assert study.champion is not None
    with np.load(study.folder / "predictions.npz") as arrays:
        assert arrays["y_pred"].shape == (8, *shape)
    written = {one.file for one in export(study.record, study.folder, tmp_path / "out")}
    assert {"predictions.csv", "report.html"} <= written
    header = (tmp_path / "out" / "predictions.csv").read_text().splitlines()[0].split(",")
    assert (header[1], header[-1]) == ("y_true_0", f"y_pred_{np.prod(shape) - 1}")


def test_outputs_of_another_shape_are_no_broadcast(run) -> None:
    with raises("model.wrong-outputs", outputs=(1,), needed=(4, 4, 1)):
        run("one_number", "classes = false")
