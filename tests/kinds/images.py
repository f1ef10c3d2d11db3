"""Pictures: classified, cut up, given back, and beside numbers."""

import keras
import numpy as np
from keras import layers, ops

ROWS = 40


def _pixels(rows=ROWS, size=12):
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    x = rng.integers(0, 90, (rows, size, size, 1))
    x[np.arange(rows), y * 4] += 150
    return x.astype("uint8"), y


def pictures():
    """A bright line in one of three places."""
    return _pixels()


def bodies():
    """Pictures, and where they are bright."""
    x, _ = _pixels()
    return x, (x[..., 0] > 120).astype("int32")


def cards():
    """A picture beside numbers and a category, by name."""
    x, y = _pixels()
    rng = np.random.default_rng(1)
    return {"picture": x, "age": rng.normal(size=ROWS), "colour": rng.choice(["red", "blue"], ROWS)}, y


def tasks():
    """Pictures with two targets."""
    x, y = _pixels()
    return x, {"line": y, "light": x.mean(axis=(1, 2, 3)) / 255}


def only_pictures():
    """Pictures without targets."""
    return _pixels()[0]


def _input():
    inputs = keras.Input((12, 12, 1), dtype="uint8")
    return inputs, layers.Rescaling(1 / 255)(inputs)


def _classifier(inputs, x):
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convnet(config, data):
    inputs, x = _input()
    x = layers.MaxPooling2D()(layers.Conv2D(config["units"], 3, activation="relu")(x))
    return _classifier(inputs, layers.Dropout(0.5)(layers.Flatten()(x)))


def augmented(config, data):
    inputs, x = _input()
    x = layers.RandomTranslation(0.1, 0.1)(layers.RandomFlip("horizontal")(x))
    return _classifier(inputs, layers.Flatten()(layers.Conv2D(config["units"], 3, activation="relu")(x)))


def xception(config, data):
    inputs, x = _input()
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same")(x)))
    before = layers.Conv2D(config["units"], 1, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(layers.SeparableConv2D(config["units"], 3, padding="same")(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.Activation("relu")(x))
    return _classifier(inputs, layers.GlobalAveragePooling2D()(layers.add([x, before])))


@keras.saving.register_keras_serializable("kinds")
class Patches(layers.Layer):
    """Cuts a picture into patches."""

    def call(self, x):
        x = ops.reshape(x, (-1, 3, 4, 3, 4))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, 9, 16))


@keras.saving.register_keras_serializable("kinds")
class Positions(layers.Layer):
    """Adds what is learned about each place."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.places = layers.Embedding(9, 8)

    def call(self, x):
        return x + self.places(ops.arange(9))


def mixer(config, data):
    inputs, x = _input()
    x = layers.Dense(config["units"])(Patches()(x))
    mixed = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    x = x + layers.Permute((2, 1))(layers.Dense(9)(layers.Dense(6, "gelu")(mixed)))
    x = x + layers.Dense(config["units"])(layers.LayerNormalization()(x))
    return _classifier(inputs, layers.GlobalAveragePooling1D()(x))


def vision_transformer(config, data):
    inputs, x = _input()
    x = Positions()(layers.Dense(8)(Patches()(x)))
    normal = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4)(normal, normal)
    return _classifier(inputs, layers.Dense(config["units"], "gelu")(layers.Flatten()(x)))


def unet(config, data):
    inputs, x = _input()
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    deep = layers.Conv2D(config["units"], 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    x = layers.concatenate([first, layers.Conv2DTranspose(4, 2, strides=2)(deep)])
    model = keras.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def autoencoder(config, data):
    inputs, x = _input()
    x = layers.MaxPooling2D(2, padding="same")(layers.Conv2D(config["units"], 3, padding="same", activation="relu")(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["mae"])
    return model


def two_inputs(config, data):
    picture = keras.Input((12, 12, 1), dtype="uint8", name="picture")
    age = keras.Input((1,), name="age")
    colour = keras.Input((1,), dtype="int32", name="colour")
    met = ops.cast(ops.equal(colour, np.unique(data.x["colour"])), "float32")
    seen = layers.Flatten()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(picture)))
    x = layers.Dense(config["units"], "relu")(layers.concatenate([seen, age, met]))
    return _classifier({"picture": picture, "age": age, "colour": colour}, x)


def two_outputs(config, data):
    inputs, x = _input()
    x = layers.Dense(config["units"], "relu")(layers.Flatten()(x))
    outputs = {"line": layers.Dense(3, "softmax")(x), "light": layers.Dense(1)(x)}
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        {"line": "sparse_categorical_crossentropy", "light": "mse"},
        loss_weights={"line": 1.0, "light": 5.0},
        metrics={"line": ["accuracy"], "light": ["mae"]},
    )
    return model


BASE = keras.Sequential(
    [keras.Input((12, 12, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()], name="base"
)
BASE.trainable = False


def frozen_base(config, data):
    """A base that others have trained, and a new head."""
    inputs, x = _input()
    return _classifier(inputs, layers.Dense(config["units"], "relu")(BASE(x, training=False)))
