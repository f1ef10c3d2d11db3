"""Initial weights of a lane without building its model: the same initializers, run with the lane's seeds.

Keras draws the seed of every initializer and seed generator from Python's ``random`` while a model is built. So a
model's weights are a function of that sequence. Which place in it belongs to which variable is read off one model.
"""

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.keras_internals.layers import flatten_layers, initializers_of

ArrayOnHost: TypeAlias = NDArray[np.generic]

Value: TypeAlias = ArrayOnHost | jax.Array


class RandomInitializer(Protocol):
    """A Keras initializer with a seed."""

    seed: int

    def __call__(self, shape: tuple[int, ...], *, dtype: str) -> Value: ...


_DRAWS = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a variable's initial value comes from.

    Attributes:
        place: Place of its seed in the sequence; None if the value does not depend on the seed.
        initializer: Run with that seed; None for a seed generator, whose state is the seed itself.
    """

    place: int | None = None
    initializer: RandomInitializer | None = None

    def value(self, seeds: Sequence[int], variable: keras.Variable) -> Value:
        """The initial value under another sequence of seeds."""
        if self.place is None:
            raise ValueError("a constant has no seed")
        if self.initializer is None:
            return np.array([seeds[self.place], 0], dtype=np.uint32)
        self.initializer.seed = seeds[self.place]
        return self.initializer(tuple(variable.shape), dtype=variable.dtype)


def seed_sequence(seed: int) -> list[int]:
    """The seeds that a model draws when it is built after ``random.seed(seed)``, in order.

    The same as Keras' own ``make_default_seed``. Should Keras change it, no variable is explained any more, and every
    lane's model is built.
    """
    source = random.Random(seed)
    return [source.randint(1, int(1e9)) for _ in range(_DRAWS)]


def sources(model: keras.Model, seed: int) -> list[Source]:
    """The source of every variable of a fresh model, in the order of ``model.variables``.

    A variable whose value cannot be reproduced counts as constant. :func:`explained` shows whether it is.
    """
    places = {value: place for place, value in reversed(list(enumerate(seed_sequence(seed))))}
    initializers = _initializers_of(model)
    return [_source(variable, places, initializers.get(id(variable), ())) for variable in model.variables]


def _source(variable: keras.Variable, places: dict[int, int], initializers: tuple[RandomInitializer, ...]) -> Source:
    value = np.asarray(variable.value)
    if variable.path.endswith("seed_generator_state"):
        return Source(places.get(int(value[0])))
    for one in initializers:
        if isinstance(one.seed, int) and one.seed in places and _reproduces(one, variable, value):
            return Source(places[one.seed], copy.copy(one))
    return Source()


def _reproduces(initializer: RandomInitializer, variable: keras.Variable, value: ArrayOnHost) -> bool:
    if value.ndim == 0 or value.size == 0 or (value == value.flat[0]).all():
        return False
    try:
        return bool(np.array_equal(np.asarray(initializer(tuple(variable.shape), dtype=variable.dtype)), value))
    except (TypeError, ValueError):
        return False


def _initializers_of(model: keras.Model) -> dict[int, tuple[RandomInitializer, ...]]:
    """Variable id → random initializers of the layer that owns it."""
    found: dict[int, tuple[RandomInitializer, ...]] = {}
    for layer in flatten_layers(model):
        if mine := initializers_of(layer):
            for variable in layer.variables:
                found[id(variable)] = mine + found.get(id(variable), ())
    return found


def explained(
    model: keras.Model, seed: int, found: Sequence[Source], constants: Sequence[ArrayOnHost], skip: frozenset[int]
) -> bool:
    """Whether `found` predicts the variables of a model built with another seed.

    Args:
        model: Fresh.
        seed: What it was built with.
        found: Sources read off the first model.
        constants: The first model's values.
        skip: Indices of variables that depend on the fold's data.
    """
    seeds = seed_sequence(seed)
    for index, (variable, source) in enumerate(zip(model.variables, found, strict=True)):
        if index in skip:
            continue
        wanted = constants[index] if source.place is None else source.value(seeds, variable)
        if not np.array_equal(np.asarray(wanted), np.asarray(variable.value)):
            return False
    return True
