"""What all families share: optimizer, loss and metrics, from the config and the task."""

from dataclasses import replace
from typing import Any, TypedDict

import keras

from hpsearch.core.facts import Task
from hpsearch.core.hyperparameters import ANY_OPTIMIZER, OPTIMIZERS, learning_rate_of
from hpsearch.core.space import Config
from hpsearch.core.words import listed
from hpsearch.data.dataset import TrainingData, keras_targets, output_of
from hpsearch.errors import ModelError

_OPTIMIZER_CLASSES: dict[str, type[keras.optimizers.Optimizer]] = {
    name.lower(): one for name, one in vars(keras.optimizers).items() if name.lower() in OPTIMIZERS
}


def make_optimizer(config: Config) -> keras.optimizers.Optimizer:
    """The optimizer of a config. Settings that the config does not name keep Keras' defaults.

    Without ``optimizer``, it is ``rmsprop``. ``learning_rate_adam`` goes before ``learning_rate`` with Adam, and so on.
    A hyperparameter that the optimizer does not have, such as momentum with Adam, has no effect.

    Raises:
        ModelError: ``optimizer`` is not one of :data:`OPTIMIZERS`.
    """
    name = str(config.get("optimizer", "rmsprop"))
    if name not in OPTIMIZERS:
        raise ModelError(
            f"optimizer = {name!r} is not known, and the build function returned a model that is not compiled",
            code="unknown-optimizer",
            hint=f"compile the model in the build function, or use one of {listed(OPTIMIZERS)}",
            optimizer=name,
        )
    known = (*ANY_OPTIMIZER, *OPTIMIZERS[name])
    # 0 means "without". Keras reads weight_decay=0.0 the same way, but refuses clipnorm=0.
    off = {one for one in ("weight_decay", "clipnorm") if not config.get(one)}
    settings = {one: config[one] for one in known if one in config and one not in off}
    if (rate := learning_rate_of(config, name)) is not None:
        settings["learning_rate"] = rate
    return _OPTIMIZER_CLASSES[name](**settings)


def compile_model(model: keras.Model, config: Config, data: TrainingData) -> None:
    """Compile for the task: mean squared error, or binary or (sparse) categorical crossentropy.

    Curves are ``loss`` with ``mse``, ``mae``, ``rmse`` (regression) or ``accuracy`` (classes; of labels, the share that
    is right), and the same with ``val_``. If rows have weights, all of these are weighted. With several outputs, each
    has the loss and the metrics of its own task; without targets, the model's layers add the losses.
    """
    if data.task is Task.NONE:
        model.compile(optimizer=make_optimizer(config))
        return
    loss: object
    metrics: object
    if data.outputs:
        found = {name: loss_and_metrics(_of_output(data, name)) for name in data.outputs}
        loss = _in_order(data, {name: one["loss"] for name, one in found.items()})
        metrics = _in_order(data, {name: one["metrics"] for name, one in found.items()})
    else:
        one = loss_and_metrics(data)
        loss, metrics = one["loss"], one["metrics"]
    measured = {"metrics" if data.weights is None else "weighted_metrics": metrics}
    model.compile(optimizer=make_optimizer(config), loss=loss, **measured)


def _of_output(data: TrainingData, name: str) -> TrainingData:
    """The same rows with the targets of one output."""
    output = data.outputs[name]
    return replace(data, y=output_of(data.y, name), task=output.task, classes=output.classes, outputs={})


def _in_order(data: TrainingData, of_outputs: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """What each output has, as Keras takes it: a dict, or a list if the outputs came in order."""
    return [*of_outputs.values()] if isinstance(keras_targets(data.y[:0]), list) else of_outputs


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


def output_layer(data: TrainingData) -> keras.layers.Layer:
    """The last layer: linear for regression, a sigmoid for two classes or each label, softmax for more classes."""
    if data.task is Task.REGRESSION:
        return keras.layers.Dense(1 if data.y.ndim == 1 else data.y.shape[1], name="output")
    if data.task is Task.BINARY:
        return keras.layers.Dense(1, activation="sigmoid", name="output")
    activation = "sigmoid" if data.task is Task.MULTILABEL else "softmax"
    return keras.layers.Dense(data.n_classes, activation=activation, name="output")
