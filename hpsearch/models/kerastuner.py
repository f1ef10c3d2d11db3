"""KerasTuner code, unchanged: ``build(hp)`` functions and ``HyperModel`` classes as build functions of a study.

The code alone decides which hyperparameters a config has. :meth:`KerasTunerModel.asked` finds out by building with the
config; the search does so before every trial. :meth:`KerasTunerModel.discover` does it with many configs beforehand, so
that a study begins with most of its space.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np

from hpsearch.core.asked import Asked
from hpsearch.core.hyperparameters import OF_COMPILING, OF_EVERY_MODEL
from hpsearch.core.optimizers import OPTIMIZER_ARGUMENTS
from hpsearch.core.space import Config, Parameter, Value
from hpsearch.core.words import first_line
from hpsearch.data.dataset import TrainingData, keras_inputs, take
from hpsearch.errors import ModelError
from hpsearch.models.failures import as_model_errors
from hpsearch.models.kerastuner_exploration import Build, Exploration, Steering
from hpsearch.models.kerastuner_fit import check_fit
from hpsearch.models.kerastuner_space import to_parameter

if TYPE_CHECKING:
    import keras_tuner

    Hyperparameters: TypeAlias = keras_tuner.HyperParameters

_ROWS = 8
"""Rows that a ``HyperModel.fit`` gets when it is called to see what it does."""

_COMPILED_WITH = OPTIMIZER_ARGUMENTS | {"optimizer", *OF_COMPILING}


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
        return self._build(_hyperparameters(Recorded(config)))

    def discover(self, data: TrainingData, steering: Steering) -> dict[str, Parameter]:
        """The space of the code, as far as some builds show it.

        Args:
            data: The training rows.
            steering: What the study file says about hyperparameters.

        Raises:
            ModelError: The code fails with its own defaults, or declares a name twice with different ranges.
        """
        return Exploration(self.address, lambda values: self._try(values, data), steering).explore()

    def asked(self, config: Config, data: TrainingData) -> Asked:
        """What the code asks for when it is built with `config`.

        Raises:
            ModelError: ``HyperModel.fit`` does what folds cannot follow, or the code raises a ``FatalError``.
        """
        build = self._try(config, data)
        if build.error is not None and is_fatal(build.error):
            raise _fatal(self.address, build.error, config)
        declared = {name: to_parameter(self.address, name, [one], {}) for name, one in build.active().items()}
        values = {name: build.values[name] for name in declared if name in build.values}
        return Asked(declared, build.read, finished=build.error is None, values=values)

    def callbacks(self, config: Config, data: TrainingData) -> tuple[object, ...]:
        """The callbacks with which the code's own ``fit`` calls ``model.fit``, made anew.

        Raises:
            ModelError: The code fails, or does what folds cannot follow.
        """
        if not self._has_own_fit():
            return ()
        hyperparameters = _hyperparameters(Recorded(config))
        self._build(hyperparameters)
        return self._check_fit(hyperparameters, data)

    def _check_fit(self, hyperparameters: "Hyperparameters", data: TrainingData) -> tuple[object, ...]:
        rows = np.arange(min(len(data.y), _ROWS))
        return check_fit(self.address, self.model, hyperparameters, keras_inputs(take(data.x, rows)), data.y[rows])

    def _try(self, values: Config, data: TrainingData) -> Build:
        """Build the model, and call a ``fit`` of its own with a model that only records the call."""
        recorded = Recorded(values)
        hyperparameters = _hyperparameters(recorded)
        model, error = None, None
        try:
            with as_model_errors(_as_it_is):
                model = self._build(hyperparameters)
            if self._has_own_fit():
                self._check_fit(hyperparameters, data)
        except ModelError as raised:
            if raised.code not in ("model.build-failed", "model.fit-failed"):
                raise  # the code does what engines cannot follow
            error = _missing(self.address, recorded, hyperparameters, raised) or _original(raised)
        read = recorded.read | set(OF_EVERY_MODEL)
        if isinstance(model, keras.Model) and not model.compiled:
            read |= _COMPILED_WITH  # hpsearch compiles it with these
        return Build(
            space=tuple(hyperparameters.space),
            values=dict(hyperparameters.values),
            is_active=hyperparameters.is_active,
            read=frozenset(read),
            error=error,
        )

    def _build(self, hyperparameters: "Hyperparameters") -> keras.Model:
        function = self.model.build if hasattr(self.model, "build") else self.model
        if hasattr(self.model, "declare_hyperparameters"):
            self.model.declare_hyperparameters(hyperparameters)
        return function(hyperparameters)

    def _has_own_fit(self) -> bool:
        import keras_tuner

        own = getattr(type(self.model), "fit", None)
        return own is not None and own is not keras_tuner.HyperModel.fit


class Recorded(dict[str, Value]):
    """The values of KerasTuner's object: knows which of them the code reads, by ``hp.get`` or any other way.

    Attributes:
        read: Names that were asked for and are there.
        missing: Names that were asked for and are not there, in order.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self.read: set[str] = set()
        self.missing: list[str] = []

    def __getitem__(self, name: str) -> Value:
        self._note(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._note(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Value | None = None) -> Value | None:  # type: ignore[override]
        self._note(name)
        return super().get(name, default)

    def _note(self, name: str) -> None:
        if super().__contains__(name):
            self.read.add(name)
        else:
            self.missing.append(name)


def is_fatal(error: BaseException) -> bool:
    """Whether KerasTuner code raised one of KerasTuner's errors that end a search."""
    import keras_tuner

    return isinstance(error, keras_tuner.errors.FatalError)


def _fatal(address: str, error: Exception, config: Config) -> ModelError:
    values = ", ".join(f"{name}={value!r}" for name, value in config.items()) or "its own defaults"
    return ModelError(
        f"{address}: build raised {type(error).__name__}, which ends the study: {first_line(error)}",
        code="fatal",
        hint=f"the configuration was {values}; mend the cause, then resume",
        address=address,
        error=type(error).__name__,
        config=dict(config),
    )


def _as_it_is(error: Exception) -> ModelError:
    return ModelError(str(error), code="build-failed")


def _original(error: ModelError) -> Exception:
    cause = error.__cause__
    return cause if error.code == "model.build-failed" and isinstance(cause, Exception) else error


def _missing(
    address: str, recorded: Recorded, hyperparameters: "Hyperparameters", error: ModelError
) -> ModelError | None:
    """Why a build failed, if it read a hyperparameter that nobody declares."""
    declared = {one.name for one in hyperparameters.space}
    names = [name for name in recorded.missing if name not in declared and repr(name)[1:-1] in error.what]
    if not names or not isinstance(error.__cause__, KeyError):
        return None
    return ModelError(
        f"{address}: the code reads the hyperparameter {names[-1]!r}, which it does not declare",
        code="reads-undeclared",
        hint=f"declare it in the code, or set [space] {names[-1]} in the study file",
        address=address,
        name=names[-1],
    )


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
        except Exception as error:  # those of keras_tuner.applications raise ValueError
            raise ModelError(
                f"{address}: the HyperModel class cannot be instantiated without arguments: {error}",
                code="needs-arguments",
                hint=f"create an object in a module of yours, such as `model = {found.__name__}(…)`, and name that: "
                'build = "my_models:model"',
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


def _hyperparameters(values: Recorded) -> "Hyperparameters":
    """KerasTuner's object with these values. Other hyperparameters have the code's defaults."""
    import keras_tuner

    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = values
    return hyperparameters
