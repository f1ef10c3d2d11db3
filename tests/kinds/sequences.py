"""Time series and words in their order."""

import keras
import numpy as np
from keras import layers, ops

ROWS = 48


def signals():
    """Waves of two shapes."""
    rng = np.random.default_rng(0)
    y = np.arange(ROWS) % 2
    t = np.linspace(0, 6, 24)
    x = np.sin(t[None] * (1 + y[:, None]) + rng.normal(size=(ROWS, 1))) + rng.normal(0, 0.1, (ROWS, 24))
    return x[..., None].astype("float32"), y


def future():
    """Windows of a series, and the three values that follow."""
    series = np.sin(np.arange(ROWS + 15) / 4) + np.random.default_rng(1).normal(0, 0.05, ROWS + 15)
    windows = np.lib.stride_tricks.sliding_window_view(series, 15)[:ROWS].astype("float32")
    return windows[:, :12, None], windows[:, 12:]


def words():
    """Numbers of words, of which one decides; 0 fills up."""
    rng = np.random.default_rng(2)
    x = rng.integers(1, 20, (ROWS, 10))
    x[:, 7:] *= rng.integers(0, 2, (ROWS, 3))
    return {"words": x}, (x[:, :3] < 7).any(axis=1).astype(int)


def topics():
    """The same words with three labels each."""
    x = words()[0]
    numbers = x["words"]
    return x, np.stack([(numbers == one).any(axis=1) for one in (3, 5, 8)], axis=1).astype(int)


def _classifier(inputs, x, units=1, loss="binary_crossentropy"):
    model = keras.Model(inputs, layers.Dense(units, "sigmoid")(x))
    model.compile("adam", loss, metrics=["binary_accuracy"])
    return model


def convolutions(config, data):
    inputs = keras.Input((24, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(config["units"], 3, padding="same")(inputs)))
    return _classifier(inputs, layers.GlobalAveragePooling1D()(x))


def transformer(config, data):
    inputs = keras.Input((24, 1))
    x = inputs + layers.MultiHeadAttention(2, 4, dropout=0.1)(inputs, inputs)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.Conv1D(1, 1)(layers.Conv1D(4, 1, activation="relu")(x))
    return _classifier(inputs, layers.Dense(config["units"], "relu")(layers.Flatten()(x)))


def forecast(config, data):
    inputs = keras.Input((12, 1))
    x = layers.GRU(config["units"])(layers.Normalization(axis=None)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile("adam", "huber", metrics=["mae"])
    return model


def _words():
    return {"words": keras.Input((10,), dtype="int32", name="words")}


def lstm(config, data):
    inputs = _words()
    x = layers.Embedding(20, 4, mask_zero=True)(inputs["words"])
    return _classifier(inputs, layers.LSTM(config["units"])(x))


def both_ways(config, data):
    inputs = _words()
    x = layers.Embedding(20, 4)(inputs["words"])
    x = layers.Bidirectional(layers.LSTM(config["units"], return_sequences=True))(x)
    return _classifier(inputs, layers.Bidirectional(layers.LSTM(4))(x))


@keras.saving.register_keras_serializable("kinds")
class TokensAndPositions(layers.Layer):
    """Keras' example of text classification with a transformer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens = layers.Embedding(20, 4)
        self.positions = layers.Embedding(10, 4)

    def call(self, x):
        return self.tokens(x) + self.positions(ops.arange(10))


def text_transformer(config, data):
    inputs = _words()
    x = TokensAndPositions()(inputs["words"])
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return _classifier(inputs, layers.Dense(config["units"], "relu")(layers.GlobalAveragePooling1D()(x)))


def text_convolutions(config, data):
    inputs = _words()
    x = layers.Conv1D(config["units"], 3, activation="relu")(layers.Embedding(20, 4)(inputs["words"]))
    return _classifier(inputs, layers.Dropout(0.5)(layers.GlobalMaxPooling1D()(x)))


def labels(config, data):
    inputs = _words()
    x = layers.GlobalAveragePooling1D()(layers.Embedding(20, 8)(inputs["words"]))
    return _classifier(inputs, x, units=3)
