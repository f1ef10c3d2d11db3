"""One Keras model whose predictions are the mean of several models' predictions."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hpsearch.data.dataset import Features, keras_inputs
from hpsearch.errors import ModelError
from hpsearch.keras_internals.compiled import compile_like, has_own_loss, uncompile
from hpsearch.keras_internals.layers import without_activity_penalties


def mean_of(models: Mapping[str, keras.Model], like: keras.Model, x: Features) -> keras.Model:
    """A model that predicts the mean of what `models` predict.

    They become its layers and are frozen, so its loss has no penalties of weights or outputs: those are of training.

    Args:
        models: Name → model, with weights; they take the same inputs.
        like: A model of the study, compiled and not needed otherwise: the mean is measured as it is.
        x: A few rows, for models that do not say which inputs they take.

    Raises:
        ModelError: The models measure themselves, or have several outputs.
    """
    if type(like).test_step is not keras.Model.test_step or has_own_loss(like):
        raise _without_mean("has a test_step or compute_loss of its own, which a mean of models cannot have")
    for name, model in models.items():
        model.name = name
        model.trainable = False
        without_activity_penalties(model)
        uncompile(model)
    inputs = _inputs(like, x)
    outputs = [model(inputs) for model in models.values()]
    if len(keras.tree.flatten(outputs[0])) != 1:
        raise _without_mean(f"has {len(keras.tree.flatten(outputs[0]))} outputs")
    # A loss given as {name of the output: loss} finds its output, and half precision does not round the mean.
    named = getattr(like, "output_names", None) or ["mean"]
    mean = keras.layers.Average(name=named[0], dtype="float32")([keras.tree.flatten(one)[0] for one in outputs])
    model = keras.Model(inputs, mean, name="mean_of_models")
    compile_like(model, like)
    return model


def _inputs(model: keras.Model, x: Features) -> Any:
    try:
        taken = model.input
    except (AttributeError, ValueError):  # a subclassed model has none
        taken = keras_inputs(x)
        if isinstance(taken, dict):
            return {name: _input_of(values, name) for name, values in taken.items()}
        if isinstance(taken, list):
            return [_input_of(values, f"input_{place}") for place, values in enumerate(taken)]
        return _input_of(taken, "x")
    return keras.tree.map_structure(
        lambda one: keras.Input(batch_shape=one.shape, dtype=one.dtype, name=one.name), taken
    )


def _input_of(values: np.ndarray[Any, np.dtype[Any]], name: str) -> keras.KerasTensor:
    dtype = "string" if values.dtype.kind in "OUS" else keras.backend.standardize_dtype(values.dtype)
    return keras.Input(values.shape[1:], dtype=dtype, name=name)


def _without_mean(why: str) -> ModelError:
    return ModelError(
        f"the champion cannot be the mean of several models: the model {why}",
        code="no-mean",
        hint='use [champion] kind = "refit"',
    )
