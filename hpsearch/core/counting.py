"""How many configs a space has, without listing them.

Hyperparameters that others depend on make the configs of a space unequal. What matters of such a value is which of the
others it lets be, so values that do the same are counted together, in a range of billions as in a list of two. The
count goes through the hyperparameters in their order and keeps what later ones still depend on: a chain of thousands of
conditions costs no more than its length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpsearch.core.values import Value, place_in, typed

MOST_STATES = 50_000
"""Distinct states of one count. A space with more has more configs than this."""

State = tuple[tuple[str, frozenset[str]], ...]
"""Values that have been set, as far as later hyperparameters depend on them: name → the hyperparameters that they let
be."""


class Run(NamedTuple):
    """Neighbouring values of a hyperparameter that do the same to all that depend on it."""

    start: int
    length: int
    lets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """The configs of a space, by what has been set so far.

    Attributes:
        names: All hyperparameters, in order.
        runs: Of those that others depend on, all values in order.
        total: Number of configs; None if there are too many states to count.
    """

    names: tuple[str, ...]
    runs: Mapping[str, Sequence[Run]]
    total: int | None
    _when: Mapping[str, frozenset[str]]
    _last: Mapping[str, int]
    _ways: Sequence[Mapping[State, int]]

    @classmethod
    def of(cls, when: Mapping[str, Mapping[str, Sequence[Value]]], values: Mapping[str, Sequence[Value]]) -> "Counts":
        """Count.

        Args:
            when: Each hyperparameter, after those that it depends on → those, with the values that let it be.
            values: Each hyperparameter → its values.
        """
        last = {other: place for place, conditions in enumerate(when.values()) for other in conditions}
        counts = cls(
            names=tuple(when),
            runs={name: _runs(values[name], let) for name, let in _let(when).items()},
            total=None,
            _when={name: frozenset(conditions) for name, conditions in when.items()},
            _last=last,
            _ways=[{} for _ in range(len(when) + 1)],
        )
        return counts._counted({name: len(one) for name, one in values.items()})

    def _counted(self, sizes: Mapping[str, int]) -> "Counts":
        layers: list[dict[State, list[tuple[int, State]]]] = [{(): []}]
        work = 0
        for place, name in enumerate(self.names):
            layer: dict[State, list[tuple[int, State]]] = {}
            for state, following in layers[-1].items():
                following += self._following(place, state, sizes[name])
                work += len(following)
                if work > MOST_STATES:
                    return self
                layer.update((after, []) for _, after in following)
            layers.append(layer)
        ways: list[dict[State, int]] = [{} for _ in layers]
        ways[-1] = dict.fromkeys(layers[-1], 1)
        for place in reversed(range(len(self.names))):
            for state, following in layers[place].items():
                ways[place][state] = sum(count * ways[place + 1][after] for count, after in following)
        return Counts(self.names, self.runs, ways[0][()], self._when, self._last, ways)

    def _following(self, place: int, state: State, size: int) -> list[tuple[int, State]]:
        """What a state becomes with the hyperparameter at `place`, and by how many of its values."""
        name = self.names[place]
        if not self.is_active(place, state):
            return [(1, self.after(place, state, None))]
        if name not in self.runs:
            return [(size, self.after(place, state, None))]
        found: dict[frozenset[str], int] = {}
        for run in self.runs[name]:
            found[run.lets] = found.get(run.lets, 0) + run.length
        return [(count, self.after(place, state, lets)) for lets, count in found.items()]

    def is_active(self, place: int, state: State) -> bool:
        """Whether the hyperparameter at `place` is part of the configs of a state."""
        name = self.names[place]
        wanted = self._when[name]
        return not wanted or sum(other in wanted and name in lets for other, lets in state) == len(wanted)

    def after(self, place: int, state: State, lets: frozenset[str] | None) -> State:
        """The state after the hyperparameter at `place`.

        Args:
            place: Its place.
            state: The state before it.
            lets: What its value lets be; None if it is inactive, or nothing depends on it.
        """
        kept = tuple(one for one in state if self._last[one[0]] > place)
        name = self.names[place]
        return kept if lets is None or self._last[name] <= place else (*kept, (name, lets))

    def ways(self, place: int, state: State) -> int:
        """Number of ways to set the hyperparameters from `place` on."""
        return self._ways[place][state]


def _let(when: Mapping[str, Mapping[str, Sequence[Value]]]) -> dict[str, dict[object, tuple[Value, set[str]]]]:
    """Hyperparameter → its values that conditions name, and the hyperparameters that each lets be."""
    found: dict[str, dict[object, tuple[Value, set[str]]]] = {}
    for other, conditions in when.items():
        for name, values in conditions.items():
            known = found.setdefault(name, {})
            for value in values:
                known.setdefault(typed(value), (value, set()))[1].add(other)
    return found


def _runs(values: Sequence[Value], let: Mapping[object, tuple[Value, set[str]]]) -> list[Run]:
    if isinstance(values, tuple):
        marked = {place: let[key][1] for place, one in enumerate(values) if (key := typed(one)) in let}
    else:
        found = ((place_in(values, value), others) for value, others in let.values())
        marked = {place: others for place, others in found if place is not None}
    runs: list[Run] = []
    start = 0
    for place in sorted(marked):
        if place > start:
            runs.append(Run(start, place - start, frozenset()))
        runs.append(Run(place, 1, frozenset(marked[place])))
        start = place + 1
    if start < len(values):
        runs.append(Run(start, len(values) - start, frozenset()))
    return runs
