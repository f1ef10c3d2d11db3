"""Random changes of images in training, as Keras' own layers. In validation and prediction they do nothing."""

import keras
from keras import layers, ops

from hpsearch.core.space import Config

_LARGEST = 3.0e38
"""Stands for no limit to pixels: Keras wants a range."""


def augmented(x: keras.KerasTensor, config: Config, *, top: float | None) -> keras.KerasTensor:
    """Images that are flipped, moved, turned, zoomed and of another contrast, each row by its own draws in every step.

    - ``flip``: ``horizontal``, ``vertical``, ``horizontal_and_vertical`` or ``none``
    - ``translation``: up to this share of height and width, either way
    - ``rotation``: up to this share of a full turn, either way
    - ``zoom``: out or in by up to this share
    - ``contrast``: less or more by up to this share
    - ``fill_mode``: what is put where nothing was (``reflect``, ``constant``: 0, ``nearest``, ``wrap``)

    A layer is there if the config names it, also with a strength of 0: configs that differ only in strengths share a
    program of the fused engine.

    Args:
        x: Raw images, shape ``(batch, height, width, channels)``.
        config: Hyperparameters.
        top: The largest value of a pixel; None if there is no such value.
    """
    found = _layers(config, top)
    if not found:
        return x
    x = ops.cast(x, "float32")
    for layer in found:
        if keras.backend.backend() == "jax":
            layer.supports_jit = True  # Keras says no for TensorFlow's sake, and would train uncompiled
        x = layer(x)
    return x


def _layers(config: Config, top: float | None) -> list[keras.layers.Layer]:
    found: list[keras.layers.Layer] = []
    fill = {"fill_mode": str(config.get("fill_mode", "reflect"))}
    if (flip := config.get("flip", "none")) != "none":
        found.append(layers.RandomFlip(str(flip), name="flip"))
    if "translation" in config:
        share = float(config["translation"])
        found.append(layers.RandomTranslation(share, share, name="translation", **fill))
    if "rotation" in config:
        found.append(layers.RandomRotation(float(config["rotation"]), name="rotation", **fill))
    if "zoom" in config:
        found.append(layers.RandomZoom(float(config["zoom"]), name="zoom", **fill))
    if "contrast" in config:
        share = float(config["contrast"])
        # One number would mean more contrast only.
        limits = (-_LARGEST, _LARGEST) if top is None else (0.0, top)
        found.append(layers.RandomContrast((share, share), value_range=limits, name="contrast"))
    return found
