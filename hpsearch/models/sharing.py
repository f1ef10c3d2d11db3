"""Layers that a build function puts into more than one model, such as a pretrained base made outside the function."""

import keras

from hpsearch.errors import ModelError
from hpsearch.keras_internals.layers import flatten_layers


def shared_layers(one: keras.Model, other: keras.Model) -> list[keras.layers.Layer]:
    """Layers that are the same objects in both models. Inputs are left out: they only describe a shape."""
    others = {id(layer) for layer in flatten_layers(other)}
    return [
        layer for layer in flatten_layers(one) if id(layer) in others and not isinstance(layer, keras.layers.InputLayer)
    ]


def check_apart(address: str, one: keras.Model, other: keras.Model) -> None:
    """Make sure that training one of two models from a build function does not change the other.

    Args:
        address: ``module:function``, for messages.
        one: A model.
        other: What the function returned when it was called again.

    Raises:
        ModelError: They share an optimizer, or a layer with state of its own that is not frozen.
    """
    # Seeds are no weights: every model gets its own (ModelBuilder.build), such as for augmentation.
    found = next((layer for layer in shared_layers(one, other) if layer.trainable and layer.weights), None)
    if found is not None:
        raise ModelError(
            f"{address}: all its models share the {type(found).__name__} layer {found.name!r}, so that its weights "
            "carry over from one fold to the next",
            code="shared-layer",
            hint="make layers inside the build function, clone a pretrained model with keras.models.clone_model and "
            "set_weights, or freeze it (trainable = False)",
            address=address,
            layer=found.name,
        )
    if one.optimizer is other.optimizer is not None:
        raise ModelError(
            f"{address}: all its models share one optimizer, whose state would leak from fold to fold",
            code="shared-optimizer",
            hint="make the optimizer inside the build function",
            address=address,
        )
