"""Which hyperparameters are mere numbers inside a model: found by building twice with telling values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import keras
import numpy as np

from hpsearch.engines.fused.layers import RATES
from hpsearch.engines.fused.template import Slot
from hpsearch.models.without_tensorflow import without_tensorflow
from hpsearch.space import Choice, Config, Float, Int, Parameter, Space, Value

_TELLING = (0.38196601125, 0.61803398875)
"""Where in a range the two telling values lie: nobody writes such numbers, so finding one tells where it came from."""

_IGNORED = ("name", "registered_name", "module", "build_config", "seed", "shared_object_id")

ZERO_IS_OFF = ("clipnorm", "clipvalue", "global_clipnorm")
"""Where Keras reads 0 as "without": such a config is another program."""


def candidates(space: Space) -> frozenset[str]:
    """Hyperparameters that may turn out to be mere numbers.

    Models do not know their batch size, but programs do: it is never one.
    """
    return frozenset(name for name in space.searched() if name != "batch_size" and _telling(space[name]) is not None)


def telling_config(config: Config, space: Space, lifted: frozenset[str], *, which: int) -> dict[str, Value]:
    """`config` with every lifted hyperparameter set to the first or the second telling value."""
    result = dict(config)
    for name in lifted & config.keys():
        values = _telling(space[name]) if name in space else None
        if values is not None:
            result[name] = values[which]
    return result


def _telling(parameter: Parameter) -> tuple[Value, Value] | None:
    if isinstance(parameter, Int):
        values: Sequence[Value] = parameter.low, parameter.high
    elif isinstance(parameter, Float):
        values = parameter.low, parameter.high
    elif isinstance(parameter, Choice):
        values = parameter.options
    else:
        return None
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or min(numbers) == max(numbers):
        return None
    low, high = min(numbers), max(numbers)
    if all(isinstance(v, int) for v in values):
        return (values[0], values[-1]) if values[0] != values[-1] else None
    a, b = (low + part * (high - low) for part in _TELLING)
    return a, b


def numbers_in(model: keras.Model) -> Iterator[tuple[Slot, float]]:
    """All numbers of a model that a program may take as inputs, the learning rate aside."""
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
        if isinstance(value, float | np.floating):
            yield Slot(owner, index, (*path, name)), float(value)


def find_slots(model: keras.Model, config: Config, lifted: frozenset[str]) -> dict[str, tuple[Slot, ...]]:
    """Where the telling values of `config` turn up."""
    found: dict[str, list[Slot]] = {}
    places = list(numbers_in(model))
    for name in lifted & config.keys():
        value = config[name]
        if isinstance(value, float):
            found[name] = [slot for slot, number in places if _same(number, value)]
    return {name: tuple(slots) for name, slots in found.items()}


def rate_of(model: keras.Model, config: Config, lifted: frozenset[str]) -> str | None:
    """The hyperparameter that is the optimizer's learning rate (a variable of its own in Keras)."""
    rate = model.optimizer._learning_rate
    if not isinstance(rate, keras.Variable):
        return None
    value = float(rate.value)
    return next((name for name in sorted(lifted & config.keys()) if _same(value, config[name])), None)


def _same(number: float, value: object) -> bool:
    return isinstance(value, float) and abs(number - value) <= 1e-6 * abs(value)


@without_tensorflow()
def facts(model: keras.Model) -> dict[str, Any]:
    """Everything that decides a model's program, flattened: path → leaf."""
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


def unexplained(
    first: Mapping[str, Any], second: Mapping[str, Any], a: Config, b: Config, known: set[Value]
) -> frozenset[str]:
    """Paths in which two models differ for another reason than holding the telling values of their configs.

    Args:
        first: Facts of the model of `a`.
        second: Facts of the model of `b`.
        a: One telling config.
        b: Another.
        known: The values of `a` that the program takes as inputs.
    """
    changed = [(a[name], b[name]) for name in a if a[name] != b[name] and a[name] in known]
    left = set()
    for path in first.keys() | second.keys():
        x, y = first.get(path), second.get(path)
        if x == y:
            continue
        told = _number(x) and _number(y) and any(_near(x, float(one)) and _near(y, float(two)) for one, two in changed)
        if not told:
            left.add(path)
    return frozenset(left)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(value: Any, wanted: float) -> bool:
    return abs(float(value) - wanted) <= 1e-6 * max(abs(wanted), 1e-12)


def middle(space: Space) -> dict[str, Value]:
    """A config from the middle of a space, to try things with."""
    config: dict[str, Value] = {}
    for name, parameter in space.items():
        if not space.is_active(name, config):
            continue
        values = parameter.grid(3)
        config[name] = values[len(values) // 2]
    return config
