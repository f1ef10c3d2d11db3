"""What all families share: optimizer, loss and metrics, from the config and the task."""

import inspect
from dataclasses import replace
from typing import Any, TypedDict

import keras

from hpsearch.core.facts import Task
from hpsearch.core.optimizers import ANY_OPTIMIZER, OPTIMIZERS, learning_rate_of
from hpsearch.core.records import output_of
from hpsearch.core.space import Config
from hpsearch.core.words import listed
from hpsearch.data.dataset import TrainingData, keras_targets
from hpsearch.errors import ModelError
from hpsearch.models.blocks import penalized
from hpsearch.models.schedules import make_rate, steps_of

_OPTIMIZER_CLASSES: dict[str, type[keras.optimizers.Optimizer]] = {
    name.lower(): one for name, one in vars(keras.optimizers).items() if name.lower() in OPTIMIZERS
}

_ZERO_IS_OFF = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
"""Of these, 0 means "without". Keras refuses some of them."""


ADAFACTOR_EPSILON = 1e-16
"""``epsilon_1`` of Adafactor if the config does not name it. Keras' 1e-30 underflows in float32 wherever an input is
constant, such as a pixel at the border, and all weights become NaN."""


def make_optimizer(config: Config, rows: int = 1) -> keras.optimizers.Optimizer:
    """The optimizer of a config. Settings that it does not name keep Keras' defaults, but :data:`ADAFACTOR_EPSILON`.

    Without ``optimizer``, it is ``rmsprop``. ``learning_rate_adam`` goes before ``learning_rate`` with Adam, and so on.
    A hyperparameter that the optimizer does not have, such as momentum with Adam, has no effect.

    Args:
        config: Hyperparameters.
        rows: Training rows, which decide how many steps a schedule takes.

    Raises:
        ModelError: ``optimizer`` is not one of :data:`OPTIMIZERS`, the installed Keras does not have it, or there is no
            such schedule.
    """
    name = str(config.get("optimizer", "rmsprop"))
    if name not in OPTIMIZERS:
        raise ModelError(
            f"optimizer = {name!r} is not known, and the build function returned a model that is not compiled",
            code="unknown-optimizer",
            hint=f"compile the model in the build function, or use one of {listed(OPTIMIZERS)}",
            optimizer=name,
        )
    if name not in _OPTIMIZER_CLASSES:
        raise ModelError(
            f"optimizer = {name!r} is not in Keras {keras.__version__}",
            code="no-such-optimizer",
            hint="install a newer Keras, or use another optimizer",
            optimizer=name,
        )
    return _OPTIMIZER_CLASSES[name](**_settings(name, config, rows))


def _settings(name: str, config: Config, rows: int) -> dict[str, object]:
    """Arguments of the optimizer's class."""
    defaults = {
        one.name: one.default for one in inspect.signature(_OPTIMIZER_CLASSES[name].__init__).parameters.values()
    }
    # AdamW and Muon decay weights unless they are told not to.
    off = {one for one in _ZERO_IS_OFF if not config.get(one) and not defaults.get(one)}
    if config.get("gradient_accumulation_steps") == 1:
        off.add("gradient_accumulation_steps")  # Keras wants at least 2, or None
    known = (*ANY_OPTIMIZER, *OPTIMIZERS[name])
    settings: dict[str, object] = {one: config[one] for one in known if one in config and one not in off}
    if config.get("use_ema"):
        settings = {**_averages(config, rows), **settings}
    if name == "adafactor":
        settings.setdefault("epsilon_1", ADAFACTOR_EPSILON)
    rate = learning_rate_of(config, name)
    if "schedule" in config or "warmup" in config:
        settings["learning_rate"] = make_rate(float(defaults["learning_rate"] if rate is None else rate), config, rows)
    elif rate is not None:
        settings["learning_rate"] = rate
    return settings


def _averages(config: Config, rows: int) -> dict[str, float | int]:
    """What averaged weights are like where the config does not say: means over the last tenth of each epoch.

    They take the place of the weights at the end of every epoch, so what is validated is what the champion has. Keras
    would put them in place at the very end, where no curve sees them. A longer mean would hold the training back.
    """
    steps = max(1, steps_of(config, rows) // int(config.get("gradient_accumulation_steps", 1)))
    return {"ema_overwrite_frequency": steps, "ema_momentum": min(0.99, max(0.0, 1.0 - 10.0 / steps))}


def compile_model(model: keras.Model, config: Config, data: TrainingData) -> None:
    """Compile for the task: mean squared error, or binary or (sparse) categorical crossentropy.

    Curves are ``loss`` with ``mse``, ``mae``, ``rmse`` (regression) or ``accuracy`` (classes; of labels, the share that
    is right), and the same with ``val_``. If rows have weights, all of these are weighted. With several outputs, each
    has the loss and the metrics of its own task; without targets, the model's layers add the losses.

    Raises:
        ModelError: The config asks for an optimizer, a schedule or a smoothing that there is not.
    """
    optimizer = make_optimizer(config, len(data.y))
    if data.task is Task.NONE:
        model.compile(optimizer=optimizer)
        return
    loss: object
    metrics: object
    if data.outputs:
        parts = {name: _of_output(data, name) for name in data.outputs}
        loss = _in_order(data, {name: _loss(one, config) for name, one in parts.items()})
        metrics = _in_order(data, {name: loss_and_metrics(one)["metrics"] for name, one in parts.items()})
    else:
        loss, metrics = _loss(data, config), loss_and_metrics(data)["metrics"]
    measured = {"metrics" if data.weights is None else "weighted_metrics": metrics}
    model.compile(optimizer=optimizer, loss=loss, **measured)


def _loss(data: TrainingData, config: Config) -> str | keras.losses.Loss:
    if "label_smoothing" in config:
        return _smoothed(float(config["label_smoothing"]), data)
    return loss_and_metrics(data)["loss"]


def _of_output(data: TrainingData, name: str) -> TrainingData:
    """The same rows with the targets of one output."""
    output = data.outputs[name]
    return replace(data, y=output_of(data.y, name), task=output.task, classes=output.classes, outputs={})


def _in_order(data: TrainingData, of_outputs: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """What each output has, as Keras takes it: a dict, or a list if the outputs came in order."""
    return [*of_outputs.values()] if isinstance(keras_targets(data.y[:0]), list) else of_outputs


def _smoothed(share: float, data: TrainingData) -> keras.losses.Loss:
    """The crossentropy of a task against targets that are not quite 0 and 1.

    Raises:
        ModelError: The targets are amounts or class numbers: Keras smooths zeros and ones only.
    """
    if data.task in (Task.BINARY, Task.MULTILABEL):
        return keras.losses.BinaryCrossentropy(label_smoothing=share)
    if data.task is Task.MULTICLASS and data.one_hot:
        return keras.losses.CategoricalCrossentropy(label_smoothing=share)
    amounts = data.task is Task.REGRESSION
    what = "the targets are amounts" if amounts else "the labels are class numbers, and Keras smooths one-hot rows only"
    raise ModelError(
        f"label_smoothing = {share:g}, but {what}",
        code="cannot-smooth",
        hint="take label_smoothing out of [space]" if amounts else 'set [data] labels = "one-hot"',
        label_smoothing=share,
        task=data.task.value,
    )


class LossAndMetrics(TypedDict):
    """Arguments of ``keras.Model.compile``."""

    loss: str
    metrics: list[str | keras.metrics.Metric]


def loss_and_metrics(data: TrainingData) -> LossAndMetrics:
    """``loss`` and ``metrics`` for a task, as ``keras.Model.compile`` takes them."""
    if data.task is Task.REGRESSION:
        return {
            "loss": "mean_squared_error",
            "metrics": [
                keras.metrics.MeanSquaredError(name="mse"),
                keras.metrics.MeanAbsoluteError(name="mae"),
                keras.metrics.RootMeanSquaredError(name="rmse"),
            ],
        }
    if data.task is Task.BINARY:
        return {"loss": "binary_crossentropy", "metrics": ["accuracy"]}
    if data.task is Task.MULTILABEL:  # of several columns, Keras takes "accuracy" for that of classes
        return {"loss": "binary_crossentropy", "metrics": [keras.metrics.BinaryAccuracy(name="accuracy")]}
    return {"loss": f"{'' if data.one_hot else 'sparse_'}categorical_crossentropy", "metrics": ["accuracy"]}


def output_layer(data: TrainingData, config: Config | None = None) -> keras.layers.Layer:
    """The last layer: linear for regression, a sigmoid for two classes or each label, softmax for more classes.

    Args:
        data: Says the task.
        config: Its ``l1`` and ``l2`` penalize the kernel; None for no penalty.
    """
    penalties = penalized(config or {})
    if data.task is Task.REGRESSION:
        return keras.layers.Dense(1 if data.y.ndim == 1 else data.y.shape[1], name="output", **penalties)
    if data.task is Task.BINARY:
        return keras.layers.Dense(1, activation="sigmoid", name="output", **penalties)
    activation = "sigmoid" if data.task is Task.MULTILABEL else "softmax"
    return keras.layers.Dense(data.n_classes, activation=activation, name="output", **penalties)
