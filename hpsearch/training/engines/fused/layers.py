"""Stock Keras layers made fit for a fused program: rates that are inputs, statistics that skip padding rows.

The layers of a template model are patched in place, on the instance; the class, and every other model, stays as it
is. A patched layer computes what the original computes; only what is constant in the original may be traced here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras

from hpsearch.keras_internals.convolution import convolution_of, pooling_of

RATES = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)
"""Layers whose strength becomes an input of the program; Keras' own code branches on it."""


class RowMask:
    """Which rows of the batch being traced are real; shared by a program and its patched layers."""

    def __init__(self) -> None:
        self._mask: jax.Array | None = None

    @contextmanager
    def set_to(self, mask: jax.Array) -> Iterator[None]:
        """Make `mask`, shape ``(batch,)`` of 0 and 1, known to the layers that are called inside."""
        self._mask = mask
        try:
            yield
        finally:
            self._mask = None

    def for_inputs(self, inputs: jax.Array) -> jax.Array | None:
        """The mask as batch normalisation takes it: one value per row and position."""
        if self._mask is None:
            return None
        shape = inputs.shape[:-1]
        return jnp.broadcast_to(self._mask.reshape((-1,) + (1,) * (len(shape) - 1)), shape)


def patch_layers(model: keras.Model, rows: RowMask) -> None:
    """Patch all layers of a template model that need it."""
    on_cpu = jax.default_backend() == "cpu"
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            _patch(layer, _masked_normalization(layer, rows))
        elif isinstance(layer, keras.layers.Normalization) and hasattr(layer, "adapt_mean"):
            _patch(layer, _adapted_normalization(layer))
        elif type(layer) in RATES:
            _patch(layer, _noise(layer))
        elif on_cpu and (convolve := convolution_of(layer)) is not None:
            object.__setattr__(layer, "convolution_op", convolve)
        elif on_cpu and (pool := pooling_of(layer)) is not None:
            _patch(layer, pool)


def _patch(layer: keras.layers.Layer, call: Callable[..., Any]) -> None:
    # Past Keras' attribute tracking, which is for layers and variables.
    object.__setattr__(layer, "call", call)


def _masked_normalization(layer: keras.layers.BatchNormalization, rows: RowMask) -> Callable[..., Any]:
    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        axis = layer.axis % len(inputs.shape)
        if training and axis == len(inputs.shape) - 1 and (real := rows.for_inputs(inputs)) is not None:
            # Keras may have a mask of its own, as behind an embedding that marks padding.
            mask = real if mask is None else real * jnp.broadcast_to(jnp.asarray(mask, real.dtype), real.shape)
        return original(inputs, training=training, mask=mask)

    return call


def _adapted_normalization(layer: Any) -> Callable[..., Any]:
    """Keras keeps the adapted moments as constants; every lane has its own, so they are read from the variables."""
    original = layer.call

    def call(inputs: Any) -> Any:
        constants = layer.mean, layer.variance
        shape = constants[0].shape
        object.__setattr__(layer, "mean", jnp.reshape(layer.adapt_mean.value, shape))
        object.__setattr__(layer, "variance", jnp.reshape(layer.adapt_variance.value, shape))
        try:
            return original(inputs)
        finally:
            object.__setattr__(layer, "mean", constants[0])
            object.__setattr__(layer, "variance", constants[1])

    return call


def _noise(layer: Any) -> Callable[..., Any]:
    """Dropout and its kin with a rate that may be traced; 0 gives the inputs back, as in Keras."""

    def call(inputs: Any, training: bool = False) -> Any:
        strength = layer.stddev if isinstance(layer, keras.layers.GaussianNoise) else layer.rate
        if not training or (isinstance(strength, int | float) and strength == 0):
            return inputs
        key = layer.seed_generator.next()
        if isinstance(layer, keras.layers.GaussianNoise):
            return inputs + strength * jax.random.normal(key, inputs.shape, inputs.dtype)
        if isinstance(layer, keras.layers.GaussianDropout):
            stddev = jnp.sqrt(strength / (1.0 - strength))
            return inputs * (1.0 + stddev * jax.random.normal(key, inputs.shape, inputs.dtype))
        return _drop(inputs, strength, key, _noise_shape(layer, inputs))

    return call


def _drop(inputs: jax.Array, rate: Any, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    # 24 bits decide about a value: exact in float32, and a rate is met to within 6e-8.
    kept = (random_bits(key, shape) >> 8).astype(jnp.float32) >= rate * 16777216.0
    scale = jnp.where(rate < 1.0, 1.0 / jnp.maximum(1.0 - rate, 1e-6), 0.0)
    return jnp.where(kept, inputs * scale.astype(inputs.dtype), jnp.zeros((), inputs.dtype))


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """32 random bits per value, from a hash of its position and the key.

    Threefry, JAX's own, takes 20 rounds; with dropout it was a third of the compile time and of the training time.
    Masks do not need a generator of that strength: this is the ``lowbias32`` integer hash (C. Wellons, "Prospecting
    for Hash Functions", 2018), once for each half of the key.

    Args:
        key: State of a Keras seed generator, uint32 of shape ``(2,)``.
        shape: Of the result.
    """
    size = 1
    for one in shape:
        size *= one
    position = jax.lax.iota(jnp.uint32, size)
    return _hash(_hash(position ^ _hash(key[0])) + _hash(key[1] + jnp.uint32(0x9E3779B9))).reshape(shape)


def _hash(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _noise_shape(layer: Any, inputs: jax.Array) -> tuple[int, ...]:
    if hasattr(layer, "_get_noise_shape"):  # spatial dropout: whole channels
        wanted = layer._get_noise_shape(inputs)
    else:
        wanted = layer.noise_shape or (None,) * len(inputs.shape)
    return tuple(size if one is None else int(one) for one, size in zip(wanted, inputs.shape, strict=True))
