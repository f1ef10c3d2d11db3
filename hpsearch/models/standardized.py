"""Amounts that a network learns in standard deviations from their mean (``[data] standardize_targets``).

The model's last layer turns them into amounts again. So predictions, and all metrics but the loss, are in the targets'
own unit, and no row of a validation or test part has a say in mean and deviation.
"""

from typing import Any

import keras
import numpy as np

from hpsearch.data.dataset import Array, TrainingData
from hpsearch.errors import ModelError
from hpsearch.keras_internals.compiled import compile_as, compiled_with
from hpsearch.keras_internals.standardized_loss import StandardizedLoss
from hpsearch.models.inputs import moments

LAYER = "amounts"

_OWN_STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


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
    _check(model, address)
    layer = keras.layers.Normalization(axis=-1 if data.y.ndim == 2 else None, invert=True, dtype="float32", name=LAYER)
    output = layer(model.outputs[0])
    inputs = model.inputs if isinstance(model, keras.Sequential) else model.input  # which may be a dict
    found = keras.Model(inputs, output, name=model.name)
    given = {name: _of_one_output(one) for name, one in compiled_with(model).items()}
    loss = StandardizedLoss(given.pop("loss"), layer)
    compile_as(found, optimizer=model.optimizer, loss=loss, **given)
    standardize_as(found, data.y, data.weights)
    return found


def standardize_as(model: keras.Model, y: Array, weights: Array | None) -> None:
    """Let a model with standardized targets take these for those of its training rows; others stay as they are.

    Args:
        model: Of a study.
        y: Targets.
        weights: How much each row counts; None if all count alike.
    """
    if not isinstance(model.loss, StandardizedLoss):
        return
    layer = model.get_layer(LAYER)
    counted = y if weights is None else y[weights.astype(np.float64) > 0]
    mean, variance = moments(counted, axis=0 if y.ndim == 2 else None)
    layer.set_weights([mean, variance, np.zeros((), dtype=layer.weights[2].dtype)])
    layer.finalize_state()


def _of_one_output(given: Any) -> Any:
    """What is given for the only output, whose name is another one now."""
    return next(iter(given.values())) if isinstance(given, dict) and len(given) == 1 else given


def _check(model: keras.Model, address: str) -> None:
    own = [name for name in _OWN_STEPS if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        raise _cannot(address, f"the model has a {own[0]} of its own", own=own[0])
    outputs = getattr(model, "outputs", None)
    if not outputs:
        kind = type(model).__name__
        raise _cannot(address, f"the model, one of class {kind}, has a call of its own and no last layer", kind=kind)
    if len(outputs) != 1:
        raise _cannot(address, f"the model has {len(outputs)} outputs", outputs=len(outputs))
    losses = keras.tree.flatten(model.loss)
    if len(losses) != 1 or losses[0] is None:
        said = "no loss" if losses == [None] else f"{len(losses)} losses"
        raise _cannot(address, f"the model is compiled with {said}", losses=len(losses))


def _cannot(address: str, why: str, **values: object) -> ModelError:
    return ModelError(
        f"{address}: standardize_targets adds a last layer to a model that is built of layers, but {why}",
        code="cannot-standardize",
        hint="take [data] standardize_targets out; [data] unit divides amounts by a number for any model",
        address=address,
        **values,
    )
