"""Configs drawn at random from a space, and how many compiled programs so many of them need."""

import math
from collections.abc import Collection, Iterator

import numpy as np

from hpsearch.core.space import Choice, Config, Constant, Float, Int, Parameter, Space, Value, config_key


def draw(space: Space, rng: np.random.Generator) -> Config:
    """A config, each value as likely as the next; on a log scale where the space says so."""
    config: dict[str, Value] = {}
    for name, parameter in space.items():
        if space.is_active(name, config):
            config[name] = _value(parameter, rng)
    return config


def _value(parameter: Parameter, rng: np.random.Generator) -> Value:
    if isinstance(parameter, Constant):
        return parameter.value
    if isinstance(parameter, Choice):
        return parameter.options[int(rng.integers(len(parameter.options)))]
    if isinstance(parameter, Float) and (values := parameter.values()) is not None:
        return values[int(rng.integers(len(values)))]
    low, high = float(parameter.low), float(parameter.high)
    at = float(rng.random())
    number = math.exp(math.log(low) + at * math.log(high / low)) if parameter.log else low + at * (high - low)
    if isinstance(parameter, Int):
        steps = round((number - parameter.low) / parameter.step)
        return min(parameter.low + steps * parameter.step, parameter.values()[-1])
    return number


def signature(config: Config, dynamic: Collection[str]) -> object:
    """What of a config decides its compiled program."""
    return config_key({name: value for name, value in config.items() if name not in dynamic})


_REPEATS = 20


def draws(space: Space, trials: int, *, seed: int = 0) -> Iterator[list[Config]]:
    """What a search of so many trials may try, several times over."""
    rng = np.random.default_rng(seed)
    for _ in range(_REPEATS):
        yield [draw(space, rng) for _ in range(trials)]


def expected_programs(space: Space, dynamic: Collection[str], trials: int) -> float:
    """How many different programs that many random configs need, on average."""
    counts = [len({signature(config, dynamic) for config in configs}) for configs in draws(space, trials)]
    return sum(counts) / len(counts)
