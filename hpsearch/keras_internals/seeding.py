"""Seeding Keras without importing TensorFlow on the JAX backend."""

import random
import sys

import keras
import numpy as np


def seed_everything(seed: int) -> None:
    """As ``keras.utils.set_random_seed``, but TensorFlow is seeded only where it is in use.

    Keras' own function imports TensorFlow wherever it is installed, to seed ``tf.data``; in a worker on the JAX
    backend that costs some 5 s and 600 MB for nothing.
    """
    if keras.backend.backend() != "jax" or "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)  # layers, initialisers and seed generators draw their default seeds here
    np.random.seed(seed)
    # The generator behind unseeded `keras.random` calls; Keras has no public handle for it (read in 3.12 … 3.15).
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
