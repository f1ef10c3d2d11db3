"""Metrics and losses that are not means over rows: what counts is their value over all validation rows at once."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from hpsearch.core.events import Lane
from hpsearch.data.dataset import Part
from hpsearch.keras_internals.compiled import loss_over_batches, metrics_over_batches
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused import data
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.loop import order_of, train_epochs

from .conftest import make_problem, results

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3)).astype("float32")
Y = (X[:, 0] + RNG.normal(size=100) > 0.5).astype("int32")


def f1(y, p):
    p = ops.cast(ops.reshape(p, (-1,)) > 0.5, "float32")
    y = ops.cast(ops.reshape(y, (-1,)), "float32")
    return 2 * ops.sum(y * p) / (ops.sum(y) + ops.sum(p) + 1e-7)


def spread(y, p):
    """A loss in which the rows of a batch act on each other."""
    p, y = ops.reshape(p, (-1,)), ops.cast(ops.reshape(y, (-1,)), "float32")
    pairs = ops.square(ops.expand_dims(p, 0) - ops.expand_dims(p, 1))
    return ops.mean(pairs) + ops.mean(ops.square(p - y))


class Averaged(keras.metrics.Mean):
    """A metric of the user's own that averages over batches."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(f1(y_true, y_pred))


def compiled(loss, *metrics):
    dense = keras.layers.Dense(4, activation="relu", kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=list(metrics))
    return model


def evaluated(model, *, rows):
    return model.evaluate(X, Y, batch_size=rows, verbose=0, return_dict=True)


@pytest.mark.parametrize("batch", [7, 50])
def test_validation_values_are_those_over_all_rows_whatever_the_batch_size(batch):
    keras.utils.set_random_seed(1)
    model = compiled(
        spread, f1, Averaged(name="averaged"), keras.losses.dice, "accuracy", keras.metrics.AUC(name="auc")
    )
    part = Part(X, Y)
    *_, last = train_epochs(
        model, part, validation=part, config={"batch_size": batch}, epochs=3, order=order_of(1, 0, 0)
    )
    whole, halves = evaluated(model, rows=100), evaluated(model, rows=batch)
    for name, value in whole.items():
        assert last[f"val_{name}"] == pytest.approx(value, abs=1e-5), name
    assert abs(whole["f1"] - halves["f1"]) > 1e-3
    assert abs(whole["loss"] - halves["loss"]) > 1e-5


def test_what_keras_vouches_for_does_not_depend_on_the_batch_size():
    """Every metric and every loss of Keras that is taken as it is logged, by numbers."""
    found = set()
    for name, one in inspect.getmembers(keras.losses):
        if inspect.isfunction(one) and name == name.lower() and name not in ("get", "serialize", "deserialize"):
            values = _values(one)
            if values is not None:
                found.add(name)
                model = compiled(one)
                assert loss_over_batches(model) or values[0] == pytest.approx(values[1], rel=1e-4), name
    assert {"mean_squared_error", "binary_crossentropy", "dice", "tversky"} <= found
    assert all(loss_over_batches(compiled(one)) for one in ("dice", "tversky", keras.losses.Circle(), spread))
    assert loss_over_batches(compiled(keras.losses.MeanSquaredError(reduction="sum")))
    assert not loss_over_batches(compiled("binary_crossentropy"))
    model = compiled("mse", f1, keras.losses.MeanSquaredError(), Averaged(), "mae", keras.metrics.AUC(), "accuracy")
    evaluated(model, rows=100)
    assert [one.name for one in metrics_over_batches(model)] == ["f1", "mean_squared_error", "mean"]


def _values(function):
    """The mean over rows in one batch, and in batches of 30; None if these targets are not for it."""
    y, p = (RNG.uniform(0.1, 0.9, size=(100, 3)).astype("float32") for _ in range(2))

    def mean(rows):
        parts = [slice(start, start + rows) for start in range(0, 100, rows)]
        return sum(float(ops.mean(function(y[at], p[at]))) * len(y[at]) for at in parts) / 100

    try:
        return mean(100), mean(30)
    except (ValueError, TypeError, IndexError):
        return None


def build_with_f1(config, train):
    inputs = keras.Input(train.input_shape)
    x = keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))

    def macro(y, p):
        hit = ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), 10)
        said = ops.one_hot(ops.argmax(p, axis=-1), 10)
        both = ops.sum(hit * said, axis=0)
        return ops.mean(2 * both / (ops.sum(hit, axis=0) + ops.sum(said, axis=0) + 1e-7))

    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(config["learning_rate"]), loss, metrics=[macro, "accuracy"])
    return model


@pytest.mark.slow
def test_both_engines_agree_whatever_the_fused_engines_validation_batch(monkeypatch):
    space = "batch_size = [32, 50]\nepochs = 2\nlearning_rate = { low = 0.001, high = 0.1 }\n"
    problem = make_problem('build = "tests:build"', space, build_with_f1)
    lanes = [
        Lane(t, fold, {"batch_size": b, "epochs": 2, "learning_rate": 0.01})
        for t, b in ((0, 32), (1, 50))
        for fold in (0, 2)
    ]
    wanted = results(FitEngine(problem), lanes)
    for rows in (256, 20):
        monkeypatch.setattr(data, "VALIDATION_BATCH", rows)
        engine = FusedEngine(problem)
        assert engine.plan().engine == "fused"
        found = results(engine, lanes)
        for lane, result in wanted.items():
            for name, curve in result.curves.items():
                assert found[lane].curves[name] == pytest.approx(curve, abs=1e-4), (rows, lane, name)
