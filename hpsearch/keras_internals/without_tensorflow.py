"""Keeps Keras on another backend from importing TensorFlow for a look at its types."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let Keras take TensorFlow for missing, where nobody has imported it yet.

    Serialising a model asks of every value whether it is one of TensorFlow's, and imports it to find out: 3 s, 600 MB.
    """
    lazy = getattr(keras.src.utils.module_utils, "tensorflow", None)
    if lazy is None or "tensorflow" in sys.modules or getattr(lazy, "_available", True) is not None:
        yield
        return
    lazy._available = False
    try:
        yield
    finally:
        lazy._available = None
