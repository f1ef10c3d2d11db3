"""The documented hyperparameters: their defaults and their legal values."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.core.space import Config, Float, Int, Parameter, Value
from hpsearch.core.words import listed

DEFAULT_BATCH_SIZE = 32
"""Rows per step if a config has no ``batch_size``, as in Keras."""

DEFAULT_EPOCHS = 20

OF_EVERY_MODEL = ("batch_size", "epochs", "shuffle")
"""Hyperparameters that the engines read, whatever the model."""

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
"""Optimizer → the hyperparameters that it has in addition to :data:`ANY_OPTIMIZER`."""

ANY_OPTIMIZER = ("learning_rate", "weight_decay", "clipnorm")
"""Hyperparameters that every optimizer has."""

OWN_RATES = {f"learning_rate_{name}": name for name in OPTIMIZERS}
"""Hyperparameter → the optimizer whose learning rate it is, in place of ``learning_rate``: what suits SGD is ten times
too much for Adam."""


def batch_size_of(config: Config) -> int:
    """Rows per step."""
    return int(config.get("batch_size", DEFAULT_BATCH_SIZE))


def learning_rate_of(config: Config, optimizer: str) -> Value | None:
    """The learning rate with an optimizer; None if the config leaves it to Keras."""
    return config.get(f"learning_rate_{optimizer}", config.get("learning_rate"))


def is_rate(name: str) -> bool:
    """Whether a hyperparameter is a learning rate."""
    return name == "learning_rate" or name in OWN_RATES


def shuffle_of(config: Config) -> bool:
    """Whether every epoch meets the rows in a new order. If not, they come as they are in the fold."""
    return bool(config.get("shuffle", True))


def epochs_of(config: Config) -> int:
    """Epochs to train."""
    return int(config.get("epochs", DEFAULT_EPOCHS))


@dataclass(frozen=True, slots=True)
class Rule:
    """The legal values of a hyperparameter.

    Attributes:
        words: The rule in words; follows "must be".
        allows: Whether a value is legal.
        options: All legal values, if they are a few names.
        real: Whether a whole number stands for a real one: Keras takes a float there.
    """

    words: str
    allows: Callable[[Value], bool]
    options: tuple[str, ...] = ()
    real: bool = False

    def broken_by(self, parameter: Parameter) -> tuple[Value, ...]:
        """Values of `parameter` that are illegal. Of a range, only the ends are checked."""
        match parameter:
            case Float():
                values: tuple[Value, ...] = (float(parameter.low), float((parameter.values() or (parameter.high,))[-1]))
            case Int():
                values = (parameter.low, parameter.values()[-1])
            case _:
                values = parameter.values()
        return tuple(value for value in values if not self.allows(value))


def rule_of(name: str) -> Rule | None:
    """The rule for a hyperparameter of a family or an optimizer. ``units_2`` has the rule of ``units``."""
    return _RULES.get(name) or _RULES.get(re.sub(r"_\d+$", "", name))


OPTIMIZER_ARGUMENTS = frozenset(
    {*ANY_OPTIMIZER, *OWN_RATES, *(name for names in OPTIMIZERS.values() for name in names)}
)
"""All hyperparameters of optimizers."""


def is_real(name: str, *, family: bool) -> bool:
    """Whether a documented hyperparameter is a real number, however it is written.

    Args:
        name: Its name.
        family: Whether the model is a family. The names of one's own build function are its own, except those of
            optimizers.
    """
    rule = rule_of(name)
    return rule is not None and rule.real and (family or name in OPTIMIZER_ARGUMENTS)


def whole(least: int) -> Rule:
    """A whole number from `least` on."""
    return Rule(
        f"a whole number of at least {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
    )


def real(words: str, allows: Callable[[float], bool]) -> Rule:
    """A finite number that `allows`, in `words` that follow "a number"."""
    return Rule(
        f"a number {words}",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and allows(value)
        ),
        real=True,
    )


def among(*options: str) -> Rule:
    """One of a few names."""
    return Rule(f"one of {listed(options)}", lambda value: value in options, options)


_COUNT = whole(1)
_POSITIVE = real("above 0", lambda value: value > 0)
_NOT_NEGATIVE = real("of at least 0", lambda value: value >= 0)
_SHARE = real("of at least 0 and less than 1", lambda value: 0 <= value < 1)
SWITCH = Rule("true or false", lambda value: isinstance(value, bool))

_RULES = {
    **dict.fromkeys(("batch_size", "epochs", "units", "filters", "kernel_size", "dense_units"), _COUNT),
    **dict.fromkeys(("blocks", "convolutions"), _COUNT),
    "layers": whole(0),
    **dict.fromkeys(("dropout", "dense_dropout", "beta_1", "beta_2", "rho"), _SHARE),
    "momentum": real("from 0 to 1", lambda value: 0 <= value <= 1),
    **dict.fromkeys(("learning_rate", "epsilon", *OWN_RATES), _POSITIVE),
    **dict.fromkeys(("weight_decay", "clipnorm"), _NOT_NEGATIVE),
    **dict.fromkeys(("batch_norm", "nesterov", "shuffle"), SWITCH),
    "activation": Rule("a text such as relu", lambda value: isinstance(value, str)),
    "padding": among("same", "valid"),
    "optimizer": among(*OPTIMIZERS),
}
