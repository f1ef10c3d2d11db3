"""A small LRU cache."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class LRUCache(Generic[T]):
    """Values by address, at most `most` of them. The least recently used one goes first.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, address: Hashable) -> T | None:
        """The value, or None if there is none."""
        if address in self._values:
            self._values.move_to_end(address)
        return self._values.get(address)

    def put(self, address: Hashable, value: T) -> None:
        """Keep a value, and drop the least recently used one if there are too many."""
        self._values[address] = value
        self._values.move_to_end(address)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
