"""Initial values without a compile per shape, on the JAX backend.

JAX compiles its generator anew for every shape. Half a second each is more than a small network trains. So
``glorot_uniform`` and its kin get the same values from NumPy (:mod:`hpsearch.keras_internals.threefry`).
"""

import inspect
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras
import numpy as np

from hpsearch.keras_internals.threefry import is_exact, uniform

LARGEST = 1 << 20
"""Values per draw. Above it, JAX's compiled generator is faster."""

_ARGUMENTS = {
    "uniform": ("shape", "minval", "maxval", "dtype", "seed"),
    "zeros": ("shape", "dtype"),
    "ones": ("shape", "dtype"),
}
"""The functions of Keras' backend that are replaced, and their arguments as they were when this was written."""

_turn = threading.RLock()


@contextmanager
def quick_draws() -> Iterator[None]:
    """Let Keras' uniform and constant initializers draw from here while a model is built.

    There is no effect on backends other than JAX, nor where :func:`~hpsearch.keras_internals.threefry.uniform` is not
    exact. On JAX, threads wait for each other here: Keras draws the seeds of a model's layers from generators that all
    threads share.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    with _turn, _replaced(replaceable() if is_exact() else {}):
        yield


def replaceable() -> dict[str, ModuleType]:
    """Name → module of the backend functions that can be replaced: those that still take the same arguments.

    Keras' initializers look them up in these two private modules, and offer no other way in.
    """
    try:
        from keras.src import backend

        found = {"uniform": backend.random, "zeros": backend.numpy, "ones": backend.numpy}
    except (ImportError, AttributeError):
        return {}
    return {name: module for name, module in found.items() if _takes(getattr(module, name, None), _ARGUMENTS[name])}


def _takes(function: object, arguments: tuple[str, ...]) -> bool:
    return callable(function) and tuple(inspect.signature(function).parameters) == arguments


@contextmanager
def _replaced(places: dict[str, ModuleType]) -> Iterator[None]:
    originals = {name: getattr(module, name) for name, module in places.items()}
    builder = threading.get_ident()
    for name, module in places.items():
        original = originals[name]
        quick = _uniform(original) if name == "uniform" else _constant(original, name)
        setattr(module, name, _only_in(builder, quick, original))
    try:
        yield
    finally:
        for name, module in places.items():
            setattr(module, name, originals[name])


def _only_in(thread: int, quick: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Another thread may be tracing a program, which must not depend on what is built meanwhile."""

    def make(shape: Any, *args: Any, **kwargs: Any) -> Any:
        return (quick if threading.get_ident() == thread else original)(shape, *args, **kwargs)

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
