"""KerasTuner code, unchanged: ``build(hp)`` functions and ``HyperModel`` classes as build functions of a study.

Their space is discovered by building: once with all defaults, then once per further value of every hyperparameter that
the code can branch on. So hyperparameters behind an ``if``, a loop or a ``conditional_scope`` are found, with their
condition.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import keras

from hpsearch.core.space import Config, Parameter, Value
from hpsearch.data.dataset import TrainingData, take
from hpsearch.errors import HpsearchError, ModelError
from hpsearch.models.failures import as_model_errors
from hpsearch.models.kerastuner_fit import discover_fit
from hpsearch.models.kerastuner_space import to_parameter, values_to_try

if TYPE_CHECKING:
    import keras_tuner

    from hpsearch.models.kerastuner_space import Declaration

    Hyperparameters: TypeAlias = keras_tuner.HyperParameters

_ENUMERATE_AT_MOST = 64


@dataclass(frozen=True, slots=True)
class KerasTunerModel:
    """A ``build(hp)`` function, or a ``HyperModel``.

    Attributes:
        address: ``module:name``, for messages.
        model: The function or the ``HyperModel`` object.
    """

    address: str
    model: "keras_tuner.HyperModel | Callable[[Hyperparameters], keras.Model]"

    def __call__(self, config: Config, _data: TrainingData) -> keras.Model:
        """Build with a config's values. KerasTuner code knows its data itself."""
        return self._build(_hyperparameters(config))

    def discover(self, data: TrainingData) -> dict[str, Parameter]:
        """The space that the code declares, each hyperparameter with its condition.

        Raises:
            ModelError: The code fails with its own defaults, or declares a name twice with different ranges.
        """
        exploration = _Exploration(self._declared)
        exploration.explore()
        space = exploration.parameters(self.address)
        if self._has_own_fit():
            import numpy as np

            rows = np.arange(min(len(data.y), 8))
            space |= discover_fit(self.address, self.model, take(data.x, rows), data.y[rows])
        return space

    def _build(self, hyperparameters: "Hyperparameters") -> keras.Model:
        function = self.model.build if hasattr(self.model, "build") else self.model
        if hasattr(self.model, "declare_hyperparameters"):
            self.model.declare_hyperparameters(hyperparameters)
        return function(hyperparameters)

    def _declared(self, values: Mapping[str, Value]) -> "dict[str, list[Declaration]]":
        """All hyperparameters that the code asks for when it gets `values`, by name, in order."""
        hyperparameters = _hyperparameters(values)
        self._build(hyperparameters)
        declared: dict[str, list[Declaration]] = {}
        for one in hyperparameters.space:
            declared.setdefault(one.name, []).append(one)
        return declared

    def _has_own_fit(self) -> bool:
        import keras_tuner

        own = getattr(type(self.model), "fit", None)
        return own is not None and own is not keras_tuner.HyperModel.fit


def as_keras_tuner(address: str, found: object) -> KerasTunerModel | None:
    """The object at the user's address, if it is KerasTuner code: a ``HyperModel`` (class or object) or ``build(hp)``.

    Raises:
        ModelError: A ``HyperModel`` class cannot be instantiated without arguments.
    """
    if inspect.isclass(found):
        if not hasattr(found, "build"):
            return None
        try:
            return KerasTunerModel(address, found())
        except TypeError as error:
            raise ModelError(
                f"{address}: the HyperModel class cannot be instantiated without arguments: {error}",
                code="needs-arguments",
                hint=f"create an object in its module, such as `model = {found.__name__}(…)`, and name that",
                address=address,
            ) from None
    if callable(getattr(found, "build", None)):
        return KerasTunerModel(address, found)
    return KerasTunerModel(address, found) if callable(found) and _takes_one(found) else None


def _takes_one(function: Callable[..., object]) -> bool:
    needed = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) == 1


def _hyperparameters(values: Mapping[str, Value]) -> "Hyperparameters":
    """KerasTuner's object with these values. Other hyperparameters have the code's defaults."""
    import keras_tuner

    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = dict(values)
    return hyperparameters


Declared = Callable[[Mapping[str, Value]], "dict[str, list[Declaration]]"]


@dataclass
class _Exploration:
    """Builds with one value changed at a time, and records which hyperparameters then exist.

    Attributes:
        declared: Runs the code with given values.
        found: Name → all its declarations, in order of discovery.
        context: Name → values with which it was first found.
        when: Name → parent → values of the parent under which it exists.
    """

    declared: Declared
    found: "dict[str, list[Declaration]]" = field(default_factory=dict)
    context: dict[str, dict[str, Value]] = field(default_factory=dict)
    when: dict[str, dict[str, tuple[Value, ...]]] = field(default_factory=dict)

    def explore(self) -> None:
        self._note(self.declared({}), {})
        explored: set[str] = set()
        while names := [name for name in self.found if name not in explored]:
            explored.add(names[0])
            self._vary(names[0])

    def parameters(self, address: str) -> dict[str, Parameter]:
        """All that was found, in order of discovery."""
        return {
            name: to_parameter(address, name, declarations, self.when.get(name, {}))
            for name, declarations in self.found.items()
        }

    def _vary(self, name: str) -> None:
        """Build with each value of one hyperparameter; a large range is sampled first."""
        sample, every = values_to_try(self.found[name][0])
        if len(every) < 2:
            return
        seen = {value: self._try(name, value) for value in sample}
        names = [set(one) for one in seen.values() if one is not None]
        if any(one != names[0] for one in names) and len(every) <= _ENUMERATE_AT_MOST:
            seen |= {value: self._try(name, value) for value in every if value not in seen}
        if set(seen) == set(every):
            self._conclude(name, {value: set(one) for value, one in seen.items() if one is not None})

    def _try(self, name: str, value: Value) -> "dict[str, list[Declaration]] | None":
        """None if the code cannot be built with this value. A trial that draws it will say so."""
        values = {**self.context[name], name: value}
        try:
            with as_model_errors(lambda error: ModelError(str(error), code="refused-value")):
                declared = self.declared(values)
        except HpsearchError:  # no error yet: perhaps no trial will ever have this value
            return None
        self._note(declared, values)
        return declared

    def _note(self, declared: "Mapping[str, Sequence[Declaration]]", values: dict[str, Value]) -> None:
        for name, declarations in declared.items():
            if name not in self.found:
                # A scope that is not active is explored as if it were.
                needed = {one.name: one.values[0] for one in declarations[0].conditions}
                self.found[name], self.context[name] = [], {**values, **needed}
            known = [(one.get_config(), one.conditions) for one in self.found[name]]
            self.found[name] += [one for one in declarations if (one.get_config(), one.conditions) not in known]

    def _conclude(self, name: str, seen: dict[Value, set[str]]) -> None:
        """What exists only for some values gets the condition of having one of them."""
        for other in self.found:
            present = tuple(value for value, names in seen.items() if other in names)
            in_play = other != name and present and other not in self.context[name]
            if in_play and len(present) < len(seen):
                self.when.setdefault(other, {})[name] = present
