"""The configs of a finite space by index, without listing them."""

import hashlib
import math
from collections.abc import Iterator, Sequence

from hpsearch.core.space import Int, Parameter, Space, Value


class Enumeration:
    """The configs of a space (or of its grid), numbered from 0 in the order of :meth:`Space.grid`.

    Args:
        space: The space.
        points: None for all configs of the space; a number for those of ``space.grid(points)``.

    Attributes:
        size: Number of configs; None if a continuous range makes it infinite.
    """

    def __init__(self, space: Space, points: int | None = None) -> None:
        self._space = space
        self._names = tuple(space)
        self._values = {name: _allowed(space[name], points) for name in self._names}
        self._later = [
            frozenset(other for name in self._names[position:] for other in space[name].when)
            for position in range(len(self._names) + 1)
        ]
        self._counts: dict[object, int] = {}
        finite = all(values is not None for values in self._values.values())
        self.size: int | None = self._count(0, {}) if finite else None

    def config(self, index: int) -> dict[str, Value]:
        """Config number `index`, from 0.

        Raises:
            IndexError: There is no such config.
        """
        if self.size is None or not 0 <= index < self.size:
            raise IndexError(f"0 <= index < {self.size} must hold, but got {index}")
        config: dict[str, Value] = {}
        for position, name in enumerate(self._names):
            if not self._space.is_active(name, config):
                continue
            if name not in self._later[position + 1]:
                # No later hyperparameter depends on this one, so all its values have the same number of configs.
                place, index = divmod(index, self._count(position + 1, config))
                config[name] = self._at(name)[place]
                continue
            for value in self._at(name):
                count = self._count(position + 1, {**config, name: value})
                if index < count:
                    config[name] = value
                    break
                index -= count
        return config

    def shuffled(self, seed: int) -> Iterator[dict[str, Value]]:
        """Every config once, in a random order that depends on `seed`. Computes one config at a time."""
        for index in range(self.size or 0):
            yield self.config(shuffled_index(index, self.size or 0, seed))

    def _at(self, name: str) -> Sequence[Value]:
        values = self._values[name]
        assert values is not None, "only finite spaces are counted"
        return values

    def _count(self, position: int, config: dict[str, Value]) -> int:
        """Number of ways to set the hyperparameters from `position` on, after the earlier ones in `config`."""
        if position == len(self._names):
            return 1
        decided = {name: value for name, value in config.items() if name in self._later[position]}
        memo = (position, tuple((name, type(value), value) for name, value in decided.items()))
        if memo not in self._counts:
            name = self._names[position]
            if not self._space.is_active(name, decided):
                count = self._count(position + 1, decided)
            elif name in self._later[position + 1]:
                count = sum(self._count(position + 1, {**decided, name: value}) for value in self._at(name))
            else:
                count = len(self._at(name)) * self._count(position + 1, decided)
            self._counts[memo] = count
        return self._counts[memo]


def shuffled_index(index: int, size: int, seed: int) -> int:
    """A random permutation of ``range(size)`` at `index`, computed directly.

    This is a four-round Feistel network on the next even number of bits. Results out of range go through it again
    ("cycle walking": Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
    """
    half = max(1, math.ceil((size - 1).bit_length() / 2))
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(4):
            digest = hashlib.blake2b(f"{seed}:{turn}:{right}".encode(), digest_size=16).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        index = left << half | right
        if index < size:
            return index


def _allowed(parameter: Parameter, points: int | None) -> Sequence[Value] | None:
    if points is not None:
        return parameter.grid(points)
    if isinstance(parameter, Int):
        # A range, not a tuple: there may be a billion values.
        return range(parameter.low, parameter.high + 1, parameter.step)
    return parameter.values()
