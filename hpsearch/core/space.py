"""Search spaces: hyperparameters, their conditions, and the configs they allow. Pure values, standard library only."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Value = bool | int | float | str
"""What a hyperparameter can be set to."""

Config = Mapping[str, Value]
"""A trial's hyperparameter values: every *active* name → value, in the order of the space."""

Condition = Mapping[str, tuple[Value, ...]]
"""``when``: the hyperparameter is active only while each named one has one of these values; empty means always."""


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in ``[low, high]``, both ends inclusive.

    With ``step``, the values are ``low, low + step, …`` up to the last one not above ``high``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Condition = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        # Written as 0, an end would reach the model as a whole number, which Keras' SGD refuses as momentum.
        for name in ("low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def values(self) -> tuple[float, ...] | None:
        """All values in order, or None for a continuous range."""
        if self.step is None:
            return (self.low,) if self.low == self.high else None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        # Rounding keeps 0.1 + 2 * 0.1 from becoming 0.30000000000000004 in configs, tables and keys.
        return tuple(round(self.low + i * self.step, 12) for i in range(count))

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        allowed = self.values()
        if allowed is None:
            return self.low <= value <= self.high
        return any(math.isclose(value, one, rel_tol=1e-9, abs_tol=1e-12) for one in allowed)

    def grid(self, points: int) -> tuple[float, ...]:
        """All values of a stepped range; otherwise `points` values evenly spaced from low to high, both included."""
        allowed = self.values()
        if allowed is not None:
            return allowed
        if points < 2:
            return (self.low,)
        if self.log:
            ratio = math.log(self.high / self.low) / (points - 1)
            inner = [self.low * math.exp(ratio * i) for i in range(1, points - 1)]
        else:
            inner = [self.low + (self.high - self.low) * i / (points - 1) for i in range(1, points - 1)]
        return (self.low, *(round(value, 12) for value in inner), self.high)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in ``[low, high]``, both ends inclusive, every ``step`` from ``low``."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Condition = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step if self.step != 1 else None)
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} of an integer range must be a whole number, but got {value!r}")

    def values(self) -> range:
        """All values in order; never listed, so that a range over billions costs nothing."""
        return range(self.low, self.high + 1, self.step)

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def grid(self, points: int) -> tuple[int, ...]:
        """All values where there are at most `points` of them or a step was given; else `points` spread evenly."""
        allowed = self.values()
        if len(allowed) <= points or self.step != 1:
            return tuple(allowed)
        spread = Float(float(self.low), float(self.high), log=self.log).grid(points)
        return tuple(dict.fromkeys(round(value) for value in spread))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values of any kind, unordered."""

    options: tuple[Value, ...]
    when: Condition = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("a choice needs at least one value, but got an empty list")
        if len({_typed(option) for option in self.options}) < len(self.options):
            raise ValueError(f"the values of a choice must differ, but got {list(self.options)!r}")

    def values(self) -> tuple[Value, ...]:
        return self.options

    def contains(self, value: object) -> bool:
        return any(value == option and isinstance(value, bool) == isinstance(option, bool) for option in self.options)

    def grid(self, points: int) -> tuple[Value, ...]:
        """All values; `points` does not apply."""
        return self.options


@dataclass(frozen=True, slots=True)
class Constant:
    """A fixed value: part of every config, never searched."""

    value: Value
    when: Condition = field(default_factory=dict)

    def values(self) -> tuple[Value, ...]:
        return (self.value,)

    def contains(self, value: object) -> bool:
        return value == self.value and isinstance(value, bool) == isinstance(self.value, bool)

    def grid(self, points: int) -> tuple[Value, ...]:
        """The one value; `points` does not apply."""
        return (self.value,)


Parameter = Float | Int | Choice | Constant

ValuesOf = Callable[[Parameter], Sequence[Value]]


class Space(Mapping[str, Parameter]):
    """Hyperparameters by name, ordered so that a condition stands before what depends on it.

    Raises:
        ValueError: A condition names an unknown hyperparameter or value, or conditions form a circle.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        _check_conditions(parameters)
        self._parameters = _ordered(parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"Space({self._parameters!r})"

    def is_active(self, name: str, config: Config) -> bool:
        """Whether `name` belongs in a config that already holds the values it depends on."""
        when = self._parameters[name].when
        return all(other in config and _is_in(config[other], allowed) for other, allowed in when.items())

    def searched(self) -> tuple[str, ...]:
        """Names with more than one possible value."""
        return tuple(name for name, parameter in self.items() if (v := parameter.values()) is None or len(v) > 1)

    def contains(self, config: Config) -> bool:
        """Whether `config` holds exactly the active hyperparameters, each with an allowed value."""
        seen: dict[str, Value] = {}
        for name, parameter in self.items():
            if not self.is_active(name, seen):
                continue
            if name not in config or not parameter.contains(config[name]):
                return False
            seen[name] = config[name]
        return len(seen) == len(config)

    def size(self) -> int | None:
        """Number of distinct configs, or None where a continuous range makes it infinite."""
        if any(parameter.values() is None for parameter in self.values()):
            return None
        return self._count(lambda parameter: parameter.values() or ())

    def grid_size(self, points: int) -> int:
        """Number of configs that :meth:`grid` yields."""
        return self._count(lambda parameter: parameter.grid(points))

    def grid(self, points: int) -> Iterator[dict[str, Value]]:
        """Every config, the last hyperparameter changing fastest.

        Args:
            points: Values taken from each continuous range, and from whole-number ranges without a step that have
                more values than this.
        """
        yield from self._grid(list(self), {}, points)

    def _grid(self, names: list[str], config: dict[str, Value], points: int) -> Iterator[dict[str, Value]]:
        if not names:
            yield dict(config)
            return
        name, rest = names[0], names[1:]
        if not self.is_active(name, config):
            yield from self._grid(rest, config, points)
            return
        for value in self[name].grid(points):
            yield from self._grid(rest, {**config, name: value}, points)

    def _count(self, values_of: "ValuesOf") -> int:
        """Count configs without listing them: only hyperparameters that others depend on are enumerated."""
        deciding = {other for parameter in self.values() for other in parameter.when}
        free = [name for name in self if name not in deciding]
        total = 0
        for config in self._enumerate([name for name in self if name in deciding], {}, values_of):
            total += math.prod(len(values_of(self[name])) for name in free if self.is_active(name, config))
        return total

    def _enumerate(
        self, names: list[str], config: dict[str, Value], values_of: "ValuesOf"
    ) -> Iterator[dict[str, Value]]:
        if not names:
            yield config
        elif not self.is_active(names[0], config):
            yield from self._enumerate(names[1:], config, values_of)
        else:
            for value in values_of(self[names[0]]):
                yield from self._enumerate(names[1:], {**config, names[0]: value}, values_of)


def config_key(config: Config) -> tuple[tuple[str, object], ...]:
    """A hashable identity of a config: equal for equal configs whatever their order, 1 and True kept apart."""
    return tuple(sorted((name, _typed(value)) for name, value in config.items()))


def _typed(value: Value) -> tuple[str, Value]:
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", float(f"{value:.12g}")
    return "text", value


def _is_in(value: Value, allowed: Sequence[Value]) -> bool:
    return any(_typed(value) == _typed(one) for one in allowed)


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, but got {value!r}")
    if low > high:
        raise ValueError(f"low <= high must hold, but got low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold with log = true, but got low={low}")
    if step is not None and (isinstance(step, bool) or not step > 0):
        raise ValueError(f"step > 0 must hold, but got step={step}")
    if log and step is not None:
        raise ValueError(f"log and step exclude each other, but got log=true, step={step}")


def _check_conditions(parameters: Mapping[str, Parameter]) -> None:
    for name, parameter in parameters.items():
        for other, allowed in parameter.when.items():
            if other not in parameters:
                raise ValueError(f"{name}: 'when' names {other!r}, which is not in the space ({', '.join(parameters)})")
            for value in allowed:
                if not parameters[other].contains(value):
                    raise ValueError(f"{name}: 'when' asks for {other} = {value!r}, which {other} can never be")


def _ordered(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    done: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [name for name, parameter in waiting.items() if all(other in done for other in parameter.when)]
        if not ready:
            raise ValueError(f"'when' conditions form a circle among {', '.join(waiting)}")
        # One at a time, so that the file's order is kept wherever the conditions allow it.
        done[ready[0]] = waiting.pop(ready[0])
    return done
