"""JAX's uniform draws, computed by NumPy bit for bit.

JAX's generator, Threefry-2x32 (J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011), is integer
arithmetic, so NumPy gives the same bits. How JAX feeds it with counters, and makes floats of its bits, is no public
promise: :func:`is_exact` compares.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry_bits(key: tuple[int, int], count: int) -> NDArray[np.uint32]:
    """``jax.random.bits`` of a flat shape, under ``jax_threefry_partitionable``."""
    k0, k1 = (np.uint32(part) for part in key)
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(0x1BD11BDA))
    x0 = np.full(count, keys[0], dtype=np.uint32)
    x1 = np.arange(count, dtype=np.uint32) + keys[1]
    buffer = np.empty_like(x1)
    with np.errstate(over="ignore"):
        for round_ in range(5):
            for rotation in _ROTATIONS[round_ % 2]:
                x0 += x1
                np.right_shift(x1, np.uint32(32 - rotation), out=buffer)
                np.left_shift(x1, np.uint32(rotation), out=x1)
                x1 |= buffer
                x1 ^= x0
            x0 += keys[(round_ + 1) % 3]
            x1 += keys[(round_ + 2) % 3] + np.uint32(round_ + 1)
    return x0 ^ x1


def uniform(key: tuple[int, int], shape: tuple[int, ...], low: float, high: float) -> NDArray[np.float32]:
    """``jax.random.uniform`` in float32, bit for bit where :func:`is_exact`."""
    bits = threefry_bits(key, math.prod(shape))
    unit = ((bits >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    bottom = np.float32(low)
    width = np.float32(high) - bottom
    # XLA multiplies and adds with one rounding; float64 holds the product exactly.
    values = (unit.astype(np.float64) * np.float64(width) + np.float64(bottom)).astype(np.float32)
    return np.maximum(values, bottom).reshape(shape)


@cache
def is_exact() -> bool:
    """Whether this machine's JAX draws what :func:`uniform` draws (it may run another generator or rounding)."""
    import jax

    if jax.config.jax_default_prng_impl != "threefry2x32" or not jax.config.jax_threefry_partitionable:
        return False
    key, shape = (77, 0), (37, 29)
    drawn = jax.random.uniform(np.array(key, dtype=np.uint32), shape, minval=-0.173, maxval=0.173)
    return bool(np.array_equal(np.asarray(drawn), uniform(key, shape, -0.173, 0.173)))
