"""Convolution and max pooling as slices and matrix products: on a CPU, several times as fast as XLA's own.

XLA compiles the gradients of a convolution and of max pooling to scalar loops on CPUs. Measured on 2 cores, one epoch
of a small network: 71 ms with XLA's operations, 17 ms with these (8 × 8 images); 6.2 s and 0.29 s (28 × 28 images,
32 and 64 filters). Sums are taken in another order, nothing else differs.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras


def convolution_of(layer: Any) -> Callable[[Any, Any], jax.Array] | None:
    """A replacement for the layer's ``convolution_op``, or None where the layer is of another kind."""
    plain = type(layer) in (keras.layers.Conv1D, keras.layers.Conv2D) and layer.groups == 1
    if not plain or layer.data_format != "channels_last" or layer.padding not in ("valid", "same"):
        return None
    if any(one != 1 for one in layer.dilation_rate):
        return None

    def convolve(inputs: Any, kernel: Any) -> jax.Array:
        weights = jnp.asarray(kernel)
        columns = patches(jnp.asarray(inputs), weights.shape[:-2], layer.strides, same=layer.padding == "same")
        return columns @ weights.reshape(-1, weights.shape[-1]).astype(columns.dtype)

    return convolve


def patches(x: jax.Array, sizes: Sequence[int], strides: Sequence[int], *, same: bool) -> jax.Array:
    """What each output position sees, as one vector: ``(batch, …positions, prod(sizes) * channels)``.

    Args:
        x: Shape ``(batch, …spatial, channels)``.
        sizes: Kernel size along each spatial axis.
        strides: Likewise.
        same: Pad with zeros as TensorFlow does for ``padding="same"``.
    """
    spatial = x.shape[1:-1]
    if same:
        outs = [-(-n // s) for n, s in zip(spatial, strides, strict=True)]
        pads = [max((out - 1) * s + k - n, 0) for out, n, k, s in zip(outs, spatial, sizes, strides, strict=True)]
        x = jnp.pad(x, [(0, 0), *((one // 2, one - one // 2) for one in pads), (0, 0)])
    else:
        outs = [(n - k) // s + 1 for n, k, s in zip(spatial, sizes, strides, strict=True)]
    views = [
        x[(slice(None), *(slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offset, outs, strides, strict=True)))]
        for offset in itertools.product(*(range(k) for k in sizes))
    ]
    return jnp.concatenate(views, axis=-1)


def pooling_of(layer: Any) -> Callable[[Any], jax.Array] | None:
    """A replacement for the layer's ``call``, or None where windows overlap or the layer is of another kind."""
    if type(layer) not in (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D):
        return None
    sizes, strides = tuple(layer.pool_size), tuple(layer.strides)
    if sizes != strides or layer.padding != "valid" or layer.data_format != "channels_last":
        return None
    return lambda inputs: max_pool(inputs, sizes)


def max_pool(x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The largest value of every window; windows do not overlap, and what fills none is left out."""
    outs = [n // k for n, k in zip(x.shape[1:-1], sizes, strict=True)]
    x = x[(slice(None), *(slice(0, n * k) for n, k in zip(outs, sizes, strict=True)))]
    return _pool(x, sizes)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(x: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    return _pool_forward(x, sizes)[0]


def _pool_forward(x: jax.Array, sizes: tuple[int, ...]) -> tuple[jax.Array, tuple[list[jax.Array], jax.Array]]:
    offsets = itertools.product(*(range(k) for k in sizes))
    views = [
        x[(slice(None), *(slice(start, None, k) for start, k in zip(offset, sizes, strict=True)))] for offset in offsets
    ]
    largest = views[0]
    for view in views[1:]:
        largest = jnp.maximum(largest, view)
    return largest, (views, largest)


def _pool_backward(
    sizes: tuple[int, ...], kept: tuple[list[jax.Array], jax.Array], gradient: jax.Array
) -> tuple[jax.Array]:
    """The gradient goes to the first place that holds the largest value, as in XLA."""
    views, largest = kept
    taken = jnp.zeros(largest.shape, bool)
    parts = []
    for view in views:
        hit = (view == largest) & ~taken
        taken = taken | hit
        parts.append(jnp.where(hit, gradient, 0.0))
    grid = jnp.stack(parts).reshape(*sizes, *largest.shape)
    n_axes = len(sizes)
    # (a, b, batch, rows, columns, channels) → (batch, rows, a, columns, b, channels)
    order = [n_axes, *(one for axis in range(n_axes) for one in (n_axes + 1 + axis, axis)), 2 * n_axes + 1]
    spatial = [n * k for n, k in zip(largest.shape[1:-1], sizes, strict=True)]
    return (grid.transpose(order).reshape(largest.shape[0], *spatial, largest.shape[-1]),)


_pool.defvjp(_pool_forward, _pool_backward)
