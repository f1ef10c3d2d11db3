"""Rows of several inputs: pictures beside numbers and categories, by name and in order, in both engines."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hpsearch
from hpsearch.core.events import Lane
from hpsearch.data import load_dataset
from hpsearch.errors import DataError
from hpsearch.spec import parse_spec
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem
from tests.command_line import hpsearch as command
from tests.engines.conftest import results

MODULE = """
import keras
import numpy as np
import pandas as pd
from keras import layers

N = 90
rng = np.random.default_rng(0)
images = (rng.random((N, 6, 6)) * 255).astype("uint8")
words = rng.integers(0, 12, (N, 5))
age = rng.normal(40, 10, N)
city = np.array(["Ulm", "Bonn", "Kiel"])[rng.integers(0, 3, N)]
y = ((images.mean(axis=(1, 2)) > 127) ^ (age > 40)).astype(int)

def named(): return {"image": images, "words": words, "age": age, "city": city}, y
def ordered(): return (images, age), y
def listed(): return [images, age], y
def with_test():
    x = {"image": images, "age": age}
    return (x, y), ({name: one[:20] for name, one in x.items()}, y[:20])
def cells():
    frame = pd.DataFrame({"age": age, "y": y})
    return frame.assign(image=list(images))
def ragged(): return {"image": [[1, 2], [3]] * 45, "age": age}, y
def ragged_cells(): return pd.DataFrame({"a": [np.zeros(3)] * 89 + [np.zeros(2)], "y": y})
def gaps():
    broken = images.astype(float)
    broken[7, 0, 0] = np.nan
    return {"image": broken, "age": age}, y
def texts(): return {"image": np.full((N, 2), "a"), "age": age}, y
def uneven(): return {"image": images[:50], "age": age}, y
def none(): return (images, age[:50]), y

def head(image, others, units):
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    x = layers.Dense(units, "relu")(layers.Concatenate()([x, *others]))
    return layers.Dense(1, "sigmoid")(x)

def compiled(inputs, outputs):
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model

def build(config, data):
    image = keras.Input((6, 6), dtype="uint8", name="image")
    words = keras.Input((5,), dtype="int32", name="words")
    age = keras.Input((1,), name="age")
    city = keras.Input((1,), dtype="int32", name="city")
    scale = layers.Normalization(axis=None)
    scale.adapt(data.x["age"])
    found = keras.ops.cast(keras.ops.equal(city, np.unique(data.x["city"])), "float32")
    text = layers.GlobalAveragePooling1D()(layers.Embedding(12, 3)(words))
    inputs = {"image": image, "words": words, "age": age, "city": city}
    return compiled(inputs, head(image, [scale(age), found, text], config["units"]))

def in_order(config, data):
    pictures, numbers = data.x
    assert pictures.shape[1:] == (6, 6) and numbers.ndim == 1
    image, age = keras.Input((6, 6)), keras.Input((1,))
    scale = layers.Normalization(axis=None)
    scale.adapt(numbers)
    return compiled([image, age], head(image, [scale(age)], config["units"]))

class Two(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.units, self.inner, self.last = units, layers.Dense(units, "relu"), layers.Dense(1, "sigmoid")

    def call(self, inputs):
        image = keras.ops.reshape(keras.ops.cast(inputs["image"], "float32") / 255, (-1, 36))
        return self.last(self.inner(keras.ops.concatenate([image, inputs["age"][:, None] / 40], axis=1)))

    def get_config(self):
        return {"units": self.units}

def subclassed(config, data):
    model = Two(config["units"])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
"""

STUDY = """
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
[search]
trials = 2
[space]
units = [4, 8]
epochs = 2
batch_size = 16
[resources]
backend = "jax"
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    name = f"several_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


def text(source: str, build: str = "", *, name: str = "several", data: str = "") -> str:
    model = f'build = "{build}"' if build else 'family = "mlp"'
    return STUDY.format(name=name, source=source, model=model, data=data)


CASES = {
    "named": ("named", "build", ""),
    "in order": ("ordered", "in_order", ""),
    "as a list": ("listed", "in_order", ""),
    "subclassed": ("with_test", "subclassed", ""),
    "family": ("named", "", ""),
    "family, in order": ("ordered", "", ""),
    "cells that hold arrays": ("cells", "subclassed", 'target = "y"'),
}


@pytest.mark.parametrize(("source", "build", "data"), CASES.values(), ids=CASES)
def test_both_engines_train_the_same(module: str, tmp_path: Path, source: str, build: str, data: str) -> None:
    address = f"{module}:{build}" if build else ""
    problem = Problem.load(parse_spec(text(f"{module}:{source}", address, data=data), folder=tmp_path))
    lanes = [Lane(trial, fold, {"units": 4, "epochs": 2, "batch_size": 16}) for trial in (0, 1) for fold in (0, 1)]
    fused, fit = (results(engine(problem), lanes) for engine in (FusedEngine, FitEngine))
    for lane, wanted in fit.items():
        for name, curve in wanted.curves.items():
            np.testing.assert_allclose(fused[lane].curves[name], curve, rtol=1e-4, err_msg=name)


def test_an_input_keeps_its_shape_and_what_its_values_are(module: str, tmp_path: Path) -> None:
    dataset = load_dataset(parse_spec(text(f"{module}:named"), folder=tmp_path))
    kinds = {one.name: (one.kind, tuple(one.shape), one.dtype) for one in dataset.columns}
    assert kinds == {
        "image": ("array", (6, 6), "uint8"),
        "words": ("array", (5,), "int32"),
        "age": ("number", (), ""),
        "city": ("category", (), ""),
    }
    assert {name: array.dtype.name for name, array in dataset.train.x.items()} == {
        "image": "uint8", "words": "int32", "age": "float32", "city": "int32"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_files_hold_several_inputs(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    image, age, y = rng.random((40, 3, 2)), rng.normal(size=40), np.tile([0, 1], 20)
    if kind == "npz":
        np.savez(tmp_path / "rows.npz", image=image, age=age, y=y, image_test=image[:8], age_test=age[:8], y_test=y[:8])
    else:
        pd.DataFrame({"image": [one.tolist() for one in image], "age": age, "y": y}).to_parquet(
            tmp_path / "rows.parquet"
        )
    data = 'target = "y"' if kind == "parquet" else ""
    dataset = load_dataset(parse_spec(text(f"rows.{kind}", data=data), folder=tmp_path))
    assert dataset.train.x["image"].shape == (40, 3, 2)
    np.testing.assert_allclose(dataset.train.x["image"], image, rtol=1e-6)
    assert (dataset.test is not None) == (kind == "npz")


def test_a_study_of_several_inputs_predicts_raw_rows(module: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(text(f"{module}:named", f"{module}:build"))
    study = hpsearch.run(tmp_path / "study.toml", verbose=0)
    rng = np.random.default_rng(1)
    raw = {
        "image": rng.integers(0, 256, (3, 6, 6), dtype=np.uint8),
        "words": rng.integers(0, 12, (3, 5)),
        "age": np.array([20.0, 30.0, 40.0]),
        "city": np.array(["Ulm", "Kiel", "Bonn"]),
    }
    told = study.predict(raw)
    assert len(told) == 3
    np.savez(tmp_path / "new.npz", **raw)
    from_file = command("predict", "several", "new.npz", "--out", "told.csv", folder=tmp_path)
    assert from_file.returncode == 0, from_file.stderr
    np.testing.assert_allclose(pd.read_csv(tmp_path / "told.csv")["p(1)"], told["p(1)"], rtol=1e-4)

    import mlflow

    registered = mlflow.pyfunc.load_model(study.record.champion.mlflow_model)
    frame = pd.DataFrame({**raw, "image": [one.tolist() for one in raw["image"]], "words": [*raw["words"].tolist()]})
    np.testing.assert_allclose(registered.predict(frame)["p(1)"], told["p(1)"], rtol=1e-5)
    assert "image" in command("check", "study.toml", "--no-measure", folder=tmp_path).stdout


def test_arrays_in_memory_are_given_by_name_and_in_order(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    image, age = rng.random((60, 4, 4)).astype("float32"), rng.normal(size=60)
    y = image.mean(axis=(1, 2)) + age

    def model(config: Any, data: Any) -> Any:
        import keras

        image, age = keras.Input((4, 4), name="image"), keras.Input((1,), name="age")
        x = keras.layers.Concatenate()([keras.layers.Flatten()(image), age])
        inputs = {"image": image, "age": age} if isinstance(data.x, dict) else [image, age]
        return keras.Model(inputs, keras.layers.Dense(1)(x))

    small = {"space": {"epochs": 1}, "folds": 2, "trials": 1, "verbose": 0, "resources": {"executor": "inline"}}
    by_name = hpsearch.run(model, {"image": image, "age": age}, y, name="by-name", **small)
    in_order = hpsearch.run(model, (image, age), y, name="in-order", **small)
    assert by_name.best.score == pytest.approx(in_order.best.score, rel=1e-5)
    assert len(by_name.predict({"image": image[:3], "age": age[:3]})) == 3
    assert len(in_order.predict((image[:3], age[:3]))) == 3
    with pytest.raises(DataError, match="image"):
        by_name.predict({"age": age[:3]})
    with pytest.raises(DataError, match="needs arrays of numbers of shape"):
        by_name.predict({"image": image[:3, :2], "age": age[:3]})


@pytest.mark.parametrize(
    ("source", "data", "words"),
    [
        ("ragged", "", "x['image'] cannot be converted to an array"),
        (
            "ragged_cells",
            'target = "y"',
            "column 'a' needs arrays of numbers of shape (3,), but has an array of shape (2,)",
        ),
        ("gaps", "", "column 'image' needs finite numbers in float32, but row 7 has others (1 of 90 rows have)"),
        ("texts", "", "column 'image' has arrays of shape (2,) and dtype <U1, but an input needs an array of numbers"),
        ("uneven", "", "the columns of x have different lengths: 'image' 50, 'age' 90"),
        ("none", "", "the columns of x have different lengths: 'input_0' 90, 'input_1' 50"),
    ],
)
def test_bad_inputs_are_refused(module: str, tmp_path: Path, source: str, data: str, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)):
        load_dataset(parse_spec(text(f"{module}:{source}", data=data), folder=tmp_path))


def test_the_importance_of_a_whole_input_is_measured(module: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(text(f"{module}:with_test", f"{module}:subclassed", name="importance"))
    study = hpsearch.run(tmp_path / "study.toml", verbose=0)
    with np.load(Path(study.record.champion.path).with_name("inputs.npz"), allow_pickle=False) as file:
        assert file["importance_names"].tolist() == ["image", "age"]
