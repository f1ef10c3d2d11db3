"""Preprocessing inside the model: right numbers, nothing learnt from validation rows, the same on both backends."""

import os
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from hpsearch.core.facts import Column, Task
from hpsearch.data.dataset import Part, TrainingData
from hpsearch.errors import ModelError
from hpsearch.models.inputs import encode, encode_array, moments, word_layer
from hpsearch.portable.cells import category_code
from hpsearch.spec import make_space
from hpsearch.spec.families import FAMILIES
from tests.models.conftest import SGD, builder_of, make_problem

pytestmark = pytest.mark.slow


def outputs(data: TrainingData, x) -> np.ndarray:
    inputs, encoded = encode(data)
    return np.asarray(keras.Model(inputs, encoded)(x))


def test_table_is_standardised_filled_and_one_hot():
    x = {
        "a": np.array([1, np.nan, 3], np.float32),
        "same": np.array([5, 5, 5], np.float32),
        "c": np.array([category_code(text) for text in ("p", "q", "p")], np.int32),
    }
    columns = (Column("a", "number"), Column("same", "number"), Column("c", "category"))
    data = TrainingData(x, np.zeros(3, np.float32), task=Task.REGRESSION, columns=columns)
    # Mean 2 and standard deviation 1 of the two known values; the constant column is centred only.
    known = {code: slot for slot, code in enumerate(sorted({category_code("p"), category_code("q")}))}
    hot = np.eye(4)[[known[category_code(text)] for text in ("p", "q", "p")]]
    assert outputs(data, x) == pytest.approx(np.column_stack([[-1, 0, 1], [0, 0, 0], hot]))
    unseen = {"a": np.array([np.nan], "f"), "same": np.array([7], "f"), "c": np.array([category_code("z")], np.int32)}
    assert outputs(data, unseen).tolist() == [[0, 2, 0, 0, 0, 0]]


def test_pixels_are_scaled_and_arrays_standardised():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 17, (5, 2, 2), np.uint8)
    model = keras.Model(*encode_array(pixels, 16.0))
    assert np.asarray(model(pixels)) == pytest.approx(pixels / 16)
    rows = random.normal(100, 7, (50, 3)).astype(np.float32)
    encoded = np.asarray(keras.Model(*encode_array(rows))(rows))
    assert encoded.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert encoded.std(axis=0) == pytest.approx(1, abs=1e-4)
    assert moments(np.full((4, 1), 0.1), axis=0)[1] == 1


def test_word_layer_is_a_dense_layer_on_multi_hot_rows(word_data):
    model = keras.Model(*word_layer(word_data, 3))
    kernel = np.random.default_rng(1).normal(size=(51, 3)).astype(np.float32)
    model.set_weights([kernel])
    multi_hot = np.zeros((60, 50), np.float32)
    for row, words in zip(multi_hot, word_data.x, strict=True):
        row[words[words > 0]] = 1
    assert np.asarray(model(word_data.x)) == pytest.approx(multi_hot @ kernel[:50] + kernel[50], abs=1e-4)


def test_mnist_small_has_the_documented_number_of_weights():
    data = TrainingData(
        np.zeros((2, 28, 28), np.uint8), np.array([0, 1], np.int32), task=Task.MULTICLASS, classes=tuple("0123456789")
    )
    config = {"layers": 2, "units": 20, **SGD}
    assert builder_of("mlp").build(config, data, seed=1).count_params() == 16_330


def planted(part: Part, rows: np.ndarray) -> Part:
    """The part with absurd values in these rows: numbers, an unheard-of category, targets."""
    x = {name: column.copy() for name, column in part.x.items()}
    for column in x.values():
        column[rows] = 12_345_678
    y = part.y.copy()
    y[rows] = 1e6
    return replace(part, x=x, y=y)


def test_validation_rows_change_no_training_number(cars):
    """Plants values in a fold's validation rows: adapted state, initial weights and training curves stay."""

    def trained(problem):
        train, validation = problem.fold_parts(0)
        model = problem.build({"layers": 1, "units": 4, **SGD}, train, seed=3)
        start = [weight.numpy() for weight in model.weights]
        history = model.fit(train.x, train.y, validation_data=(validation.x, validation.y), epochs=2, verbose=0)
        return start, history.history

    dataset = cars.dataset.with_test(planted(cars.dataset.train, cars.folds[0].validation), None)
    start, curves = trained(cars)
    start_planted, curves_planted = trained(replace(cars, dataset=dataset))
    assert len(start) == len(start_planted)
    for before, after in zip(start, start_planted, strict=True):
        np.testing.assert_array_equal(before, after)
    for name, curve in curves.items():
        assert (curve == curves_planted[name]) is not name.startswith("val_")


RELOAD = """
import sys
import keras, numpy as np
for name in sys.argv[1:]:
    rows = dict(np.load(f"{name}.npz"))
    expected = rows.pop("expected")
    model = keras.models.load_model(f"{name}.keras")
    found = model.predict(rows["rows"] if "rows" in rows else rows, verbose=0)
    assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max()), (name, found, expected)
assert not any(module.startswith("hpsearch") for module in sys.modules)
print("same on", keras.backend.backend())
"""


def export(folder, cars, word_data) -> list[str]:
    """Save trained models, raw rows (gaps and an unseen category among them) and their predictions."""
    digits = make_problem()
    cases = {
        "table": ("mlp", cars.training_data(cars.dataset.train)),
        "words": ("mlp", word_data),
        "images": ("cnn", digits.training_data(digits.dataset.train)),
    }
    for name, (family, data) in cases.items():
        config = {"units": 8, "filters": 4, "dropout": 0.2, "batch_norm": True, "dense_units": 8, **SGD}
        model = builder_of(family).build(config, data, seed=1)
        model.fit(data.x, data.y, verbose=0)
        x = data.x[:20] if not isinstance(data.x, dict) else {name: column.copy() for name, column in data.x.items()}
        if isinstance(x, dict):
            x["cylinders"][0], x["origin"][1] = np.nan, 99
        model.save(folder / f"{name}.keras")
        rows = x if isinstance(x, dict) else {"rows": x}
        np.savez(folder / f"{name}.npz", expected=model.predict(x, verbose=0), **rows)
    return list(cases)


def test_exported_models_predict_the_same_in_a_fresh_process(tmp_path, cars, word_data):
    names = export(tmp_path, cars, word_data)
    started = {}
    for backend in ("jax", "tensorflow"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", RELOAD, *names]
        pipe = subprocess.PIPE
        started[backend] = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)
    for backend, process in started.items():
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
        assert out.strip().endswith(f"same on {backend}")


def test_families_and_rows_that_do_not_match(word_data):
    digits = make_problem(data={"source": "sklearn:wine"}, model={"family": "cnn"})
    with pytest.raises(ModelError) as caught:
        digits.build({**SGD}, digits.dataset.train, seed=1)
    assert (caught.value.code, caught.value.values["shape"]) == ("model.not-images", (13,))
    with pytest.raises(ModelError) as caught:
        builder_of("cnn").build({**SGD}, word_data, seed=1)
    assert caught.value.code == "model.no-word-layer"
    with pytest.raises(ModelError) as caught:
        builder_of("mlp").build({"layers": 0, **SGD}, word_data, seed=1)
    assert (caught.value.code, caught.value.values["layers"]) == ("model.too-few-layers", 0)
    images = make_problem(model={"family": "cnn"})
    with pytest.raises(ModelError) as caught:
        images.build({"blocks": 4, **SGD}, images.dataset.train, seed=1)
    assert caught.value.code == "model.too-many-blocks"
    assert caught.value.values == {"blocks": 4, "shape": (8, 8), "most": 3}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_default_space_of_every_family_builds_and_learns(family):
    problem = make_problem(model={"family": family})
    config = next(make_space(problem.spec).grid(2))
    part = problem.dataset.train
    model = problem.build({**config, "epochs": 1}, part, seed=1)
    losses = model.fit(part.x, part.y, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
