"""The documented hyperparameters: their defaults, and the values that they can take."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.core.space import Config, Float, Int, Parameter, Value

DEFAULT_BATCH_SIZE = 32
"""Rows per step if a config has no ``batch_size``, as in Keras."""

DEFAULT_EPOCHS = 20

OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta_1", "beta_2", "epsilon"),
    "rmsprop": ("rho", "momentum", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon"),
    "nadam": ("beta_1", "beta_2", "epsilon"),
    "adagrad": ("epsilon",),
    "adamax": ("beta_1", "beta_2", "epsilon"),
    "adadelta": ("rho", "epsilon"),
    "lion": ("beta_1", "beta_2"),
}
"""Optimizer → the hyperparameters that it knows besides those of :data:`ANY_OPTIMIZER`."""

ANY_OPTIMIZER = ("learning_rate", "weight_decay", "clipnorm")
"""Hyperparameters that every optimizer knows."""


def batch_size_of(config: Config) -> int:
    """Rows per step."""
    return int(config.get("batch_size", DEFAULT_BATCH_SIZE))


def epochs_of(config: Config) -> int:
    """Epochs to train."""
    return int(config.get("epochs", DEFAULT_EPOCHS))


@dataclass(frozen=True, slots=True)
class Rule:
    """What a hyperparameter's values must be.

    Attributes:
        words: Follows "must be".
        allows: Whether a value is one of them.
        options: All of them, where they are few texts.
    """

    words: str
    allows: Callable[[Value], bool]
    options: tuple[str, ...] = ()

    def broken_by(self, parameter: Parameter) -> tuple[Value, ...]:
        """Values of `parameter` that are not allowed; of a range, only its ends are looked at."""
        match parameter:
            case Float():
                values: tuple[Value, ...] = (float(parameter.low), float((parameter.values() or (parameter.high,))[-1]))
            case Int():
                values = (parameter.low, parameter.values()[-1])
            case _:
                values = parameter.values()
        return tuple(value for value in values if not self.allows(value))


def rule_of(name: str) -> Rule | None:
    """The rule for a hyperparameter of families and their optimizers; ``units_2`` has that of ``units``."""
    return _RULES.get(name) or _RULES.get(re.sub(r"_\d+$", "", name))


def _whole(least: int) -> Rule:
    return Rule(
        f"whole numbers of at least {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
    )


def _real(words: str, allows: Callable[[float], bool]) -> Rule:
    return Rule(
        f"numbers {words}",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and allows(value)
        ),
    )


def _among(*options: str) -> Rule:
    return Rule(f"among {', '.join(options)}", lambda value: value in options, options)


_COUNT = _whole(1)
_POSITIVE = _real("above 0", lambda value: value > 0)
_NOT_NEGATIVE = _real("of at least 0", lambda value: value >= 0)
_SHARE = _real("from 0 to less than 1", lambda value: 0 <= value < 1)
_SWITCH = Rule("true or false", lambda value: isinstance(value, bool))

_RULES = {
    **dict.fromkeys(("batch_size", "epochs", "units", "filters", "kernel_size", "dense_units"), _COUNT),
    **dict.fromkeys(("blocks", "convolutions"), _COUNT),
    "layers": _whole(0),
    **dict.fromkeys(("dropout", "dense_dropout", "beta_1", "beta_2", "rho"), _SHARE),
    # Keras' SGD refuses 0 and 1 as whole numbers.
    "momentum": _real("from 0 to 1 with a decimal point", lambda value: isinstance(value, float) and 0 <= value <= 1),
    **dict.fromkeys(("learning_rate", "epsilon"), _POSITIVE),
    **dict.fromkeys(("weight_decay", "clipnorm"), _NOT_NEGATIVE),
    **dict.fromkeys(("batch_norm", "nesterov"), _SWITCH),
    "activation": Rule("a text such as relu", lambda value: isinstance(value, str)),
    "padding": _among("same", "valid"),
    "optimizer": _among(*OPTIMIZERS),
}
