"""Layers that a build function hands to more than one model, as where a pretrained base is made beside the function."""

import keras

from hpsearch.errors import ModelError


def shared_layers(one: keras.Model, other: keras.Model) -> list[keras.layers.Layer]:
    """Layers that are the same objects in both models; inputs, which only tell a shape, are left out."""
    others = {id(layer) for layer in other._flatten_layers()}
    return [
        layer
        for layer in one._flatten_layers()
        if id(layer) in others and not isinstance(layer, keras.layers.InputLayer)
    ]


def check_apart(address: str, one: keras.Model, other: keras.Model) -> None:
    """Training one of two models that a build function returned must not change the other.

    Args:
        address: ``module:function``, for messages.
        one: A model.
        other: What the function returned when it was called again.

    Raises:
        ModelError: They share an optimizer, or a layer with state of its own that is not frozen.
    """
    found = next((layer for layer in shared_layers(one, other) if layer.trainable and layer.variables), None)
    if found is not None:
        raise ModelError(
            f"{address}: all models that it builds share the {type(found).__name__} {found.name!r}, so that what one "
            "fold teaches it leaks into the next",
            hint="make layers inside the build function, clone a pretrained model with keras.models.clone_model and "
            "set_weights, or freeze it (trainable = False)",
        )
    if one.optimizer is other.optimizer is not None:
        raise ModelError(
            f"{address}: all models that it builds share one optimizer, whose state would go from fold to fold",
            hint="make the optimizer inside the build function",
        )
