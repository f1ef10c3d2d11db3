"""What every family shares once its layers stand: optimizer, loss and metrics, from the config and the task."""

from typing import Any

import keras

from hpsearch.core.facts import Task
from hpsearch.core.hyperparameters import ANY_OPTIMIZER, OPTIMIZERS
from hpsearch.core.space import Config
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError

_OPTIMIZER_CLASSES: dict[str, type[keras.optimizers.Optimizer]] = {
    name.lower(): one for name, one in vars(keras.optimizers).items() if name.lower() in OPTIMIZERS
}


def make_optimizer(config: Config) -> keras.optimizers.Optimizer:
    """The optimizer of a config; what it does not name keeps Keras' default.

    ``optimizer`` is ``rmsprop`` where not given, as in the documents. A hyperparameter that the optimizer does not
    know (momentum with Adam) has no effect.

    Raises:
        ModelError: ``optimizer`` is none of those known here.
    """
    name = str(config.get("optimizer", "rmsprop"))
    if name not in OPTIMIZERS:
        raise ModelError(
            f"optimizer = {name!r} is not known, and the build function returned a model that is not compiled",
            hint=f"compile the model in the build function, or use one of {', '.join(OPTIMIZERS)}",
        )
    known = (*ANY_OPTIMIZER, *OPTIMIZERS[name])
    # 0 means "without": Keras reads weight_decay=0.0 the same, but would refuse clipnorm=0.
    off = {one for one in ("weight_decay", "clipnorm") if not config.get(one)}
    settings = {one: config[one] for one in known if one in config and one not in off}
    return _OPTIMIZER_CLASSES[name](**settings)


def compile_model(model: keras.Model, config: Config, data: TrainingData) -> None:
    """Compile for the task: mean squared error, or binary or (sparse) categorical crossentropy.

    Curves are ``loss`` with ``mse``, ``mae``, ``rmse`` (regression) or ``accuracy`` (classes), and the same with
    ``val_``.
    """
    model.compile(optimizer=make_optimizer(config), **loss_and_metrics(data))


def loss_and_metrics(data: TrainingData) -> dict[str, Any]:
    """``loss`` and ``metrics`` as ``keras.Model.compile`` takes them."""
    if data.task is Task.REGRESSION:
        mean = keras.metrics
        return {
            "loss": "mean_squared_error",
            "metrics": [
                mean.MeanSquaredError(name="mse"),
                mean.MeanAbsoluteError(name="mae"),
                mean.RootMeanSquaredError(name="rmse"),
            ],
        }
    if data.task is Task.BINARY:
        return {"loss": "binary_crossentropy", "metrics": ["accuracy"]}
    return {"loss": f"{'' if data.one_hot else 'sparse_'}categorical_crossentropy", "metrics": ["accuracy"]}


def output_layer(data: TrainingData) -> keras.layers.Layer:
    """The last layer: linear for regression, one sigmoid for two classes, softmax for more."""
    if data.task is Task.REGRESSION:
        return keras.layers.Dense(1 if data.y.ndim == 1 else data.y.shape[1], name="output")
    if data.task is Task.BINARY:
        return keras.layers.Dense(1, activation="sigmoid", name="output")
    return keras.layers.Dense(data.n_classes, activation="softmax", name="output")
