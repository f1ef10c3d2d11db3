"""Search spaces: hyperparameters, their conditions, and the configs that they allow. Pure values."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpsearch.core.rules import RuleError
from hpsearch.core.words import closest, did_you_mean, listed

Value = bool | int | float | str
"""What a hyperparameter can be set to."""

Config = Mapping[str, Value]
"""The hyperparameter values of a trial: name → value for every *active* one, in the order of the space."""

Condition = Mapping[str, tuple[Value, ...]]
"""``when``: the hyperparameter is active only if every named one has one of these values; if empty, always."""


# ``asked`` marks a hyperparameter of KerasTuner code whose condition no ``when`` can express: it is part of the configs
# with which the code asks for it, and only the code knows which. It may be absent from a config.


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in ``[low, high]``, both ends inclusive.

    With ``step``, the values are ``low, low + step, …``, and the last one is at most ``high``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Condition = field(default_factory=dict)
    asked: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)
        # A bound written as 0 must not reach the model as a whole number: Keras' SGD rejects it as momentum.
        for name in ("low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def values(self) -> tuple[float, ...] | None:
        """All values in order; None for a continuous range."""
        if self.step is None:
            return (self.low,) if self.low == self.high else None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        # Without rounding, 0.1 + 2 * 0.1 would be 0.30000000000000004 in configs, tables and keys.
        return tuple(round(self.low + i * self.step, 12) for i in range(count))

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        allowed = self.values()
        if allowed is None:
            return self.low <= value <= self.high
        return any(math.isclose(value, one, rel_tol=1e-9, abs_tol=1e-12) for one in allowed)

    def grid(self, points: int) -> tuple[float, ...]:
        """All values of a range with a step; otherwise `points` evenly spaced values from low to high, inclusive."""
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
    """A whole number in ``[low, high]``, both ends inclusive: ``low, low + step, …``."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Condition = field(default_factory=dict)
    asked: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step if self.step != 1 else None)
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise RuleError(f"{name} must be a whole number, but got {value!r}", "bad-range", received=value)

    def values(self) -> range:
        """All values in order. They are not listed, so a range of billions costs nothing."""
        return range(self.low, self.high + 1, self.step)

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def grid(self, points: int) -> tuple[int, ...]:
        """All values if there are at most `points`, or with a step; otherwise `points` values, evenly spaced."""
        allowed = self.values()
        if len(allowed) <= points or self.step != 1:
            return tuple(allowed)
        spread = Float(float(self.low), float(self.high), log=self.log).grid(points)
        return tuple(dict.fromkeys(round(value) for value in spread))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values of any type, unordered."""

    options: tuple[Value, ...]
    when: Condition = field(default_factory=dict)
    asked: bool = False

    def __post_init__(self) -> None:
        if not self.options:
            raise RuleError("a choice needs at least one value, but the list is empty", "empty-choice")
        if len({_typed(option) for option in self.options}) < len(self.options):
            options = list(self.options)
            raise RuleError(
                f"the values of a choice must differ, but got {options!r}", "repeated-value", received=options
            )

    def values(self) -> tuple[Value, ...]:
        return self.options

    def contains(self, value: object) -> bool:
        return any(value == option and isinstance(value, bool) == isinstance(option, bool) for option in self.options)

    def grid(self, points: int) -> tuple[Value, ...]:
        """All values; `points` does not apply."""
        return self.options


@dataclass(frozen=True, slots=True)
class Constant:
    """A fixed value. It is in every config, but not searched."""

    value: Value
    when: Condition = field(default_factory=dict)
    asked: bool = False

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
    """Hyperparameters by name, in an order in which conditions come before the hyperparameters that depend on them.

    Raises:
        RuleError: A condition names an unknown hyperparameter or value, or conditions form a cycle.
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

    def extended(self, found: Mapping[str, Parameter]) -> "Space":
        """This space with further hyperparameters, and with others in place of those of the same name."""
        return Space({**self._parameters, **found}) if found else self

    @property
    def is_exact(self) -> bool:
        """Whether the space alone says which hyperparameters a config has: none is ``asked``."""
        return not any(parameter.asked for parameter in self._parameters.values())

    def is_active(self, name: str, config: Config) -> bool:
        """Whether `name` is part of a config; of an ``asked`` one, whether it may be.

        `config` must have the values that it depends on.
        """
        when = self._parameters[name].when
        return all(other in config and _is_in(config[other], allowed) for other, allowed in when.items())

    def searched(self) -> tuple[str, ...]:
        """Names with more than one possible value."""
        return tuple(name for name, parameter in self.items() if (v := parameter.values()) is None or len(v) > 1)

    def contains(self, config: Config) -> bool:
        """Whether `config` has exactly the active hyperparameters, each with an allowed value.

        Those that are ``asked`` may be absent.
        """
        seen: dict[str, Value] = {}
        for name, parameter in self.items():
            if not self.is_active(name, seen) or (parameter.asked and name not in config):
                continue
            if name not in config or not parameter.contains(config[name]):
                return False
            seen[name] = config[name]
        return len(seen) == len(config)

    def size(self) -> int | None:
        """Number of distinct configs; None if a continuous range makes it infinite.

        Unless the space :attr:`is_exact`, there may be fewer.
        """
        if any(parameter.values() is None for parameter in self.values()):
            return None
        return self._count(lambda parameter: parameter.values() or ())

    def grid_size(self, points: int) -> int:
        """Number of configs that :meth:`grid` yields."""
        return self._count(lambda parameter: parameter.grid(points))

    def grid(self, points: int) -> Iterator[dict[str, Value]]:
        """Every config; the last hyperparameter changes fastest.

        Args:
            points: Number of values from each continuous range, and from each whole-number range without a step that
                has more values than this.
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
        """Count configs without listing them. Only hyperparameters that others depend on are enumerated."""
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
    """A hashable key of a config, the same for equal configs in any order. 1 and True differ."""
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
            raise RuleError(f"{name} must be a finite number, but got {value!r}", "bad-range", received=value)
    if low > high:
        raise RuleError(f"low <= high must hold, but got low={low}, high={high}", "bad-range", received=(low, high))
    if log and low <= 0:
        raise RuleError(f"low > 0 must hold with log = true, but got low={low}", "bad-range", received=low)
    if step is not None and (isinstance(step, bool) or not step > 0):
        raise RuleError(f"step > 0 must hold, but got step={step}", "bad-range", received=step)
    if log and step is not None:
        raise RuleError(f"log = true cannot be combined with a step, but got step={step}", "bad-range", received=step)


def _check_conditions(parameters: Mapping[str, Parameter]) -> None:
    for name, parameter in parameters.items():
        for other, allowed in parameter.when.items():
            if other not in parameters:
                raise RuleError(
                    f"'when' names {other!r}, which is not in the space{did_you_mean(other, parameters)}; "
                    f"it has {listed(parameters)}",
                    "unknown-condition",
                    received=other,
                    closest=closest(other, parameters),
                    key=name,
                )
            for value in allowed:
                if not parameters[other].contains(value):
                    raise RuleError(
                        f"'when' requires {other} = {value!r}, which is not a possible value of {other}",
                        "impossible-condition",
                        received=value,
                        key=name,
                    )


def _ordered(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    done: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [name for name, parameter in waiting.items() if all(other in done for other in parameter.when)]
        if not ready:
            raise RuleError(
                f"the 'when' conditions of {listed(waiting)} form a cycle",
                "circular-conditions",
                received=tuple(waiting),
            )
        # One at a time, to keep the order of the file if the conditions allow it.
        done[ready[0]] = waiting.pop(ready[0])
    return done
