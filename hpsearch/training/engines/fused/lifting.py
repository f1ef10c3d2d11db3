"""Which hyperparameters are mere numbers inside a model: candidates, telling configs, and the numbers of a model."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import keras
import numpy as np

from hpsearch.core.space import Choice, Config, Float, Int, Parameter, Space, Value
from hpsearch.keras_internals.without_tensorflow import without_tensorflow
from hpsearch.training.engines.fused.layers import RATES
from hpsearch.training.engines.fused.template import Slot

_TELLING = (0.0618033988, 0.9381966011)
"""Where in a range the two telling values lie: close to both ends, so that what is cut off at some limit shows."""

_IGNORED = ("name", "registered_name", "module", "build_config", "seed", "shared_object_id")

_ZERO_IS_OFF = ("clipnorm", "clipvalue", "global_clipnorm")
"""Numbers whose 0 Keras reads as "without": such a config is another program."""


def candidates(space: Space) -> frozenset[str]:
    """Hyperparameters that may turn out to be mere numbers: fractional ones, and ``epochs``.

    An integer is no number in a program: it would have to be tried at every value.
    """
    return frozenset(name for name in space.searched() if _telling(name, space[name]) is not None)


def telling_config(config: Config, space: Space, lifted: frozenset[str], *, which: int) -> dict[str, Value]:
    """`config` with every lifted hyperparameter set to the first or the second telling value."""
    result = dict(config)
    for name in lifted & config.keys():
        values = _telling(name, space[name]) if name in space else None
        if values is not None:
            result[name] = values[which]
    return result


def _telling(name: str, parameter: Parameter) -> tuple[Value, Value] | None:
    if name == "epochs":
        if isinstance(parameter, Int):
            return parameter.low, parameter.high
        options = parameter.options if isinstance(parameter, Choice) else ()
        return (options[0], options[-1]) if options and all(isinstance(one, int) for one in options) else None
    if isinstance(parameter, Float):
        low, high, log = parameter.low, parameter.high, parameter.log
    elif isinstance(parameter, Choice):
        numbers = [float(v) for v in parameter.options if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(parameter.options) or all(isinstance(v, int) for v in parameter.options):
            return None
        low, high, log = min(numbers), max(numbers), False
    else:
        return None
    if low == high:
        return None
    one, other = (
        math.exp(math.log(low) + part * math.log(high / low)) if log else low + part * (high - low) for part in _TELLING
    )
    return one, other


def numbers_in(model: keras.Model) -> Iterator[tuple[Slot, float]]:
    """All numbers of a model that a program may take as inputs, the learning rate (a variable) aside."""
    for index, layer in enumerate(model._flatten_layers(include_self=False)):
        for name, value in vars(layer).items():
            if name.endswith("_regularizer") and value is not None:
                yield from _floats("layer", index, (name,), value)
        if type(layer) in RATES:
            yield from _floats("layer", index, (), layer)
    optimizer = model.optimizer
    yield from _floats("optimizer", 0, (), optimizer)
    schedule = optimizer._learning_rate
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        yield from _floats("optimizer", 0, ("_learning_rate",), schedule)


def _floats(owner: str, index: int, path: tuple[str, ...], holder: Any) -> Iterator[tuple[Slot, float]]:
    for name, value in vars(holder).items():
        if isinstance(value, float | np.floating) and name not in _ZERO_IS_OFF:
            yield Slot(owner, index, (*path, name)), float(value)


@without_tensorflow()
def facts(model: keras.Model) -> dict[str, Any]:
    """What the configs of a model's layers, optimizer and losses say, flattened: path → leaf."""
    found: dict[str, Any] = {}
    for index, layer in enumerate(model._flatten_layers(include_self=False)):
        found[f"{index}"] = type(layer).__name__
        if not isinstance(layer, keras.Model):
            _flatten(layer.get_config(), f"{index}", found)
    for index, variable in enumerate(model.variables):
        found[f"shape{index}"] = tuple(variable.shape)
    _flatten(model.optimizer.get_config(), "optimizer", found)
    try:
        _flatten({k: v for k, v in model.get_compile_config().items() if k != "optimizer"}, "compile", found)
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        found["compile"] = ""  # losses without a config of their own; the numeric check still looks at them
    return found


def _flatten(value: Any, path: str, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key not in _IGNORED:
                _flatten(one, f"{path}.{key}", found)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            _flatten(one, f"{path}.{index}", found)
    elif isinstance(value, np.ndarray | jax.Array):
        found[path] = np.asarray(value).tobytes()
    else:
        found[path] = value if isinstance(value, bool | int | float | str | None) else repr(type(value))


def middle(space: Space) -> dict[str, Value]:
    """A config from the middle of a space, to try things with."""
    config: dict[str, Value] = {}
    for name, parameter in space.items():
        if not space.is_active(name, config):
            continue
        values = parameter.grid(3)
        config[name] = values[len(values) // 2]
    return config
