"""The configs of a finite space by index, without listing them."""

import hashlib
import math
from collections.abc import Iterator, Sequence

from hpsearch.core.counting import State
from hpsearch.core.space import Space, Value


class Enumeration:
    """The configs of a space (or of its grid), numbered from 0 in the order of :meth:`Space.grid`.

    Args:
        space: The space.
        points: None for all configs of the space; a number for those of ``space.grid(points)``.

    Attributes:
        size: Number of configs; None if they are infinite, or too many to count.
    """

    def __init__(self, space: Space, points: int | None = None) -> None:
        self._values = {name: one.values() if points is None else one.grid(points) for name, one in space.items()}
        self._counts = space.counts(points)
        self.size: int | None = None if self._counts is None else self._counts.total

    def config(self, index: int) -> dict[str, Value]:
        """Config number `index`, from 0.

        Raises:
            IndexError: There is no such config.
        """
        if self.size is None or not 0 <= index < self.size:
            raise IndexError(f"0 <= index < {self.size} must hold, but got {index}")
        counts, config = self._counts, dict[str, Value]()
        state: State = ()
        assert counts is not None
        for place, name in enumerate(counts.names):
            after = counts.after(place, state, None)
            if not counts.is_active(place, state):
                state = after
                continue
            start, each = 0, counts.ways(place + 1, after) if name not in counts.runs else 0
            for run in counts.runs.get(name, ()):
                after = counts.after(place, state, run.lets)
                start, each = run.start, counts.ways(place + 1, after)
                if index < each * run.length:
                    break
                index -= each * run.length
            step, index = divmod(index, each)
            config[name], state = self._at(name)[start + step], after
        return config

    def shuffled(self, seed: int) -> Iterator[dict[str, Value]]:
        """Every config once, in a random order that depends on `seed`. Computes one config at a time."""
        for index in range(self.size or 0):
            yield self.config(shuffled_index(index, self.size or 0, seed))

    def _at(self, name: str) -> Sequence[Value]:
        values = self._values[name]
        assert values is not None, "only finite spaces are counted"
        return values


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
