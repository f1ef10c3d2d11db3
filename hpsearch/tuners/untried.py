"""Configs that nobody has tried, where only code knows which hyperparameters a config has.

A space that is not exact cannot count its configs. But what code asks for, in its order, is a tree: each value leads to
the next question. A config is a path to a leaf, and a part of the tree is done once every value of its first question
has been followed to the end.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hpsearch.core.space import Value, config_key

Path = Iterable[tuple[str, Value]]
"""Questions and answers, in order."""

_DRAWS = 8


@dataclass(slots=True)
class _Node:
    """Attributes: the next question (None if nobody knows), its answers so far, whether the config ends here."""

    name: str | None = None
    answers: dict[object, "_Node"] = field(default_factory=dict)
    is_end: bool = False


class Tried:
    """The configs tried so far.

    Args:
        values_of: All values of a hyperparameter; None if there is no end of them.
    """

    def __init__(self, values_of: Callable[[str], Sequence[Value] | None]) -> None:
        self._values_of = values_of
        self._root = _Node()

    def add(self, path: Path) -> None:
        """Enter a config. One that contradicts what is known of the code's order is left out."""
        node = self._root
        for name, value in path:
            if node.is_end or node.name not in (None, name):
                return
            node.name = name
            node = node.answers.setdefault(config_key({"": value}), _Node())
        node.is_end = node.name is None

    def untried(self, rng: random.Random | None) -> dict[str, Value] | None:
        """The beginning of a config that has not been tried, whatever follows; None if all have been.

        Args:
            rng: Decides which; None for the first in order.
        """
        node, prefix = self._root, dict[str, Value]()
        while node.name is not None:
            values = self._values_of(node.name)
            if values is None:
                return prefix
            value = self._open_value(node, values, rng)
            if value is None:
                return None
            prefix[node.name] = value
            node = node.answers.get(config_key({"": value}), _Node())
        return None if node.is_end else prefix

    def _open_value(self, node: _Node, values: Sequence[Value], rng: random.Random | None) -> Value | None:
        if rng is not None:
            # In a long range nearly every value is open: no need to list them.
            for _ in range(_DRAWS):
                value = values[rng.randrange(len(values))]
                if not self._is_done(node, value):
                    return value
        found = [value for value in values if not self._is_done(node, value)]
        if not found:
            return None
        return found[0] if rng is None else rng.choice(found)

    def _is_done(self, node: _Node, value: Value) -> bool:
        below = node.answers.get(config_key({"": value}))
        return below is not None and self._is_complete(below)

    def _is_complete(self, node: _Node) -> bool:
        if node.is_end or node.name is None:
            return node.is_end
        values = self._values_of(node.name)
        return (
            values is not None
            and len(values) <= len(node.answers)
            and all(self._is_done(node, value) for value in values)
        )
