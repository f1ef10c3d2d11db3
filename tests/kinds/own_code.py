"""Layers, losses, metrics and training steps of one's own."""

import keras
import numpy as np
from keras import layers, ops

ROWS = 60


def points():
    """Numbers and an amount."""
    x = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
    return x, (x[:, 0] - x[:, 1] ** 2).astype("float32")


def pairs():
    """Two rows each, in order, and whether they are of one kind."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, ROWS, 5)).astype("float32")
    return (a, b), (a[:, 0] * b[:, 0] > 0).astype("float32")


def alone():
    """Numbers without targets."""
    return points()[0]


@keras.saving.register_keras_serializable("kinds")
class Linear(layers.Layer):
    """Keras' first layer of one's own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        return x @ self.w + self.b

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("kinds")
def quantile(y, predicted):
    off = ops.reshape(y, (-1, 1)) - predicted
    return ops.mean(ops.maximum(0.9 * off, -0.1 * off), axis=-1)


@keras.saving.register_keras_serializable("kinds")
class Over(keras.metrics.Metric):
    """The share of rows that are predicted too high."""

    def __init__(self, name="over", **kwargs):
        super().__init__(name=name, **kwargs)
        self.high = self.add_weight(name="high", initializer="zeros")
        self.rows = self.add_weight(name="rows", initializer="zeros")

    def update_state(self, y, predicted, sample_weight=None):
        over = ops.cast(ops.reshape(predicted, (-1,)) > ops.reshape(y, (-1,)), "float32")
        weights = ops.ones_like(over) if sample_weight is None else ops.cast(sample_weight, "float32")
        self.high.assign_add(ops.sum(over * weights))
        self.rows.assign_add(ops.sum(weights))

    def result(self):
        return self.high / self.rows


def own_parts(config, data):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Linear(1)(layers.Activation("relu")(Linear(config["units"])(inputs))))
    model.compile("adam", quantile, metrics=[Over()])
    return model


def siamese(config, data):
    left, right = keras.Input((5,)), keras.Input((5,))
    tower = keras.Sequential([layers.Dense(config["units"], "tanh"), layers.Dense(3)])
    near = layers.Dot(1, normalize=True)([tower(left), tower(right)])
    model = keras.Model([left, right], layers.Dense(1, "sigmoid")(near))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@keras.saving.register_keras_serializable("kinds")
class Halved(keras.Model):
    """A train_step of one's own, as Keras' guide for JAX has it: the loss counts half."""

    def half_loss(self, trainable, non_trainable, x, y, training=False):
        predicted, non_trainable = self.stateless_call(trainable, non_trainable, x, training=training)
        return self.compute_loss(x, y, predicted) / 2, (predicted, non_trainable)

    def train_step(self, state, data):
        import jax

        trainable, non_trainable, optimizer, metrics = state
        x, y = data[:2]
        (loss, (_, non_trainable)), gradients = jax.value_and_grad(self.half_loss, has_aux=True)(
            trainable, non_trainable, x, y, training=True
        )
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"loss": loss}, (trainable, non_trainable, optimizer, metrics)


def own_train_step(config, data):
    inputs = keras.Input((4,))
    model = Halved(inputs, layers.Dense(1)(layers.Dense(config["units"], "relu")(inputs)))
    model.compile("adam", "mse", metrics=["mae"])
    return model


@keras.saving.register_keras_serializable("kinds")
class Distilled(keras.Model):
    """A compute_loss of one's own: near the targets, and near what a teacher says."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        teacher = ops.sum(x, axis=1, keepdims=True)
        return ops.mean((ops.reshape(y, (-1, 1)) - y_pred) ** 2) + 0.1 * ops.mean((teacher - y_pred) ** 2)


def distilled(config, data):
    inputs = keras.Input((4,))
    model = Distilled(inputs, layers.Dense(1)(layers.Dense(config["units"], "relu")(inputs)))
    model.compile("adam")
    return model


@keras.saving.register_keras_serializable("kinds")
class Sampling(layers.Layer):
    """Draws from what the encoder says, and adds the divergence to the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(7)

    def call(self, inputs):
        mean, log_variance = inputs
        self.add_loss(-0.5 * ops.mean(1 + log_variance - mean**2 - ops.exp(log_variance)))
        return mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean), seed=self.seeds)


def variational(config, data):
    inputs = keras.Input((4,))
    x = layers.Dense(config["units"], "relu")(inputs)
    z = Sampling()([layers.Dense(2)(x), layers.Dense(2)(x)])
    model = keras.Model(inputs, layers.Dense(4)(z))
    model.compile("adam", "mse")
    return model


@keras.saving.register_keras_serializable("kinds")
class Generative(keras.Model):
    """Two models against each other, with losses and a training step of their own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.generator = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(4)])
        self.critic = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(1)])
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x):
        return self.critic(self.generator(x[:, :2]))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        made = self.generator(keras.random.normal((ops.shape(x)[0], 2), seed=self.seeds))
        return ops.mean(ops.softplus(-self.critic(x))) + ops.mean(ops.softplus(self.critic(made)))

    def get_config(self):
        return {"units": self.units}


def generative(config, data):
    model = Generative(config["units"])
    model.compile("adam")
    return model
