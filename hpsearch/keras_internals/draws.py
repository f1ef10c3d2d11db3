"""Initial values without a compile per shape, on the JAX backend.

JAX compiles its generator anew for every shape, half a second each: more than a small network trains. The generator
itself, Threefry-2x32 (J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011), is integer
arithmetic that NumPy does exactly, so ``glorot_uniform`` and its kin get the same values from here.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 20
"""Values per draw above which JAX's compiled generator is the quicker one."""

_turn = threading.RLock()

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


@contextmanager
def quick_draws() -> Iterator[None]:
    """Let Keras' uniform and constant initialisers draw from here while a model is built.

    No effect on other backends than JAX, and where :func:`uniform` is not exact. On JAX, threads wait for each other
    here: Keras draws the seeds of a model's layers from generators that all threads share.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    with _turn, _replaced() if is_exact() else nullcontext():
        yield


@contextmanager
def _replaced() -> Iterator[None]:
    from keras.src import backend

    replaced: list[tuple[Any, str, Any]] = [
        (module, name, getattr(module, name))
        for module, name in ((backend.random, "uniform"), (backend.numpy, "zeros"), (backend.numpy, "ones"))
        if hasattr(module, name)
    ]
    builder = threading.get_ident()
    for module, name, original in replaced:
        quick = _uniform(original) if name == "uniform" else _constant(original, name)
        setattr(module, name, _only_in(builder, quick, original))
    try:
        yield
    finally:
        for module, name, original in replaced:
            setattr(module, name, original)


def _only_in(thread: int, quick: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Another thread may be tracing a program, which must not depend on what is built meanwhile."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return (quick if threading.get_ident() == thread else original)(*args, **kwargs)

    return make


def _uniform(original: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    def draw(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        plain = isinstance(shape, tuple | list) and isinstance(seed, int) and 0 <= seed < 1 << 32
        plain = plain and isinstance(minval, int | float) and isinstance(maxval, int | float)
        kind = keras.backend.standardize_dtype(dtype or keras.backend.floatx())
        if not plain or kind != "float32" or not 0 < math.prod(shape) <= LARGEST:
            return original(shape, minval, maxval, dtype=dtype, seed=seed)
        return jax.numpy.array(uniform((seed, 0), tuple(shape), minval, maxval))

    return draw


def _constant(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    import jax

    fill = {"zeros": np.zeros, "ones": np.ones}[name]

    def make(shape: Any, dtype: Any = None) -> Any:
        kind = keras.backend.standardize_dtype(dtype or keras.backend.floatx())
        if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
            return original(shape, dtype=dtype)
        # ``array``, not ``asarray``: that compiles something for every new shape.
        return jax.numpy.array(fill(shape, dtype=kind))

    return make
