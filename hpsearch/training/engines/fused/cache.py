"""A small store that forgets what has not been used for longest."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by address, at most `most` of them.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, address: Hashable) -> T | None:
        """The value, or None where there is none."""
        if address in self._values:
            self._values.move_to_end(address)
        return self._values.get(address)

    def put(self, address: Hashable, value: T) -> None:
        """Keep a value; the one unused for longest goes where there are too many."""
        self._values[address] = value
        self._values.move_to_end(address)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
