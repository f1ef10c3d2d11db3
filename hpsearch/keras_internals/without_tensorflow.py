"""Keeps Keras on another backend from importing TensorFlow only to compare types."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let Keras take TensorFlow for missing, unless somebody has imported it already.

    When Keras serializes a model, it asks of every value whether it is one of TensorFlow's, and imports TensorFlow to
    find out. That takes 3 s and 600 MB.
    """
    lazy = lazy_tensorflow()
    if lazy is None or "tensorflow" in sys.modules or lazy._available is not None:
        yield
        return
    lazy._available = False
    try:
        yield
    finally:
        lazy._available = None


def lazy_tensorflow() -> Any:
    """Keras' stand-in for the TensorFlow package, which notes whether it can be imported; None if it is gone."""
    try:
        lazy = keras.src.utils.module_utils.tensorflow
    except AttributeError:
        return None
    return lazy if "_available" in vars(lazy) else None
