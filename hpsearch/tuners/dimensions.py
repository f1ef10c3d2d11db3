"""A space in plain numbers, as search libraries need it: ranges, and indices for listed values.

Listed values (choices and stepped ranges) become indices, so no library compares ``True`` with ``1`` or turns ``0.3``
into ``0.30000000000000004``. Decoding always gives an allowed value of a plain Python type.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hpsearch.core.space import Choice, Config, Constant, Float, Int, Parameter, Space, Value
from hpsearch.core.values import place_in, typed

Number = int | float


@dataclass(frozen=True, slots=True)
class Dimension:
    """One hyperparameter in numbers.

    Attributes:
        name: The hyperparameter.
        kind: ``"float"`` (continuous), ``"int"`` (ordered whole numbers), ``"choice"`` (unordered indices) or
            ``"fixed"`` (one value).
        low: Smallest number, inclusive.
        high: Largest number, inclusive; an ``"int"`` reaches it exactly from `low` by `step`.
        log: Whether the scale is logarithmic.
        step: Distance between whole numbers; 1 for other kinds.
        values: The value of each index ``0 … high``; None if the number is the value.
        places: Index of each of `values`, by its :func:`hpsearch.core.values.typed`. Ranges compute it.
    """

    name: str
    kind: Literal["float", "int", "choice", "fixed"]
    low: Number
    high: Number
    log: bool = False
    step: int = 1
    values: Sequence[Value] | None = None
    places: Mapping[object, int] = field(default_factory=dict, repr=False, compare=False)

    def encode(self, value: Value) -> Number | None:
        """The number of `value`; None if it has none, because a grid leaves it out."""
        if self.values is None:
            return value if isinstance(value, int | float) else None
        if isinstance(self.values, tuple):
            return self.places.get(typed(value))
        return place_in(self.values, value)

    def decode(self, number: Number) -> Value:
        """The allowed value nearest to `number`, which may be out of range."""
        if self.kind == "float":
            return float(min(max(number, self.low), self.high))
        steps = round((min(max(number, self.low), self.high) - self.low) / self.step)
        whole = int(self.low) + steps * self.step
        return whole if self.values is None else self.values[whole]

    def uniform(self, rng: random.Random) -> Number:
        """A random number: uniform, or uniform on the logarithmic scale."""
        if self.kind != "float" and not self.log:
            return rng.randrange(int(self.low), int(self.high) + 1, self.step)
        # A whole number owns half a unit on both sides, so that both ends are as likely as the others.
        margin = 0.0 if self.kind == "float" else 0.5
        low, high = self.low - margin, self.high + margin
        if self.log:
            return math.exp(rng.uniform(math.log(low), math.log(high)))
        return rng.uniform(low, high)


class Dimensions(Mapping[str, Dimension]):
    """The dimensions of a space by name, in its order. Converts configs to numbers and back.

    Args:
        space: The space.
        points: None for the space itself; a number for its grid, in which every dimension lists its values.
    """

    def __init__(self, space: Space, points: int | None = None) -> None:
        self.space = space
        self._dimensions = {name: _dimension(name, parameter, points) for name, parameter in space.items()}
        self.searched = tuple(one for one in self._dimensions.values() if one.kind != "fixed")
        self.asked = tuple(one for one in self._dimensions.values() if space[one.name].asked)

    def __getitem__(self, name: str) -> Dimension:
        return self._dimensions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dimensions)

    def __len__(self) -> int:
        return len(self._dimensions)

    def encode(self, config: Config) -> dict[str, Number] | None:
        """Numbers of the active hyperparameters; None if the space (or grid) does not contain `config`."""
        if not self.space.contains(config):
            return None
        numbers = {name: self[name].encode(value) for name, value in config.items()}
        found = {name: number for name, number in numbers.items() if number is not None}
        return found if len(found) == len(numbers) else None

    def build(self, ask: Callable[[Dimension], Number]) -> dict[str, Value]:
        """A config from the answers of `ask`, called for each active searched dimension in the order of the space.

        It has all hyperparameters that are ``asked``.
        """
        config: dict[str, Value] = {}
        for name, dimension in self._dimensions.items():
            if self.space.is_active(name, config):
                config[name] = dimension.decode(0 if dimension.kind == "fixed" else ask(dimension))
        return config

    def uniform(self, seed: int) -> dict[str, Value]:
        """A random config; all dimensions are independent."""
        rng = random.Random(seed)
        return self.build(lambda dimension: dimension.uniform(rng))


def _dimension(name: str, parameter: Parameter, points: int | None) -> Dimension:
    values = _values(parameter, points)
    if values is not None:
        kind: Literal["int", "choice", "fixed"] = "choice" if isinstance(parameter, Choice) else "int"
        listed = values if isinstance(values, tuple) else ()
        places: dict[object, int] = {typed(value): index for index, value in enumerate(listed)}
        return Dimension(name, "fixed" if len(values) == 1 else kind, 0, len(values) - 1, values=values, places=places)
    if isinstance(parameter, Int):
        high = parameter.high - (parameter.high - parameter.low) % parameter.step
        return Dimension(name, "int", parameter.low, high, parameter.log, parameter.step)
    assert isinstance(parameter, Float), "all other kinds list their values"
    return Dimension(name, "float", parameter.low, parameter.high, parameter.log)


def _values(parameter: Parameter, points: int | None) -> Sequence[Value] | None:
    """The values of a dimension whose numbers are indices; None if its numbers are the values."""
    if points is not None:
        return parameter.grid(points)
    if isinstance(parameter, Choice | Constant):
        return parameter.values()
    if isinstance(parameter, Float):
        return parameter.values()
    return (parameter.low,) if parameter.low + parameter.step > parameter.high else None
