"""Which hyperparameters are mere numbers inside a model: candidates, and configs to compare models with.

A hyperparameter is *dynamic* if it is an input of the compiled program, so that lanes which differ in it share one.
"""

import math
from collections.abc import Collection, Mapping

import jax
import keras
import numpy as np

from hpsearch.core.space import Choice, Config, Float, Int, Parameter, Space, Value
from hpsearch.keras_internals.layers import flatten_layers
from hpsearch.keras_internals.numbers import STEPS
from hpsearch.keras_internals.without_tensorflow import without_tensorflow

_PROBE_AT = (0.0618033988, 0.9381966011)
"""Where in a range the two probe values are: close to both ends, so that clipping at a limit shows."""

Leaf = bool | int | float | str | bytes | tuple[int, ...] | None

_IGNORED = ("name", "registered_name", "module", "build_config", "seed", "shared_object_id")


def candidates(space: Space, beside: Collection[str] = ()) -> frozenset[str]:
    """Hyperparameters that may turn out to be dynamic: fractional ones, ``epochs``, and those `beside` the model.

    Other integers are no candidates: every value would have to be tried.

    Args:
        space: The study's space.
        beside: Hyperparameters that the study file uses elsewhere, such as in its callbacks.
    """
    named = {"epochs", *beside}
    return frozenset(
        name
        for name in space.searched()
        if (name in named or _is_fractional(space[name])) and _probe_values(space[name]) is not None
    )


def _is_fractional(parameter: Parameter) -> bool:
    if not isinstance(parameter, Choice):
        return isinstance(parameter, Float)
    numbers = [v for v in parameter.options if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(parameter.options) and any(isinstance(v, float) for v in numbers)


def probe_config(config: Config, space: Space, dynamic: frozenset[str], *, which: int) -> dict[str, Value]:
    """`config` with every dynamic hyperparameter set to its first or second probe value."""
    result = dict(config)
    for name in dynamic & config.keys():
        values = _probe_values(space[name]) if name in space else None
        if values is not None:
            result[name] = values[which]
    return result


def _probe_values(parameter: Parameter) -> tuple[Value, Value] | None:
    if isinstance(parameter, Int):
        return parameter.low, parameter.high
    if isinstance(parameter, Choice) and not _is_fractional(parameter):
        return parameter.options[0], parameter.options[-1]
    if isinstance(parameter, Float):
        low, high, log = parameter.low, parameter.high, parameter.log
    elif isinstance(parameter, Choice):
        numbers = [float(v) for v in parameter.options]
        low, high, log = min(numbers), max(numbers), False
    else:
        return None
    if low == high:
        return None
    one, other = (
        math.exp(math.log(low) + share * math.log(high / low)) if log else low + share * (high - low)
        for share in _PROBE_AT
    )
    return one, other


@without_tensorflow()
def layer_configs(model: keras.Model) -> dict[str, Leaf]:
    """The configs of a model's layers, optimizer and losses, flattened: path → leaf.

    Left out is how many steps a learning-rate schedule takes, which is an input of the program.
    """
    found: dict[str, Leaf] = {}
    for index, layer in enumerate(flatten_layers(model, include_self=False)):
        found[f"{index}"] = type(layer).__name__
        if not isinstance(layer, keras.Model):
            _flatten(layer.get_config(), f"{index}", found)
    for index, variable in enumerate(model.variables):
        found[f"shape{index}"] = tuple(variable.shape)
    _flatten(model.optimizer.get_config(), "optimizer", found)
    for name in STEPS:
        found.pop(f"optimizer.learning_rate.config.{name}", None)
    try:
        _flatten({k: v for k, v in model.get_compile_config().items() if k != "optimizer"}, "compile", found)
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        found["compile"] = ""  # losses without a config of their own; the numeric check still covers them
    return found


def _flatten(value: object, path: str, found: dict[str, Leaf]) -> None:
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
    """A config from the middle of a space, for a first try."""
    config: dict[str, Value] = {}
    for name, parameter in space.items():
        if not space.is_active(name, config):
            continue
        values = parameter.grid(3)
        config[name] = values[len(values) // 2]
    return config
