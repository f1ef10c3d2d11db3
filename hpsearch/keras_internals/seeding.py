"""Seeding Keras without importing TensorFlow on the JAX backend, and the seed generators of a model."""

import random
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import keras
import numpy as np

from hpsearch.keras_internals.layers import flatten_layers


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


def default_seeds(seed: int) -> Iterator[int]:
    """The seeds that Keras draws after ``random.seed(seed)`` where none is given, in order.

    The same as Keras' own ``make_default_seed``. Should Keras change it, no initial value is predicted any more, and
    every lane's model is built.
    """
    source = random.Random(seed)
    while True:
        yield source.randint(1, int(1e9))


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """All seed generators of a model's layers. Keras lists them only among a layer's private attributes."""
    found = {id(one): one for layer in flatten_layers(model) for one in getattr(layer, "_seed_generators", ())}
    return list(found.values())


_DRAWS = 4096


def restart_shared_generators(model: keras.Model, seed: int, seed_of: Callable[[int], int]) -> None:
    """Let seed generators that a fresh model shares with earlier ones start anew, as its own do.

    Those come with layers that live outside the build function, and go on where the last model left them. A generator
    without a seed of its own gets one that depends on the model's seed, and one with a seed starts from that.

    Args:
        model: Fresh.
        seed: What it was built with.
        seed_of: The seed for the n-th generator that was not made with the model.
    """
    generators = seed_generators(model)
    drawn: set[int] = set()
    draws = islice(default_seeds(seed), _DRAWS)
    for number, one in enumerate(generators):
        first, steps = (int(part) for part in keras.ops.convert_to_numpy(one.state.value))
        given = one.get_config()["seed"]
        while given is None and steps == 0 and first not in drawn and (draw := next(draws, None)) is not None:
            drawn.add(draw)
        if given is None and (steps or first not in drawn):
            given = seed_of(number)
        if given is not None and (first, steps) != (given, 0):
            one.state.assign(np.array([given, 0]))


class KeptSeeds:
    """The states of a model's seed generators, kept while another model that shares them trains.

    Args:
        model: Fresh.
    """

    def __init__(self, model: keras.Model) -> None:
        self._states = [one.state for one in seed_generators(model)]
        self.keep()

    def keep(self) -> None:
        """Remember the states as they are."""
        self._values = [keras.ops.convert_to_numpy(one.value) for one in self._states]

    def put_back(self) -> None:
        """Make the states what they were."""
        for state, value in zip(self._states, self._values, strict=True):
            if not np.array_equal(keras.ops.convert_to_numpy(state.value), value):
                state.assign(value)
