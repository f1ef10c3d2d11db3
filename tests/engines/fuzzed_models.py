"""Random small Keras models for :mod:`tests.engines.fuzzing`. A case is plain data; a seed always gives the same."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops, regularizers

from hpsearch.core.facts import Task
from hpsearch.data.dataset import TrainingData

SHAPES = {"vector": (5,), "image": (6, 6, 1), "colours": (5, 5, 3), "series": (6, 3), "single": (6, 1), "words": (6,)}
WORDS = 11


@dataclass(frozen=True)
class Case:
    """One random model, its data and how it is trained. ``Part`` stands for ``(name, number)``; numbers decide details.

    Attributes:
        shape: One of :data:`SHAPES`.
        task: ``"classes"``, ``"binary"`` or ``"regression"``.
        style: ``"functional"``, ``"nested"`` (a model in a model) or ``"subclassed"``.
        blocks: Hidden parts, from :data:`BLOCKS`.
        odd: What depends on the fold's rows, on draws or on a dynamic hyperparameter, from :data:`ODD`.
        optimizer: From :data:`OPTIMIZERS`.
        options: Of the optimizer, from :data:`OPTIONS`.
        rate: Where the learning rate comes from, from :data:`RATES`.
        loss: Number that picks a loss of the task.
        metrics: Numbers that pick metrics of the task.
        rows: Development rows.
        batch_size: Of every lane.
        epochs: Of every lane.
        seed: Of data and study.
    """

    shape: str
    task: str
    style: str
    blocks: tuple[tuple[str, int], ...]
    odd: tuple[tuple[str, int], ...]
    optimizer: tuple[str, int]
    options: tuple[tuple[str, int], ...]
    rate: str
    loss: int
    metrics: tuple[int, ...]
    rows: int
    batch_size: int
    epochs: int
    seed: int


def random_case(seed: int) -> Case:
    """The case of a seed."""
    r = random.Random(seed)
    shape = r.choice(list(SHAPES))
    task = r.choice(["classes", "binary", "regression"])
    fitting = [name for name, (shapes, _) in BLOCKS.items() if shapes is None or shape in shapes]
    return Case(
        shape=shape,
        task=task,
        style=r.choice(["functional", "functional", "nested", "subclassed"]),
        blocks=tuple((_block(r, fitting), r.randrange(1000)) for _ in range(r.randint(1, 3))),
        odd=tuple((r.choice(list(ODD)), r.randrange(1000)) for _ in range(r.choice([0, 1, 1, 2]))),
        optimizer=(r.choice(list(OPTIMIZERS)), r.randrange(1000)),
        options=tuple((r.choice(list(OPTIONS)), r.randrange(1000)) for _ in range(r.choice([0, 0, 1, 2]))),
        rate=r.choice(list(RATES)),
        loss=r.randrange(100),
        metrics=tuple(r.sample(range(100), r.choice([0, 1, 2]))),
        rows=r.randint(36, 60),
        batch_size=r.choice([7, 16, 20, 64]),
        epochs=r.choice([1, 2]),
        seed=seed,
    )


def _block(r: random.Random, fitting: list[str]) -> str:
    """Most models should be of a kind that the engine trains: what nobody could is rare."""
    name = r.choice(fitting)
    return r.choice(fitting) if name in ("penalized", "centred") else name


class Weighed(layers.Layer):
    """A weight of its own, trained or not."""

    def __init__(self, initializer: Any, *, trains: bool, units: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initializer, self.trains, self.units = initializer, trains, units

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=self.initializer, trainable=self.trains, name="kernel"
        )

    def call(self, x: Any) -> Any:
        return ops.tanh(ops.matmul(x, self.kernel))


class Counting(layers.Layer):
    """Scales by how often it was trained: a state that no row decides."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign(self.count + 1.0)
        return x * (1.0 + 0.05 * self.count)


class Subclassed(keras.Model):
    """A model whose layers nobody connected beforehand."""

    def __init__(self, inner: keras.Model, head: Any) -> None:
        super().__init__()
        self.inner, self.head = inner, head

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.inner(x, training=training))


def _initializer(r: random.Random) -> Any:
    kinds = [
        "glorot_uniform", "he_normal", "orthogonal", "lecun_uniform", "truncated_normal",
        initializers.RandomUniform(-0.3, 0.3), initializers.RandomNormal(stddev=0.2, seed=5),
        initializers.VarianceScaling(0.5, "fan_avg", "uniform"), initializers.Constant(0.05),
    ]  # fmt: skip
    return r.choice(kinds)


def _dense(x: Any, r: random.Random, config: Mapping[str, Any], units: int = 6) -> Any:
    return layers.Dense(
        units,
        activation=r.choice(["tanh", "relu", "gelu", "linear", "softplus", "selu"]),
        use_bias=r.random() < 0.8,
        kernel_initializer=_initializer(r),
        bias_initializer=r.choice(["zeros", "ones", initializers.RandomNormal(stddev=0.1)]),
        kernel_regularizer=r.choice([None, None, "l1", regularizers.L2(0.01), regularizers.L2(config["strength"]),
                                     regularizers.OrthogonalRegularizer(0.01)]),
        bias_regularizer=r.choice([None, None, regularizers.L1(config["strength"] / 10)]),
        kernel_constraint=r.choice([None, None, None, "unit_norm", "non_neg", keras.constraints.MaxNorm(1.0)]),
    )(x)  # fmt: skip


def _normalized(x: Any, r: random.Random) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: layers.BatchNormalization(momentum=r.choice([0.99, 0.5])),
        lambda: layers.BatchNormalization(center=False, scale=r.random() < 0.5, epsilon=0.01),
        lambda: layers.BatchNormalization(renorm=True, momentum=0.9),
        lambda: layers.BatchNormalization(axis=1),
        lambda: layers.LayerNormalization(),
        lambda: layers.UnitNormalization(),
        lambda: layers.GroupNormalization(groups=1),
        lambda: layers.RMSNormalization(),
    ]
    return r.choice(kinds)()(x)


def _twice(x: Any, r: random.Random) -> Any:
    one = layers.Dense(x.shape[-1], activation="tanh")
    return layers.add([one(x), one(one(x))])


def _attention(x: Any, r: random.Random) -> Any:
    return layers.MultiHeadAttention(2, 3, dropout=0.0)(x, x)


def _recurrent(x: Any, r: random.Random) -> Any:
    kind = r.choice([layers.LSTM, layers.GRU, layers.SimpleRNN])
    if r.random() < 0.3:
        return layers.Bidirectional(kind(3, return_sequences=True))(x)
    return kind(4, return_sequences=True, go_backwards=r.random() < 0.3)(x)


def _convolved(x: Any, r: random.Random) -> Any:
    flat = len(x.shape) == 3
    kinds: list[Callable[[], Any]] = [
        lambda: (layers.Conv1D if flat else layers.Conv2D)(4, 2, padding="same", strides=r.choice([1, 2])),
        lambda: (layers.Conv1D if flat else layers.Conv2D)(4, 3, padding="same", dilation_rate=2),
        lambda: (layers.SeparableConv1D if flat else layers.SeparableConv2D)(4, 2, padding="same"),
        lambda: (layers.DepthwiseConv1D if flat else layers.DepthwiseConv2D)(2, padding="same"),
        lambda: (layers.Conv1DTranspose if flat else layers.Conv2DTranspose)(3, 2),
    ]
    return r.choice(kinds)()(x)


def _pooled(x: Any, r: random.Random) -> Any:
    if len(x.shape) == 3:
        return r.choice([layers.MaxPooling1D, layers.AveragePooling1D])(2, padding="same", strides=1)(x)
    return r.choice([layers.MaxPooling2D, layers.AveragePooling2D])(2, padding=r.choice(["same", "valid"]))(x)


def _silent(x: Any, r: random.Random, config: Mapping[str, Any]) -> Any:
    """Noise of strength 0, for masks are drawn otherwise: in the code, or as one value of a dynamic hyperparameter."""
    rate = r.choice([0.0, config["silence"]])
    return r.choice([layers.Dropout, layers.GaussianNoise, layers.GaussianDropout])(rate)(x)


Block = Callable[[Any, random.Random, Mapping[str, Any]], Any]
_AXES = ("image", "colours", "series", "single", "words")
_SERIES = ("series", "single", "words")
BLOCKS: dict[str, tuple[tuple[str, ...] | None, Block]] = {
    "dense": (None, _dense),
    "normalized": (None, lambda x, r, c: _normalized(x, r)),
    "silent": (None, _silent),
    "twice": (None, lambda x, r, c: _twice(x, r)),
    "activation": (None, lambda x, r, c: r.choice([layers.PReLU(), layers.LeakyReLU(0.1), layers.ELU()])(x)),
    "alpha_dropout": (None, lambda x, r, c: layers.AlphaDropout(0.2)(x)),
    "spectral": (None, lambda x, r, c: layers.SpectralNormalization(layers.Dense(5, activation="tanh"))(x)),
    "frozen": (None, lambda x, r, c: layers.Dense(5, activation="tanh", trainable=False)(x)),
    "features": (None, lambda x, r, c: Weighed(_initializer(r), trains=False)(x)),
    "counting": (None, lambda x, r, c: Counting()(x)),
    "lambda": (None, lambda x, r, c: layers.Lambda(lambda one: one * 0.5)(x)),
    "operation": (None, lambda x, r, c: ops.sin(x) + 0.1 * x),
    "multiplied": (None, lambda x, r, c: layers.multiply([x, layers.Dense(x.shape[-1], activation="sigmoid")(x)])),
    "attention": (_SERIES, lambda x, r, c: _attention(x, r)),
    "recurrent": (_SERIES, lambda x, r, c: _recurrent(x, r)),
    "convolved": (_AXES, lambda x, r, c: _convolved(x, r)),
    "pooled": (_AXES, lambda x, r, c: _pooled(x, r)),
    "flipped": (("image", "colours"), lambda x, r, c: layers.RandomFlip("horizontal")(x)),
    "penalized": (None, lambda x, r, c: layers.Dense(4, activity_regularizer="l2")(x)),
    "centred": (None, lambda x, r, c: x - ops.mean(x, axis=0, keepdims=True)),
}


def _prior(x: Any, r: random.Random, config: Mapping[str, Any], data: TrainingData) -> Any:
    share = initializers.Constant(float(np.mean(data.y > np.median(data.y))))
    return layers.Dense(4, activation="tanh", bias_initializer=share)(x)


def _adapted(x: Any, r: random.Random, config: Mapping[str, Any], data: TrainingData) -> Any:
    layer = layers.Normalization(axis=-1)
    layer.adapt(np.asarray(data.x, np.float32))
    return layer(x) if tuple(x.shape[1:]) == data.x.shape[1:] else x * layer.mean[..., :1]


def _drawn(x: Any, r: random.Random, config: Mapping[str, Any], data: TrainingData) -> Any:
    draws: list[Callable[[], Any]] = [
        lambda: np.random.normal(),
        lambda: float(keras.random.normal(())),
        lambda: random.random(),
        lambda: np.random.default_rng(int(np.sum(data.y)) % 97).normal(),
    ]
    return Weighed(initializers.Constant(float(r.choice(draws)())), trains=r.random() < 0.5)(x)


ODD: dict[str, Callable[[Any, random.Random, Mapping[str, Any], TrainingData], Any]] = {
    "prior": _prior,
    "adapted": _adapted,
    "drawn": _drawn,
    "rows' constant": lambda x, r, c, d: x * float(1 + np.mean(d.y)),
    "rows' rescaling": lambda x, r, c, d: layers.Rescaling(float(1 / (1 + np.std(d.x))))(x),
    "rows' seed": lambda x, r, c, d: layers.Dense(
        4, "tanh", kernel_initializer=initializers.GlorotUniform(seed=abs(int(np.sum(d.y) * 10)))
    )(x),
    "rows' penalty": lambda x, r, c, d: layers.Dense(4, kernel_regularizer=regularizers.L2(1 / len(d.y)))(x),
    "value's bias": lambda x, r, c, d: layers.Dense(
        4, "tanh", bias_initializer=initializers.Constant(c["strength"] * float(np.mean(d.y)))
    )(x),
    "value's factor": lambda x, r, c, d: x * (1 + c["strength"]),
    "value's slope": lambda x, r, c, d: layers.LeakyReLU(negative_slope=c["strength"])(x),
    "value's momentum": lambda x, r, c, d: layers.BatchNormalization(momentum=0.5 + c["strength"])(x),
    "value's layer": lambda x, r, c, d: layers.Dense(4, "tanh")(x) if c["strength"] > 0.03 else x,
}

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    name: getattr(keras.optimizers, name)
    for name in (
        "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lamb", "Adafactor",
        "LossScaleOptimizer",
    )
}  # fmt: skip

OPTIONS: dict[str, Callable[[random.Random, Mapping[str, Any]], dict[str, Any]]] = {
    "clipnorm": lambda r, c: {"clipnorm": 0.5},
    "clipvalue": lambda r, c: {"clipvalue": 0.1},
    "global_clipnorm": lambda r, c: {"global_clipnorm": 0.7},
    "decay": lambda r, c: {"weight_decay": r.choice([0.01, c["strength"]])},
    "ema": lambda r, c: {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": r.choice([None, 2])},
    "accumulated": lambda r, c: {"gradient_accumulation_steps": 2},
    "scaled": lambda r, c: {"loss_scale_factor": 8.0},
}


def _schedule(config: Mapping[str, Any], data: TrainingData, kind: int) -> Any:
    schedules, rate = keras.optimizers.schedules, config["learning_rate"]
    return [
        lambda: schedules.ExponentialDecay(rate, 3, 0.7),
        lambda: schedules.CosineDecay(rate, len(data.y) // 8),
        lambda: schedules.InverseTimeDecay(rate, 2, 0.5),
        lambda: schedules.PiecewiseConstantDecay([2], [rate, rate / 2]),
    ][kind % 4]()


RATES: dict[str, Callable[[Mapping[str, Any], TrainingData, int], Any]] = {
    "plain": lambda c, d, n: c["learning_rate"],
    "halved": lambda c, d, n: min(c["learning_rate"] / 2, 0.02),
    "by rows": lambda c, d, n: c["learning_rate"] * 40 / len(d.y) * (1 + float(np.mean(d.y > np.median(d.y)))),
    "schedule": _schedule,
    "fixed": lambda c, d, n: 0.01,
}


def _optimizer(case: Case, config: Mapping[str, Any], data: TrainingData) -> Any:
    name, number = case.optimizer
    r = random.Random(number)
    settings: dict[str, Any] = {"learning_rate": RATES[case.rate](config, data, number)}
    for option, detail in case.options:
        settings |= OPTIONS[option](random.Random(detail), config)
    if len({"clipnorm", "clipvalue", "global_clipnorm"} & settings.keys()) > 1:
        settings.pop("clipnorm", None)
        settings.pop("clipvalue", None) if "global_clipnorm" in settings else None
    if name == "SGD":
        settings |= {"momentum": r.choice([0.0, 0.9, config["strength"]]), "nesterov": r.random() < 0.3}
    if name in ("Adam", "AdamW"):
        settings |= {"amsgrad": r.random() < 0.3, "beta_1": r.choice([0.9, 0.8])}
    if name == "RMSprop":
        settings |= {"centered": r.random() < 0.3, "momentum": r.choice([0.0, 0.5])}
    if name == "Adagrad":
        settings |= {"initial_accumulator_value": r.choice([0.1, config["strength"], 0.1 + float(np.mean(data.y))])}
    if name == "LossScaleOptimizer":
        settings.pop("loss_scale_factor", None)
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(**settings), initial_scale=64.0)
    return OPTIMIZERS[name](**settings)


def _losses_and_metrics(task: str) -> tuple[list[Callable[[], Any]], list[Callable[[], Any]]]:
    k = keras.losses
    m = keras.metrics
    if task == "classes":
        return [
            *[lambda: "sparse_categorical_crossentropy", lambda: k.SparseCategoricalCrossentropy()] * 4,
            lambda: k.SparseCategoricalCrossentropy(reduction="sum"),
        ], [lambda: "accuracy", lambda: m.SparseTopKCategoricalAccuracy(2), lambda: m.SparseCategoricalCrossentropy()]
    if task == "binary":
        return [
            lambda: "binary_crossentropy",
            lambda: k.BinaryCrossentropy(label_smoothing=0.1),
            lambda: k.BinaryFocalCrossentropy(),
        ], [
            lambda: "accuracy",
            lambda: m.AUC(num_thresholds=20),
            lambda: m.Precision(),
            lambda: m.BinaryAccuracy(threshold=0.4),
        ]
    return [lambda: "mse", lambda: "mae", lambda: k.Huber(0.5), lambda: k.LogCosh()], [
        lambda: "mae", lambda: m.RootMeanSquaredError(), lambda: m.MeanSquaredError(), lambda: m.LogCoshError(),
    ]  # fmt: skip


def _shaped(x: Any) -> Any:
    return layers.Flatten()(x) if len(x.shape) > 2 else x


def build(case: Case, config: Mapping[str, Any], data: TrainingData) -> keras.Model:
    """The compiled model of a case."""
    inputs = keras.Input(SHAPES[case.shape], dtype="int32" if case.shape == "words" else "float32")
    x: Any = layers.Embedding(WORDS, 3, mask_zero=case.seed % 2 == 0)(inputs) if case.shape == "words" else inputs
    for name, number in case.odd:
        x = ODD[name](x, random.Random(number), config, data)
    for name, number in case.blocks:
        x = BLOCKS[name][1](x, random.Random(number), config)
    units, activation = {"classes": (3, "softmax"), "binary": (1, "sigmoid"), "regression": (1, "linear")}[case.task]
    head = layers.Dense(units, activation=activation)
    x = _shaped(x)
    if case.style == "functional":
        model = keras.Model(inputs, head(x))
    elif case.style == "nested":
        outer = keras.Input(SHAPES[case.shape], dtype=inputs.dtype)
        model = keras.Model(outer, head(keras.Model(inputs, x)(outer)))
    else:
        model = Subclassed(keras.Model(inputs, x), head)
    losses, metrics = _losses_and_metrics(case.task)
    chosen = {number % len(metrics) for number in case.metrics}
    model.compile(
        optimizer=_optimizer(case, config, data),
        loss=losses[case.loss % len(losses)](),
        metrics=[metrics[number]() for number in sorted(chosen)],
    )
    return model


def data_of(case: Case) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Task]:
    """Rows, targets and task."""
    r = np.random.default_rng(case.seed)
    shape = (case.rows, *SHAPES[case.shape])
    x = r.integers(0, WORDS, shape).astype(np.int32) if case.shape == "words" else r.normal(size=shape)
    score = x.reshape(case.rows, -1)[:, :4].sum(axis=1) + r.normal(size=case.rows)
    x = x if case.shape == "words" else x.astype(np.float32)
    if case.task == "regression":
        return x, ((score - score.mean()) / score.std()).astype(np.float32), Task.REGRESSION
    if case.task == "binary":
        return x, (score > np.quantile(score, 0.6)).astype(np.int32), Task.BINARY
    return x, np.digitize(score, np.quantile(score, [0.3, 0.7])).astype(np.int32), Task.MULTICLASS
