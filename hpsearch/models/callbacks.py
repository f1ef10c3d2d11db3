"""Keras' callbacks of a config: those of the study file, of ``callbacks(config)`` and of ``HyperModel.fit``."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import TypeAlias

import keras

from hpsearch.core.callbacks import (
    ARGUMENTS,
    Direction,
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    Schedule,
    Stock,
    TerminateOnNaN,
    arguments_of,
    made,
)
from hpsearch.core.foreign import said
from hpsearch.core.metrics import direction_of
from hpsearch.core.objective import Objective
from hpsearch.core.space import Config
from hpsearch.core.user_code import load_object
from hpsearch.core.words import quoted
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError
from hpsearch.keras_internals.optimizers import learning_rate_of
from hpsearch.models.builder import ModelBuilder
from hpsearch.models.failures import as_model_errors
from hpsearch.models.kerastuner import KerasTunerModel
from hpsearch.spec import StudySpec
from hpsearch.spec.training import ELSEWHERE

Item: TypeAlias = Stock | keras.callbacks.Callback

_FUNCTION = "callbacks"
"""Name of the function in the build module."""

_LONG = 10**9


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The callbacks of one lane, in their order.

    Attributes:
        items: Keras' stock callbacks as values, the user's own as they are.
        left_out: Those that have no use here, and what does their work; one sentence each.
    """

    items: tuple[Item, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def stock(self) -> tuple[Stock, ...]:
        """Keras' stock callbacks."""
        return tuple(one for one in self.items if not isinstance(one, keras.callbacks.Callback))

    @property
    def own(self) -> tuple[keras.callbacks.Callback, ...]:
        """All others."""
        return tuple(one for one in self.items if isinstance(one, keras.callbacks.Callback))

    @property
    def lowers_rate(self) -> bool:
        """Whether the learning rate depends on what an epoch has recorded."""
        return any(isinstance(one, ReduceLROnPlateau | keras.callbacks.ReduceLROnPlateau) for one in self.items)

    @property
    def stops_folds(self) -> bool:
        """Whether each fold may end by what it has recorded itself."""
        stock = any(isinstance(one, EarlyStopping) and one.scope == "fold" for one in self.stock)
        return stock or any(isinstance(one, keras.callbacks.EarlyStopping) for one in self.own)

    def without_validation(self) -> "Callbacks":
        """Those that run where no rows are left to validate on.

        Without those that monitor; where they set the learning rate, the others that do so go with them.
        """
        gone: tuple[type, ...] = (EarlyStopping, ReduceLROnPlateau, keras.callbacks.EarlyStopping)
        gone = (*gone, keras.callbacks.ReduceLROnPlateau)
        if self.lowers_rate:
            gone = (*gone, LearningRateScheduler, keras.callbacks.LearningRateScheduler)
        return replace(self, items=tuple(one for one in self.items if not isinstance(one, gone)))


def callbacks_of(spec: StudySpec, builder: ModelBuilder, config: Config, data: TrainingData) -> Callbacks:
    """The callbacks of a lane, made anew.

    Raises:
        ModelError: The user's code fails, or returns something else.
    """
    items: list[Item] = [_with_function(one, spec.folder) for one in spec.training.stock(config)]
    left_out: list[str] = []
    for address, found in _given(builder, config, data):
        for one in _checked(address, found):
            kind = type(one).__name__
            if type(one) in _OF_FILES:
                left_out.append(f"{kind} of {address} is left out, it has no use here: {ELSEWHERE[kind]}")
            elif type(one) not in (keras.callbacks.History, keras.callbacks.ProgbarLogger):
                items.append(_translated(address, one))
    return Callbacks(tuple(items), tuple(left_out))


_OF_FILES = tuple(getattr(keras.callbacks, name) for name in ELSEWHERE)


def _given(builder: ModelBuilder, config: Config, data: TrainingData) -> Iterable[tuple[str, object]]:
    """What the user's code returns, and where it comes from."""
    module = builder.address.partition(":")[0]
    function = getattr(sys.modules.get(module), _FUNCTION, None)
    if function is not None and not isinstance(function, ModuleType):  # such as keras.callbacks itself
        address = f"{module}:{_FUNCTION}"
        if not callable(function) and not isinstance(function, list | tuple):
            raise ModelError(
                f"{address} is a {type(function).__name__}, not a list of callbacks, or a function that returns one",
                code="callbacks-no-function",
                hint="write callbacks(config), which makes new ones and returns them in a list",
                address=address,
            )
        with as_model_errors(partial(_raised, address, config)):
            found = function(config) if callable(function) else deepcopy(function)  # each fold has its own
        yield address, found
    if isinstance(builder.function, KerasTunerModel):
        yield f"{builder.address}.fit", builder.function.callbacks(config, data)


def _raised(address: str, config: Config, error: Exception) -> ModelError:
    values = ", ".join(f"{name}={value!r}" for name, value in config.items())
    return ModelError(
        f"{address} raised {said(error)}",
        code="callbacks-failed",
        hint=f"the configuration was {values}",
        address=address,
        error=type(error).__name__,
    )


def _checked(address: str, found: object) -> Sequence[keras.callbacks.Callback]:
    if isinstance(found, keras.callbacks.CallbackList):
        found = found.callbacks
    if not isinstance(found, list | tuple):
        what = "None (is a `return` missing?)" if found is None else f"a {type(found).__name__}"
        raise ModelError(
            f"{address} returned {what}, not a list of callbacks",
            code="callbacks-no-list",
            hint="return a list, such as [keras.callbacks.EarlyStopping(patience=3)]",
            address=address,
            found=type(found).__name__,
        )
    for one in found:
        if not isinstance(one, keras.callbacks.Callback):
            raise _no_callback(address, one)
    return found


def _no_callback(address: str, one: object) -> ModelError:
    kind = one if isinstance(one, type) else type(one)
    hint = "callbacks are objects of keras.callbacks"
    if isinstance(one, type):
        hint = f"make an object of the class: {kind.__name__}(…)"
    elif kind.__module__.startswith(("tf_keras", "tensorflow.")):
        hint = "legacy tf_keras callbacks are not supported: import keras (version 3)"
    what = f"the class {kind.__name__}" if isinstance(one, type) else f"a {kind.__module__}.{kind.__name__}"
    return ModelError(
        f"{address}: its list has {what}, which is no Keras callback",
        code="no-callback",
        hint=hint,
        address=address,
        found=f"{kind.__module__}.{kind.__name__}",
    )


_STOCK: Mapping[type, type[Stock]] = {
    keras.callbacks.EarlyStopping: EarlyStopping,
    keras.callbacks.ReduceLROnPlateau: ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler: LearningRateScheduler,
    keras.callbacks.TerminateOnNaN: TerminateOnNaN,
}


def _translated(address: str, one: keras.callbacks.Callback) -> Item:
    """A callback of exactly one of Keras' stock classes as a value; any other as it is.

    Raises:
        ModelError: An argument can never be right.
    """
    if type(one) not in _STOCK:
        return one
    kind = type(one).__name__
    values = {name: getattr(one, name) for name in arguments_of(kind) if name != "scope"}
    if "min_delta" in values:
        values["min_delta"] = abs(values["min_delta"])  # Keras turns its sign once it has been used
    for name, value in values.items():
        plain = value.item() if hasattr(value, "item") else value
        rule = ARGUMENTS[name]
        if name not in ("schedule", "baseline") and not rule.allows(plain):
            raise ModelError(
                f"{address}: {name} of {kind} must be {rule.words}, but got {quoted(value)}",
                code="bad-callback",
                address=address,
                argument=name,
                value=repr(value),
            )
        values[name] = plain
    return made(kind, values)


def _with_function(rule: Stock, folder: str) -> Stock:
    """A schedule that a study file names, loaded."""
    if not isinstance(rule, LearningRateScheduler) or not isinstance(rule.schedule, str):
        return rule
    found = load_object(rule.schedule, folder, ModelError)
    if not callable(found):
        raise ModelError(
            f"training.callbacks: {rule.schedule} is of type {type(found).__name__}, not a function",
            code="not-a-function",
            hint="write a function of epoch and learning rate that returns a learning rate",
            address=rule.schedule,
        )
    schedule: Schedule = found
    return LearningRateScheduler(schedule)


def directions_of(rules: Iterable[Stock], model: keras.Model, objective: Objective) -> dict[str, Direction]:
    """Monitor → whether lower or higher is better. As Keras knows it; else as the study does.

    Args:
        rules: The callbacks.
        model: Compiled, its metrics built.
        objective: The study's.

    Raises:
        ModelError: Nobody knows.
    """
    found: dict[str, Direction] = {}
    for rule in rules:
        if not isinstance(rule, EarlyStopping | ReduceLROnPlateau):
            continue
        known: Direction | None
        if rule.mode != "auto":
            known = "maximize" if rule.mode == "max" else "minimize"
        else:
            known = _of_keras(model, rule.monitor) or direction_of(rule.monitor)
            known = objective.direction if known is None and rule.monitor == objective.metric else known
        if known is None:
            raise unknown_mode(type(rule).__name__, rule.monitor)
        found[rule.monitor] = known
    return found


def unknown_mode(kind: str, monitor: str) -> ModelError:
    """The error for a monitor of which nobody knows whether lower or higher is better."""
    return ModelError(
        f'{kind}: whether a lower or a higher {monitor} is better is not known with mode = "auto"',
        code="unknown-mode",
        hint='say mode = "min" or mode = "max"',
        monitor=monitor,
    )


def _of_keras(model: keras.Model, monitor: str) -> Direction | None:
    """What Keras takes for better; None if it does not know. Asked with a callback of its own."""
    probe = keras.callbacks.EarlyStopping(monitor, patience=_LONG)
    probe.set_model(model)
    probe.on_train_begin()
    try:
        for epoch, value in enumerate((0.0, 1.0)):
            probe.on_epoch_end(epoch, {monitor: value})
    except ValueError:
        return None
    return "maximize" if probe.best == 1.0 else "minimize"


def check_rate(rules: Iterable[Item], model: keras.Model) -> None:
    """A learning rate that callbacks set must not have a schedule of its own.

    Raises:
        ModelError: It has one.
    """
    setting = (ReduceLROnPlateau, LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    kinds = [type(one).__name__ for one in rules if isinstance(one, setting)]
    try:
        rate = learning_rate_of(model.optimizer)
    except AttributeError:  # an optimizer around others
        return
    if not kinds or isinstance(rate, keras.Variable):
        return
    raise ModelError(
        f"{kinds[0]} sets the learning rate, but the optimizer has a {type(rate).__name__} for it",
        code="rate-has-schedule",
        hint="use one of the two: give the optimizer a number, or leave the callback out",
        callback=kinds[0],
        schedule=type(rate).__name__,
    )
