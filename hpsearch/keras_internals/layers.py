"""The layers of a model, and what a layer does not say in public."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

SPATIAL_DROPOUT = (keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)

BATCH_MOMENTS = "_moments"
"""The method of batch normalization that computes mean and variance of a batch, from inputs and mask."""


def flatten_layers(model: keras.layers.Layer, *, include_self: bool = True) -> list[keras.layers.Layer]:
    """All layers in a model, also those inside other layers, in an order that is the same for models built alike.

    ``Model.layers`` lists only the outermost ones. Without Keras' own function, layers inside other layers than models
    are left out.
    """
    flatten = getattr(model, "_flatten_layers", None)
    if flatten is not None:
        return list(flatten(include_self=include_self))
    return [layer for layer in _walk(model) if include_self or layer is not model]


@contextmanager
def constant_moments(model: keras.Model) -> Iterator[None]:
    """Let adapted ``Normalization`` layers hold arrays: tf2onnx takes the tensors that they hold for inputs."""
    layers = [one for one in flatten_layers(model) if isinstance(one, keras.layers.Normalization) and one.built]
    held = [(one.mean, one.variance) for one in layers]
    for one, moments in zip(layers, held, strict=True):
        for name, value in zip(("mean", "variance"), moments, strict=True):
            set_untracked(one, name, np.asarray(value))
    try:
        yield
    finally:
        for one, moments in zip(layers, held, strict=True):
            for name, value in zip(("mean", "variance"), moments, strict=True):
                set_untracked(one, name, value)


def without_activity_penalties(model: keras.Model) -> None:
    """Take the penalties of outputs from all layers of a model: Keras adds them to its loss, frozen or not."""
    for layer in flatten_layers(model):
        if getattr(layer, "activity_regularizer", None) is not None:
            layer.activity_regularizer = None
        if isinstance(layer, keras.layers.ActivityRegularization):
            layer.l1 = layer.l2 = 0.0  # what is saved of it


def _walk(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _walk(inner)


def is_masked(values: object) -> bool:
    """Whether a layer has marked some steps of its output as padding."""
    return getattr(values, "_keras_mask", None) is not None


def takes_training(model: keras.Model) -> bool:
    """Whether the model's ``call`` takes the argument ``training``; Keras passes it only then."""
    return bool(model._call_has_training_arg)


def noise_shape(layer: keras.layers.Dropout, inputs: Any) -> tuple[int, ...]:
    """The shape of a dropout layer's mask for these inputs.

    Spatial dropout drops whole channels. Which axes these are stands in a private method of its three classes.
    """
    sizes = tuple(inputs.shape)
    if isinstance(layer, SPATIAL_DROPOUT):
        wanted = layer._get_noise_shape(inputs)
    else:
        wanted = layer.noise_shape or (None,) * len(sizes)
    return tuple(size if one is None else int(one) for one, size in zip(wanted, sizes, strict=True))


def initializers_of(layer: keras.layers.Layer) -> tuple[keras.initializers.Initializer, ...]:
    """The random initializers that a layer keeps. Layers list them nowhere, so its attributes are searched."""
    kept = (one for one in vars(layer).values() if isinstance(one, keras.initializers.Initializer))
    return tuple(one for one in kept if hasattr(one, "seed"))


def set_untracked(holder: object, name: str, value: object) -> None:
    """Set an attribute of one layer, regularizer or optimizer, past Keras' tracking of attributes.

    Tracking is for layers and variables. It wraps other values, and refuses new ones in a model that is built. Setting
    ``call`` or ``convolution_op`` this way replaces the method of this one layer; its class stays as it is.
    """
    object.__setattr__(holder, name, value)


def unset_untracked(holder: object, name: str) -> None:
    """Take back :func:`set_untracked` of a method; no error if it is gone already."""
    vars(holder).pop(name, None)
