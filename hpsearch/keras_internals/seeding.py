"""Seeding Keras without importing TensorFlow on the JAX backend."""

import random
import sys
from typing import Any

import keras
import numpy as np


def seed_everything(seed: int) -> None:
    """As ``keras.utils.set_random_seed``, but TensorFlow is seeded only if it is in use.

    Keras' own function imports TensorFlow wherever it is installed, to seed ``tf.data``. In a worker on the JAX backend
    that costs some 5 s and 600 MB for nothing.
    """
    generator = unseeded_generator() if keras.backend.backend() == "jax" and "tensorflow" not in sys.modules else None
    if generator is None:
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)  # layers, initializers and seed generators draw their default seeds from here
    np.random.seed(seed)
    state, seed_name, generator_name = generator
    state.set_global_attribute(seed_name, seed)
    state.set_global_attribute(generator_name, None)


def unseeded_generator() -> tuple[Any, str, str] | None:
    """Where Keras keeps the generator behind unseeded ``keras.random`` calls, which has no public handle.

    Returns:
        The module that holds its state, the name of its seed and the name of the generator; None if they are gone.
    """
    try:
        from keras.src.backend.common import global_state
        from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
        from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
    except ImportError:
        return None
    if not hasattr(global_state, "set_global_attribute"):
        return None
    return global_state, GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR
