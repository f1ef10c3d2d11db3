"""The space of KerasTuner code, found by building.

First every hyperparameter is varied alone, which shows simple conditions such as ``num_layers in [2, 3]``. Then random
configs follow. They find what only combinations reach, and they refute conditions: those of an ``or``, an ``and`` or a
threshold are no ``when``. No number of builds finds everything, so the search goes on looking.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hpsearch.core.asked import Asked, endless_space, learn
from hpsearch.core.hyperparameters import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS
from hpsearch.core.seeds import derive
from hpsearch.core.space import Constant, Parameter, Space, Value
from hpsearch.errors import ModelError
from hpsearch.models.kerastuner_space import to_parameter, values_to_try
from hpsearch.tuners.dimensions import Dimensions

if TYPE_CHECKING:
    from hpsearch.models.kerastuner_space import Declaration

_ENUMERATE_AT_MOST = 64
"""Values of one hyperparameter that are all tried, if some of them change which others exist."""

_QUIET = 8
"""Random builds in a row without news that end the exploration."""

_RANDOM_AT_MOST = 40
_RANDOM_FOR_NAMES = 120
"""Random builds, and those while a name in the study file has not been seen."""

_NAMES_AT_MOST = 500
"""Hyperparameters; more of them are taken for names that are made up anew in every build."""

_DEFAULTS: Mapping[str, Value] = {"batch_size": DEFAULT_BATCH_SIZE, "epochs": DEFAULT_EPOCHS, "shuffle": True}


@dataclass(frozen=True, slots=True)
class Steering:
    """What a study file says about the hyperparameters of KerasTuner code.

    Attributes:
        names: Those that it names.
        of: Name and what the code declares (None for what it only reads) → the values that the study file sets, with
            the conditions of the code; None if it sets none.
    """

    names: tuple[str, ...] = ()
    of: Callable[[str, Parameter | None], Parameter | None] = lambda _name, _declared: None


@dataclass(frozen=True, slots=True)
class Build:
    """What the code did with some values.

    Attributes:
        space: All that it declares, in order, inactive scopes included.
        values: All values afterwards, defaults included.
        is_active: Whether a declaration is active.
        read: Names that it, or hpsearch on its behalf, reads.
        error: What it raised; None if it came to its end.
    """

    space: "tuple[Declaration, ...]"
    values: Mapping[str, Value]
    is_active: "Callable[[Declaration], bool]"
    read: frozenset[str]
    error: Exception | None = None

    def active(self) -> "dict[str, Declaration]":
        """Name → its first active declaration."""
        found: dict[str, Declaration] = {}
        for one in self.space:
            if self.is_active(one):
                found.setdefault(one.name, one)
        return found


@dataclass
class Exploration:
    """Builds with many values, and records which hyperparameters then exist.

    Attributes:
        address: Of the code, for messages.
        build: Runs the code with given values.
        steering: The study file's part.
        found: Name → all its declarations, in order of discovery.
        context: Name → values with which it was first found.
        when: Name → parent → values of the parent under which it exists.
        vague: Names that exist for some values only, nobody knows which.
        read: Names that any build has read.
        base: Values that the builds start from; those of the context come on top.
    """

    address: str
    build: Callable[[Mapping[str, Value]], Build]
    steering: Steering = field(default_factory=Steering)
    found: "dict[str, list[Declaration]]" = field(default_factory=dict)
    context: dict[str, dict[str, Value]] = field(default_factory=dict)
    when: dict[str, dict[str, tuple[Value, ...]]] = field(default_factory=dict)
    vague: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    base: Mapping[str, Value] = field(default_factory=dict)

    def explore(self) -> dict[str, Parameter]:
        """All hyperparameters that the builds have shown, in order of discovery.

        Raises:
            Exception: What the code raises with the values that it starts from.
            ModelError: It declares a name twice with different ranges.
        """
        base = self.base = self._base()
        explored: set[str] = set()
        while names := [name for name in self.found if name not in explored]:
            if len(explored) == _NAMES_AT_MOST:
                raise endless_space(tuple(self.found))
            explored.add(names[0])
            self._vary(names[0])
        parameters = self._parameters(base)
        parameters |= self._combine(parameters)
        for name, parameter in self._unreachable(parameters).items():
            parameters[name] = parameter
        return parameters

    def _base(self) -> dict[str, Value]:
        """Build with the code's defaults, and the study file's first values in place of them."""
        base = {name: one.grid(2)[0] for name in self.steering.names if (one := self.steering.of(name, None))}
        while True:
            build = self.build(base)
            missing = _undeclared(build.error)
            if missing is None or missing not in _DEFAULTS:
                break
            base[missing] = _DEFAULTS[missing]
        if build.error is not None:
            raise build.error
        self._note(build, {})
        return base

    def _parameters(self, base: Mapping[str, Value]) -> dict[str, Parameter]:
        known = {name: self._parameter(name) for name in self.found}
        for name in (*self.steering.names, *base):
            if name not in self.found and name in self.read:
                known[name] = self.steering.of(name, None) or Constant(base[name])
        return _consistent(known)

    def _parameter(self, name: str) -> Parameter:
        declared = to_parameter(self.address, name, self.found[name], self.when.get(name, {}))
        if name in self.vague:
            declared = replace(declared, when={}, asked=True)
        return self._steer(name, declared)

    def _steer(self, name: str, declared: Parameter) -> Parameter:
        """With the study file's values, under the conditions of the code."""
        given = self.steering.of(name, declared) or declared
        return replace(given, when=declared.when, asked=declared.asked)

    # One at a time

    def _vary(self, name: str) -> None:
        """Build with each value of one hyperparameter; a large range is sampled first."""
        declared = to_parameter(self.address, name, self.found[name][:1], {})
        sample, every = values_to_try(self._steer(name, declared))
        if len(sample) < 2:
            return
        seen = {value: self._try(name, value) for value in sample}
        names: list[set[str]] = [one for one in seen.values() if one is not None]
        differ = any(one != names[0] for one in names)
        if differ and len(every) <= _ENUMERATE_AT_MOST:
            seen |= {value: self._try(name, value) for value in every if value not in seen}
        if set(seen) == set(every):
            self._conclude(name, {value: one for value, one in seen.items() if one is not None})
        elif differ:
            self.vague |= set().union(*names) - names[0].intersection(*names) - self.context[name].keys()

    def _try(self, name: str, value: Value) -> "set[str] | None":
        """The names that are declared then; None if the code cannot be built with this value."""
        values = {**self.context[name], name: value}
        build = self.build({**self.base, **values})
        if build.error is not None:  # no error yet: perhaps no trial will ever have this value
            return None
        self._note(build, values)
        return {one.name for one in build.space}

    def _note(self, build: Build, values: Mapping[str, Value]) -> None:
        self.read |= build.read
        declared: dict[str, list[Declaration]] = {}
        for one in build.space:
            declared.setdefault(one.name, []).append(one)
        for name, declarations in declared.items():
            if name not in self.found:
                scope = self._scope(declarations[0])
                if scope is None:
                    continue
                self.found[name], self.context[name] = [], {**values, **scope}
            known = [(one.get_config(), one.conditions) for one in self.found[name]]
            self.found[name] += [one for one in declarations if (one.get_config(), one.conditions) not in known]

    def _scope(self, declaration: "Declaration") -> dict[str, Value] | None:
        """Values with which a ``conditional_scope`` is active: it is explored as if it were. None if there are none."""
        needed: dict[str, Value] = {}
        for one in declaration.conditions:
            if one.name not in self.found:
                return None
            parent = self._steer(one.name, to_parameter(self.address, one.name, self.found[one.name][:1], {}))
            fitting = [value for value in one.values if parent.contains(value)]
            if not fitting:
                return None
            needed[one.name] = fitting[0]
        return needed

    def _conclude(self, name: str, seen: dict[Value, set[str]]) -> None:
        """What exists only for some values gets the condition of having one of them."""
        for other in self.found:
            present = tuple(value for value, names in seen.items() if other in names)
            in_play = other != name and present and other not in self.context[name]
            if in_play and len(present) < len(seen):
                self.when.setdefault(other, {})[name] = present

    # Together

    def _combine(self, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
        """Build with random configs; returns what they add and refute."""
        first = space = Space(parameters)
        wanted = set(self.steering.names) - _DEFAULTS.keys()
        quiet = 0
        for draw in range(_RANDOM_FOR_NAMES):
            searching = not wanted <= space.keys()
            if not searching and (quiet == _QUIET or draw >= _RANDOM_AT_MOST):
                break
            config = Dimensions(space).uniform(derive(0, "explore", draw))
            build = self.build(config)
            changes = learn(space, config, self._asked(build))
            space = space.extended({name: self._steer(name, one) for name, one in changes.items()})
            space = space.extended(self._supplied(space, build.read & wanted))
            quiet = 0 if changes else quiet + 1
        return {name: one for name, one in space.items() if first.get(name) != one}

    def _supplied(self, space: Space, names: Iterable[str]) -> dict[str, Parameter]:
        """What the study file alone declares, and the code reads."""
        new = {name: self.steering.of(name, None) for name in names if name not in space}
        return {name: replace(one, when={}, asked=True) for name, one in new.items() if one is not None}

    def _asked(self, build: Build) -> Asked:
        declared = {name: to_parameter(self.address, name, [one], {}) for name, one in build.active().items()}
        return Asked(declared, build.read, finished=build.error is None)

    def _unreachable(self, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
        """Hyperparameters that the study file sets, of a part of the code that it rules out by other values."""
        unseen = set(self.steering.names) - parameters.keys() - _DEFAULTS.keys()
        if not unseen or not self.found:
            return {}
        try:
            declared = Exploration(self.address, self.build).explore()
        except (ModelError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            return {}  # without the study file's values, the code may not run at all
        new = {name: self.steering.of(name, declared[name]) for name in sorted(unseen & declared.keys())}
        return {name: replace(one, when={}, asked=True) for name, one in new.items() if one is not None}


def _consistent(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Without conditions that no value meets, and without what depends on hyperparameters that are not there."""
    kept: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        when = {
            other: tuple(value for value in allowed if other in parameters and parameters[other].contains(value))
            for other, allowed in parameter.when.items()
        }
        if all(when.values()):
            kept[name] = replace(parameter, when=when)
    return kept if len(kept) == len(parameters) else _consistent(kept)


def _undeclared(error: Exception | None) -> str | None:
    """The hyperparameter that a build failed for, because nobody declares it."""
    found = isinstance(error, ModelError) and error.code == "model.reads-undeclared"
    return str(error.values["name"]) if found and isinstance(error, ModelError) else None
