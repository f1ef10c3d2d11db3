"""Amounts that a network learns in standard deviations from their mean (``[data] standardize_targets``).

The model's last layer turns them into amounts again. So predictions, and all metrics but the loss, are in the targets'
own unit, and no row of a validation or test part has a say in mean and deviation.
"""

from itertools import chain, count
from typing import Any

import keras
import numpy as np

from hpsearch.data.dataset import Array, TrainingData
from hpsearch.errors import ModelError
from hpsearch.keras_internals.compiled import compile_as, compiled_with, is_of_keras, why_not_standardized
from hpsearch.keras_internals.standardized_loss import StandardizedLoss
from hpsearch.models.inputs import moments

_LAYER = "amounts"


def with_standardized_targets(model: keras.Model, data: TrainingData, address: str) -> keras.Model:
    """The model with one more layer, which turns what it says into amounts, and with its loss of standardized ones.

    The file that is made of it is compiled with the loss as it was given, so it loads without hpsearch.

    Args:
        model: Compiled; it must not be used any more.
        data: The training rows.
        address: Of the build function, for messages.

    Raises:
        ModelError: The model is not made of layers alone, or its losses are not one loss of one output.
    """
    given = compiled_with(model)
    loss, given["loss_weights"] = _of_one_output(given.pop("loss")), _of_one_output(given["loss_weights"])
    given |= {kind: _metrics_of_one(given[kind]) for kind in ("metrics", "weighted_metrics")}
    _check(model, loss, address)
    names = {layer.name for layer in model.layers}
    name = next(one for one in chain([_LAYER], (f"{_LAYER}_{number}" for number in count(1))) if one not in names)
    layer = keras.layers.Normalization(axis=-1 if data.y.ndim == 2 else None, invert=True, dtype="float32", name=name)
    inputs = model.inputs if isinstance(model, keras.Sequential) else model.input  # which may be a dict
    found = keras.Model(inputs, layer(model.outputs[0]), name=model.name)
    compile_as(found, optimizer=model.optimizer, loss=StandardizedLoss(loss, layer), **given)
    standardize_as(found, data.y, data.weights)
    return found


def standardize_as(model: keras.Model, y: Array, weights: Array | None) -> None:
    """Let a model with standardized targets take these for those of its training rows; others stay as they are.

    Args:
        model: Of a study.
        y: Targets.
        weights: How much each row counts; None if all count alike. Rows of weight 0 are left out.
    """
    if not isinstance(model.loss, StandardizedLoss):
        return
    layer = model.loss.layer
    counted = y if weights is None else y[weights.astype(np.float64) > 0]
    mean, variance = moments(counted, axis=0 if y.ndim == 2 else None)
    layer.set_weights([mean, variance, np.zeros((), dtype=layer.weights[2].dtype)])
    layer.finalize_state()


def _of_one_output(given: Any) -> Any:
    """What is given for the only output, whose name is another one now."""
    while isinstance(given, dict | list | tuple) and len(given) == 1:
        given = next(iter(given.values())) if isinstance(given, dict) else given[0]
    return given


def _metrics_of_one(given: Any) -> Any:
    if not (isinstance(given, dict) and len(given) == 1):
        return given
    (found,) = given.values()
    return found if isinstance(found, list | tuple) else [found]


def _check(model: keras.Model, loss: Any, address: str) -> None:
    kind = type(model)
    if not is_of_keras(kind):
        raise _cannot(address, f"the model is of a class of its own, {kind.__name__}", kind=kind.__name__)
    outputs = getattr(model, "outputs", None) or ()
    if len(outputs) != 1:
        raise _cannot(address, f"the model has {len(outputs)} outputs", outputs=len(outputs))
    if loss is None or isinstance(loss, dict | list | tuple):
        said = "no loss" if not loss else f"{len(loss)} losses"
        raise _cannot(address, f"the model is compiled with {said}")
    if why := why_not_standardized(loss):
        name = loss if isinstance(loss, str) else getattr(loss, "name", None) or type(loss).__name__
        raise _cannot(address, f"the loss {name!r} {why}", loss=str(name))


def _cannot(address: str, why: str, **values: object) -> ModelError:
    return ModelError(
        f"{address}: standardize_targets adds a last layer and scales the loss, but {why}",
        code="cannot-standardize",
        hint="take [data] standardize_targets out; [data] unit divides amounts by a number for any model",
        address=address,
        **values,
    )
