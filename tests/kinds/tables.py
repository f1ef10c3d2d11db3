"""Structured data: columns of numbers and categories."""

import keras
import numpy as np
import pandas as pd
from keras import layers, ops

from hpsearch.models.inputs import encode

ROWS = 72


def patients():
    """A table of three numbers and two categories, and whether a patient is ill."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 80, ROWS),
            "pressure": rng.normal(120, 15, ROWS),
            "dose": np.where(rng.random(ROWS) < 0.1, np.nan, rng.random(ROWS)),
            "sex": rng.choice(["f", "m"], ROWS),
            "pain": rng.choice(["none", "mild", "strong"], ROWS),
        }
    )
    ill = (frame["age"] + frame["pressure"] / 3 + 20 * (frame["pain"] == "strong")) > 95
    return frame.assign(ill=np.where(ill, "yes", "no"))


def rare():
    """Few rows of one class."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    return x, (x[:, 0] > 1.2).astype(int)


def ratings():
    """Who rates what how: two numbers of things, by name."""
    rng = np.random.default_rng(2)
    user, film = rng.integers(0, 12, (ROWS, 1)), rng.integers(0, 9, (ROWS, 1))
    return {"user": user, "film": film}, ((user[:, 0] % 3 + film[:, 0] % 4) / 5).astype("float32")


def _classifier(inputs, x):
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "auc"])
    return model


def structured(config, data):
    inputs, x = encode(data)
    return _classifier(inputs, layers.Dropout(0.3)(layers.Dense(config["units"], "relu")(x)))


def wide_and_deep(config, data):
    inputs, wide = encode(data)
    deep = layers.BatchNormalization()(layers.Dense(config["units"])(wide))
    return _classifier(inputs, layers.concatenate([wide, layers.ReLU()(deep)]))


def deep_and_cross(config, data):
    inputs, x0 = encode(data)
    cross = x0
    for _ in range(2):
        cross = x0 * layers.Dense(x0.shape[-1])(cross) + cross
    return _classifier(inputs, layers.concatenate([cross, layers.Dense(config["units"], "relu")(x0)]))


def attention(config, data):
    """A transformer over the columns, each of them an embedding."""
    inputs, columns = {}, []
    for column in data.columns:
        values = data.x[column.name]
        if column.kind == "number":
            inputs[column.name] = keras.Input((1,), name=column.name)
            scale = layers.Normalization()
            scale.adapt(values[~np.isnan(values), None])
            columns.append(layers.Dense(8)(ops.nan_to_num(scale(inputs[column.name]))))
        else:
            inputs[column.name] = keras.Input((1,), dtype="int32", name=column.name)
            met = ops.cast(ops.equal(inputs[column.name], np.unique(values)), "float32")
            columns.append(layers.Dense(8, use_bias=False)(met))
    x = ops.stack(columns, axis=1)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return _classifier(inputs, layers.Flatten()(x + layers.Dense(8, "gelu")(x)))


def gated(config, data):
    """A gated residual network."""
    inputs, x = encode(data)
    hidden = layers.Dense(config["units"], "elu")(x)
    gate = layers.Dense(x.shape[-1], "sigmoid")(hidden) * layers.Dense(x.shape[-1])(hidden)
    return _classifier(inputs, layers.LayerNormalization()(x + gate))


def imbalanced(config, data):
    x = keras.Input((4,))
    return _classifier(x, layers.Dense(config["units"], "relu")(x))


def factors(config, data):
    """Collaborative filtering: the dot product of two embeddings."""
    inputs = {name: keras.Input((1,), dtype="int32", name=name) for name in ("user", "film")}
    found = [
        layers.Flatten()(layers.Embedding(size, 4, embeddings_regularizer="l2")(inputs[name]))
        for name, size in (("user", 12), ("film", 9))
    ]
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(layers.Dot(1)(found)))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def tuned(hp):
    """KerasTuner's way to write a model."""
    model = keras.Sequential([layers.Dense(hp.Int("width", 4, 8, step=4), "relu"), layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(hp.Choice("rate", [1e-3, 1e-2])), "binary_crossentropy", metrics=["accuracy"])
    return model
