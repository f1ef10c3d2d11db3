"""Search spaces: hyperparameters, their conditions, and the configs that they allow. Pure values."""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpsearch.core.counting import Counts
from hpsearch.core.rules import RuleError
from hpsearch.core.values import Steps, check_size, digits_for, is_finite, typed
from hpsearch.core.values import Value as Value
from hpsearch.core.words import closest, did_you_mean, listed, quoted

Config = Mapping[str, Value]
"""The hyperparameter values of a trial: name → value for every *active* one, in the order of the space."""

Condition = Mapping[str, tuple[Value, ...]]
"""``when``: the hyperparameter is active only if every named one has one of these values; if empty, always."""

_EXACT = 2**53
"""Up to here, float64 holds every whole number, and so do the columns of Optuna's tables."""

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
        if not math.isfinite(self.high - self.low) or (self.log and not math.isfinite(self.high / self.low)):
            width = self.low, self.high
            raise RuleError(f"the range {width[0]} … {width[1]} is too wide for float64", "bad-range", received=width)
        if self.step is not None:
            Steps(self.low, self.high, self.step)

    def values(self) -> Sequence[float] | None:
        """All values in order; None for a continuous range. They are not listed."""
        if self.step is not None:
            return Steps(self.low, self.high, self.step)
        return (self.low,) if self.low == self.high else None

    def contains(self, value: object) -> bool:
        if not is_finite(value):
            return False
        assert isinstance(value, int | float)
        if self.step is not None:
            return value in Steps(self.low, self.high, self.step)
        if self.low == self.high:
            return math.isclose(value, self.low, rel_tol=1e-9, abs_tol=1e-12)
        return self.low <= value <= self.high

    def grid(self, points: int) -> Sequence[float]:
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
        digits = digits_for(self.low if self.log else (self.high - self.low) / points)
        return (self.low, *(round(value, digits) for value in inner), self.high)


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
                raise RuleError(f"{name} must be a whole number, but got {quoted(value)}", "bad-range", received=value)
            if abs(value) > _EXACT:
                rule = f"the whole numbers of a range lie within ±2^53, but {name} = {quoted(value)}"
                raise RuleError(rule, "bad-range", received=value)

    def values(self) -> range:
        """All values in order. They are not listed, so a range of billions costs nothing."""
        return range(self.low, self.high + 1, self.step)

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def grid(self, points: int) -> Sequence[int]:
        """All values if there are at most `points`, or with a step; otherwise `points` values, evenly spaced."""
        allowed = self.values()
        if len(allowed) <= points or self.step != 1:
            return allowed
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
        for option in self.options:
            check_size(option)
        if len({typed(option) for option in self.options}) < len(self.options):
            options = list(self.options)
            raise RuleError(
                f"the values of a choice must differ, but got {quoted(options)}", "repeated-value", received=options
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

    def __post_init__(self) -> None:
        check_size(self.value)

    def values(self) -> tuple[Value, ...]:
        return (self.value,)

    def contains(self, value: object) -> bool:
        return value == self.value and isinstance(value, bool) == isinstance(self.value, bool)

    def grid(self, points: int) -> tuple[Value, ...]:
        """The one value; `points` does not apply."""
        return (self.value,)


Parameter = Float | Int | Choice | Constant


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
        """Number of distinct configs; None if a continuous range makes it infinite, or conditions too large to count.

        Unless the space :attr:`is_exact`, there may be fewer.
        """
        found = self.counts()
        return None if found is None else found.total

    def grid_size(self, points: int) -> int | None:
        """Number of configs that :meth:`grid` yields; None if conditions make it too large to count."""
        found = self.counts(points)
        return None if found is None else found.total

    def counts(self, points: int | None = None) -> Counts | None:
        """The configs of the space, or of its grid with so many `points`; None if they are infinite."""
        values: dict[str, Sequence[Value]] = {}
        for name, parameter in self.items():
            found = parameter.values() if points is None else parameter.grid(points)
            if found is None:
                return None
            values[name] = found
        return Counts.of({name: parameter.when for name, parameter in self.items()}, values)

    def grid(self, points: int) -> Iterator[dict[str, Value]]:
        """Every config; the last hyperparameter changes fastest.

        Args:
            points: Number of values from each continuous range, and from each whole-number range without a step that
                has more values than this.
        """
        names, config = list(self), dict[str, Value]()
        values = {name: self[name].grid(points) for name in names}
        trail: list[tuple[int, Iterator[Value]]] = []  # a recursion would end at a thousand hyperparameters
        place = 0
        while True:
            while place < len(names) and not self.is_active(names[place], config):
                place += 1
            if place < len(names):
                trail.append((place, iter(values[names[place]])))
            else:
                yield dict(config)
            place = _advance(names, config, trail)
            if not trail:
                return


def _advance(names: Sequence[str], config: dict[str, Value], trail: list[tuple[int, Iterator[Value]]]) -> int:
    """Set the last hyperparameter that has one more value to it; returns the place after it."""
    while trail:
        place, rest = trail[-1]
        config.pop(names[place], None)
        for value in rest:
            config[names[place]] = value
            return place + 1
        trail.pop()
    return 0


def config_key(config: Config) -> tuple[tuple[str, object], ...]:
    """A hashable key of a config, the same for equal configs in any order. 1 and True differ."""
    return tuple(sorted((name, typed(value)) for name, value in config.items()))


def _is_in(value: Value, allowed: Sequence[Value]) -> bool:
    return any(typed(value) == typed(one) for one in allowed)


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    for name, value in (("low", low), ("high", high)):
        if not is_finite(value):
            raise RuleError(f"{name} must be a finite number, but got {quoted(value)}", "bad-range", received=value)
    if low > high:
        raise RuleError(f"low <= high must hold, but got low={low}, high={high}", "bad-range", received=(low, high))
    if log and low <= 0:
        raise RuleError(f"low > 0 must hold with log = true, but got low={low}", "bad-range", received=low)
    if step is not None and not (is_finite(step) and step > 0):
        raise RuleError(f"step > 0 must hold, but got step={quoted(step)}", "bad-range", received=step)
    if log and step is not None:
        raise RuleError(f"log = true cannot be combined with a step, but got step={step}", "bad-range", received=step)


def holder(parameter: Parameter) -> Callable[[Value], bool]:
    """What says whether a parameter has a value, for many values: a long list is not searched for each."""
    if not isinstance(parameter, Choice):
        return parameter.contains
    known = {(isinstance(option, bool), option) for option in parameter.options}
    return lambda value: (isinstance(value, bool), value) in known


def _check_conditions(parameters: Mapping[str, Parameter]) -> None:
    has: dict[str, Callable[[Value], bool]] = {}
    for name, parameter in parameters.items():
        for other, allowed in parameter.when.items():
            if other not in parameters:
                raise RuleError(
                    f"'when' names {quoted(other)}, which is not in the space{did_you_mean(other, parameters)}; "
                    f"it has {listed(parameters)}",
                    "unknown-condition",
                    received=other,
                    closest=closest(other, parameters),
                    key=name,
                )
            if other not in has:
                has[other] = holder(parameters[other])
            for value in allowed:
                if not has[other](value):
                    raise RuleError(
                        f"'when' requires {other} = {quoted(value)}, which is not a possible value of {other}",
                        "impossible-condition",
                        received=value,
                        key=name,
                    )


def _ordered(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """After those that they depend on, and else in their own order."""
    names = list(parameters)
    open_conditions = {name: len(parameter.when) for name, parameter in parameters.items()}
    dependents: dict[str, list[int]] = {}
    for place, parameter in enumerate(parameters.values()):
        for other in parameter.when:
            dependents.setdefault(other, []).append(place)
    ready = [place for place, name in enumerate(names) if not open_conditions[name]]
    done: dict[str, Parameter] = {}
    while ready:
        name = names[heapq.heappop(ready)]
        done[name] = parameters[name]
        for place in dependents.get(name, ()):
            open_conditions[names[place]] -= 1
            if not open_conditions[names[place]]:
                heapq.heappush(ready, place)
    if len(done) < len(names):
        waiting = [name for name in names if name not in done]
        raise RuleError(
            f"the 'when' conditions of {listed(waiting, most=10)} form a cycle",
            "circular-conditions",
            received=tuple(waiting),
        )
    return done
