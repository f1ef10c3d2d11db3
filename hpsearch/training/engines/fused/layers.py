"""Stock Keras layers adapted to a fused program: rates that are inputs, statistics that skip padding rows.

The layers of a template model are patched in place, on the instance. The class, and every other model, stays as it is.
A patched layer computes what the original computes, but what is constant in the original may be traced here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import keras

from hpsearch.keras_internals.layers import BATCH_MOMENTS, flatten_layers, noise_shape, set_untracked
from hpsearch.keras_internals.numbers import RATE_LAYERS
from hpsearch.training.engines.convolution import convolution_of, pooling_of


class RowMask:
    """Which rows of the batch being traced are real. A template and its patched layers share it."""

    def __init__(self) -> None:
        self._mask: jax.Array | None = None

    @contextmanager
    def set_to(self, mask: jax.Array) -> Iterator[None]:
        """Tell the layers that are called inside of `mask`, shape ``(batch,)`` of 0 and 1."""
        self._mask = mask
        try:
            yield
        finally:
            self._mask = None

    def for_inputs(self, inputs: jax.Array) -> jax.Array | None:
        """The mask with as many axes as `inputs`, so that it can be broadcast to them; None outside of a step."""
        return None if self._mask is None else self._mask.reshape((-1,) + (1,) * (inputs.ndim - 1))


def patch_layers(model: keras.Model, rows: RowMask) -> None:
    """Patch all layers of a template model that need it."""
    for layer in flatten_layers(model):
        if (patch := _patch(layer, rows)) is not None:
            set_untracked(layer, *patch)


def needs_patch(layer: keras.layers.Layer) -> bool:
    """Whether :func:`patch_layers` changes a layer."""
    return _patch(layer, RowMask()) is not None


def _patch(layer: keras.layers.Layer, rows: RowMask) -> tuple[str, Callable[..., object]] | None:
    """The method of a layer to replace, and by what."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return BATCH_MOMENTS, _masked_moments(layer, rows)
    if isinstance(layer, keras.layers.Normalization) and hasattr(layer, "adapt_mean"):
        return "call", _adapted_normalization(layer)
    if type(layer) in RATE_LAYERS:
        return "call", _noise(layer)
    if jax.default_backend() != "cpu":
        return None
    if (convolve := convolution_of(layer)) is not None:
        return "convolution_op", convolve
    if (pool := pooling_of(layer)) is not None:
        return "call", pool
    return None


def strength_name(layer: keras.layers.Layer) -> str:
    """The attribute that holds the strength of one of :data:`RATE_LAYERS`."""
    return "stddev" if isinstance(layer, keras.layers.GaussianNoise) else "rate"


Moments = Callable[[jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]
"""Mean and variance of a batch, as batch normalization calls for them: inputs and Keras' own mask."""


def _masked_moments(layer: keras.layers.BatchNormalization, rows: RowMask) -> Moments:
    """Moments over the real rows, whichever axis is normalized.

    With a mask of its own, Keras takes the last axis for the channels, and loses that axis if there is one channel.
    """
    original: Moments = getattr(layer, BATCH_MOMENTS)
    wanted = layer.axis

    def moments(inputs: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        axis = wanted % inputs.ndim
        weights = rows.for_inputs(inputs)
        if weights is None:
            mean, variance = original(inputs, mask)
            return mean.reshape(-1), variance.reshape(-1)
        if mask is not None:  # as after an embedding that marks padding
            weights = weights * jnp.asarray(mask, weights.dtype)[..., None]
        counts = jnp.broadcast_to(weights, inputs.shape) != 0
        axes = tuple(one for one in range(inputs.ndim) if one != axis)
        number = jnp.maximum(counts.sum(axes, keepdims=True), 1).astype(inputs.dtype)
        mean = jnp.where(counts, inputs, 0).sum(axes, keepdims=True) / number
        variance = jnp.square(jnp.where(counts, inputs - mean, 0)).sum(axes, keepdims=True) / number
        return mean.reshape(-1), variance.reshape(-1)

    return moments


def _adapted_normalization(layer: keras.layers.Normalization) -> Callable[[jax.Array], jax.Array]:
    """Keras keeps the adapted moments as constants. Every lane has its own, so they are read from the variables."""
    original: Callable[[jax.Array], jax.Array] = layer.call

    def call(inputs: jax.Array) -> jax.Array:
        constants = layer.mean, layer.variance
        shape = constants[0].shape
        set_untracked(layer, "mean", jnp.reshape(layer.adapt_mean.value, shape))
        set_untracked(layer, "variance", jnp.reshape(layer.adapt_variance.value, shape))
        try:
            return original(inputs)
        finally:
            set_untracked(layer, "mean", constants[0])
            set_untracked(layer, "variance", constants[1])

    return call


def _noise(layer: keras.layers.Layer) -> Callable[..., jax.Array]:
    """Dropout and its kin with a rate that may be traced. A rate of 0 returns the inputs, as in Keras."""

    def call(inputs: jax.Array, training: bool = False) -> jax.Array:
        strength: float | jax.Array = getattr(layer, strength_name(layer))
        if not training or (isinstance(strength, int | float) and strength == 0):
            return inputs
        key = layer.seed_generator.next()
        if isinstance(layer, keras.layers.GaussianNoise):
            return inputs + strength * jax.random.normal(key, inputs.shape, inputs.dtype)
        if isinstance(layer, keras.layers.GaussianDropout):
            stddev = jnp.sqrt(strength / (1.0 - strength))
            return inputs * (1.0 + stddev * jax.random.normal(key, inputs.shape, inputs.dtype))
        return _drop(inputs, strength, key, noise_shape(layer, inputs))

    return call


def _drop(inputs: jax.Array, rate: float | jax.Array, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    # 24 bits decide about a value. They are exact in float32, and meet a rate to within 6e-8.
    kept = (random_bits(key, shape) >> 8).astype(jnp.float32) >= rate * 16777216.0
    scale = jnp.where(rate < 1.0, 1.0 / jnp.maximum(1.0 - rate, 1e-6), 0.0)
    return jnp.where(kept, inputs * scale.astype(inputs.dtype), jnp.zeros((), inputs.dtype))


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """32 random bits per value, from a hash of its position and the key.

    JAX's own generator, Threefry, takes 20 rounds. With dropout it was a third of the compile time and of the training
    time. Masks do not need a generator of that strength. This is the ``lowbias32`` integer hash (C. Wellons,
    "Prospecting for Hash Functions", 2018), once for each half of the key.

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
