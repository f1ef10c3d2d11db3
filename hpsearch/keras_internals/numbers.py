"""Numbers inside models that a program can take as inputs, and the layers and optimizers that hold them.

Keras keeps hyperparameters such as rates as plain attributes, which its code reads whenever it is traced. Nothing
public lists them, so instances are searched.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from hpsearch.keras_internals.layers import flatten_layers, set_untracked
from hpsearch.keras_internals.optimizers import learning_rate_of

RATE_LAYERS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)
"""Layers whose strength can become an input of a program."""

AUGMENTATIONS = (
    keras.layers.RandomRotation,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.RandomContrast,
)
"""Layers that change images by random amounts, whose limits can become inputs of a program."""

STEPS = ("decay_steps", "warmup_steps")
"""Numbers of a learning-rate schedule that count steps, and so follow the rows of the fold."""

_ZERO_IS_OFF = ("clipnorm", "clipvalue", "global_clipnorm")
"""Numbers whose 0 Keras reads as "without": such a config is another program."""


@dataclass(frozen=True, slots=True)
class NumberSlot:
    """Where a model or its optimizer holds a number that a program can take as an input.

    Attributes:
        owner: ``"layer"`` or ``"optimizer"``.
        index: Which layer, in the order of :func:`flatten_layers` without the model itself; 0 for the optimizer.
        path: Attribute names from there, such as ``("rate",)`` or ``("kernel_regularizer", "l2")``.
        item: Which number of a pair; None if the attribute is the number.
    """

    owner: Literal["layer", "optimizer"]
    index: int
    path: tuple[str, ...]
    item: int | None = None

    @property
    def counts_steps(self) -> bool:
        """Whether it is a number of steps of a schedule."""
        return self.owner == "optimizer" and len(self.path) > 1 and self.path[-1] in STEPS

    @property
    def is_branched_on(self) -> bool:
        """Whether Keras may ask if the number is 0: optimizers do, and ``L1L2``."""
        return self.owner == "optimizer" or self.path[0].endswith("_regularizer")

    def holder(self, model: keras.Model, layers: Sequence[keras.layers.Layer]) -> Any:
        """The object whose attribute ``path[-1]`` is the number.

        Args:
            model: Has the optimizer.
            layers: The model's layers.
        """
        found: Any = layers[self.index] if self.owner == "layer" else model.optimizer
        for name in self.path[:-1]:
            found = getattr(found, name)
        return found


def numbers_in(model: keras.Model) -> Iterator[tuple[NumberSlot, float]]:
    """All numbers of a model that a program can take as inputs, except the learning rate, which is a variable."""
    for index, layer in enumerate(flatten_layers(model, include_self=False)):
        for name, value in vars(layer).items():
            if name.endswith("_regularizer") and value is not None:
                yield from _floats("layer", index, (name,), value)
        if type(layer) in (*RATE_LAYERS, *AUGMENTATIONS):
            yield from _floats("layer", index, (), layer)
        if isinstance(limits := getattr(layer, "factor", None), tuple) and type(layer) in AUGMENTATIONS:
            for item, value in enumerate(limits):
                yield NumberSlot("layer", index, ("factor",), item), float(value)
    optimizer = model.optimizer
    yield from _floats("optimizer", 0, (), optimizer)
    schedule = learning_rate_of(optimizer)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        yield from _floats("optimizer", 0, ("_learning_rate",), schedule)


def _floats(
    owner: Literal["layer", "optimizer"], index: int, path: tuple[str, ...], holder: object
) -> Iterator[tuple[NumberSlot, float]]:
    for name, value in vars(holder).items():
        if isinstance(value, float | np.floating) and name not in _ZERO_IS_OFF:
            yield NumberSlot(owner, index, (*path, name)), float(value)


@contextmanager
def numbers_set(
    model: keras.Model, layers: Sequence[keras.layers.Layer], slots: Sequence[NumberSlot], values: Sequence[Any]
) -> Iterator[None]:
    """Put traced `values` into the `slots` of a model while its code is traced.

    Args:
        model: Has the optimizer.
        layers: The model's layers, in the order of :func:`flatten_layers` without the model itself.
        slots: Where.
        values: What, one per slot.
    """
    places = [(slot.holder(model, layers), slot.path[-1]) for slot in slots]
    before = [getattr(holder, name) for holder, name in places]
    try:
        for slot, (holder, name), value in zip(slots, places, values, strict=True):
            number = TakenAsPositive(value) if slot.is_branched_on else value
            set_untracked(holder, name, number if slot.item is None else _replaced(holder, name, slot.item, number))
        yield
    finally:
        for (holder, name), value in zip(places, before, strict=True):
            set_untracked(holder, name, value)


def _replaced(holder: object, name: str, item: int, number: Any) -> tuple[Any, ...]:
    values = list(getattr(holder, name))
    values[item] = number
    return tuple(values)


class TakenAsPositive:
    """A traced number of an optimizer or a regularizer that counts as positive where Keras branches on it.

    ``if self.momentum != 0`` and the like ask whether a term exists at all. In a program it always exists, and is 0 for
    lanes without it.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __jax_array__(self) -> Any:
        """The number itself, for every computation."""
        import jax.numpy as jnp

        return jnp.asarray(self.value)

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    def __gt__(self, other: float) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)

    def __rsub__(self, other: Any) -> Any:
        return other - self.value

    def __sub__(self, other: Any) -> Any:
        return self.value - other

    def __mul__(self, other: Any) -> Any:
        return self.value * other

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        return self.value + other

    __radd__ = __add__
