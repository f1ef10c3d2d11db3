"""Initial values of a lane without building its model: the same initializers, run with the lane's seeds.

Only for the model families that say what their initial values depend on (``Family.predictable``). Any other build
function may compute them from anything, so every lane's own model is built and read.

Keras draws the seed of every initializer and seed generator from Python's ``random`` while a model is built. So a
model's weights are a function of that sequence. Which place in it belongs to which variable is read off one model.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.keras_internals.layers import flatten_layers, initializers_of
from hpsearch.keras_internals.seeding import default_seeds

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
    """The seeds that a model draws when it is built after ``random.seed(seed)``, in order."""
    return list(islice(default_seeds(seed), _DRAWS))


@dataclass(frozen=True, slots=True)
class Sample:
    """A fresh model, and what it was built with."""

    model: keras.Model
    fold: int
    seed: int


class Prediction:
    """Initial values of all lanes of a recipe: from seeds, the fold's rows, or neither.

    Args:
        samples: At least two seeds, and every fold. The first is the one that the others are compared with.

    Raises:
        UnpredictableError: A variable of the samples is none of the three.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        first = samples[0].model
        places = {id(v): i for i, v in enumerate(first.variables)}
        self._trainable = [places[id(v)] for v in first.trainable_variables]
        self._non_trainable = [places[id(v)] for v in first.non_trainable_variables]
        self._variables = first.variables
        self._sources = _sources(first, samples[0].seed)
        self._by_fold: dict[int, list[ArrayOnHost]] = {}
        constants = [np.asarray(v.value) for v in self._variables]
        trains = set(self._trainable)
        for one in samples:
            # What nothing trains may have been adapted to the rows of the fold.
            known = self._by_fold.get(one.fold)
            seeds = seed_sequence(one.seed)
            found = [np.asarray(v.value) for v in one.model.variables]
            for index, (source, value) in enumerate(zip(self._sources, found, strict=True)):
                if source.place is not None:
                    wanted = np.asarray(source.value(seeds, self._variables[index]))
                elif index in trains:
                    wanted = constants[index]
                else:
                    wanted = value if known is None else known[index]
                if not np.array_equal(wanted, value):
                    raise UnpredictableError(self._variables[index].path)
            self._by_fold.setdefault(one.fold, found)

    def values(self, fold: int, seed: int) -> tuple[list[Value], list[Value]]:
        """Initial values of the trainable and of the non-trainable variables of a lane's model."""
        seeds, base = seed_sequence(seed), self._by_fold[fold]

        def value(index: int) -> Value:
            source = self._sources[index]
            return base[index] if source.place is None else source.value(seeds, self._variables[index])

        return [value(index) for index in self._trainable], [value(index) for index in self._non_trainable]


class UnpredictableError(Exception):
    """An initial value is neither drawn, nor adapted to the fold's rows, nor constant."""


def _sources(model: keras.Model, seed: int) -> list[Source]:
    """The source of every variable of a fresh model, in the order of ``model.variables``.

    A variable whose value cannot be reproduced counts as constant. Other samples show whether it is.
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
