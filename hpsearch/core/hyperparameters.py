"""The documented hyperparameters: their defaults and their legal values."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.core.optimizers import OPTIMIZERS, OWN_RATES
from hpsearch.core.space import Config, Float, Int, Parameter, Value
from hpsearch.core.words import listed

DEFAULT_BATCH_SIZE = 32
"""Rows per step if a config has no ``batch_size``, as in Keras."""

DEFAULT_EPOCHS = 20

OF_EVERY_MODEL = ("batch_size", "epochs", "shuffle")
"""Hyperparameters that the engines read, whatever the model."""

SCHEDULES = ("constant", "cosine", "linear", "exponential")
"""How the learning rate goes from the first step to the last; see :func:`hpsearch.models.schedules.make_rate`."""

WITH_WARMUP = ("constant", "cosine")
"""Schedules that a warm-up can come before: Keras' others have none."""

OF_COMPILING = ("schedule", "warmup", "decay_to", "label_smoothing")
"""Hyperparameters of the training besides those of optimizers: what a model that is not compiled gets."""


def batch_size_of(config: Config) -> int:
    """Rows per step."""
    return int(config.get("batch_size", DEFAULT_BATCH_SIZE))


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


_REAL_EVERYWHERE = frozenset(
    {
        *("learning_rate", "weight_decay", "clipnorm", "momentum", "beta_1", "beta_2", "rho", "epsilon"),
        *(f"learning_rate_{name}" for name in ("sgd", "adam", "rmsprop", "adamw", "nadam")),
        *(f"learning_rate_{name}" for name in ("adagrad", "adamax", "adadelta", "lion")),
    }
)
"""What is a real number in any study file. The set stays as it is: other names are those of build functions."""


def is_real(name: str, *, family: bool) -> bool:
    """Whether a documented hyperparameter is a real number, however it is written.

    Args:
        name: Its name.
        family: Whether the model is a family. The names of one's own build function are its own, except a few of
            optimizers.
    """
    rule = rule_of(name)
    return rule is not None and rule.real and (family or name in _REAL_EVERYWHERE)


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

_SHARE_OR_ALL = real("from 0 to 1", lambda value: 0 <= value <= 1)
_NOT_POSITIVE = real("of at most 0", lambda value: value <= 0)

_RULES = {
    **dict.fromkeys(("batch_size", "epochs", "units", "filters", "kernel_size", "dense_units"), _COUNT),
    **dict.fromkeys(("blocks", "convolutions", "ns_steps"), _COUNT),
    **dict.fromkeys(("ema_overwrite_frequency", "gradient_accumulation_steps"), _COUNT),
    "layers": whole(0),
    **dict.fromkeys(("dropout", "dense_dropout", "beta_1", "beta_2", "rho", "adam_beta_1", "adam_beta_2"), _SHARE),
    **dict.fromkeys(("warmup", "label_smoothing", "rotation", "translation", "zoom", "contrast"), _SHARE),
    **dict.fromkeys(("momentum", "ema_momentum", "decay_to"), _SHARE_OR_ALL),
    **dict.fromkeys(("learning_rate", "epsilon", "rms_rate", "adam_lr_ratio", "clip_threshold", *OWN_RATES), _POSITIVE),
    **dict.fromkeys(("weight_decay", "adam_weight_decay", "clipnorm", "clipvalue", "global_clipnorm"), _NOT_NEGATIVE),
    **dict.fromkeys(("l1", "l2", "beta", "initial_accumulator_value"), _NOT_NEGATIVE),
    **dict.fromkeys((name for name in OPTIMIZERS["ftrl"] if name.endswith("_strength")), _NOT_NEGATIVE),
    **dict.fromkeys(("learning_rate_power", "beta_2_decay"), _NOT_POSITIVE),
    **dict.fromkeys(("batch_norm", "nesterov", "shuffle", "residual", "use_ema"), SWITCH),
    **dict.fromkeys(("amsgrad", "centered", "relative_step"), SWITCH),
    "activation": Rule("a text such as relu", lambda value: isinstance(value, str)),
    "padding": among("same", "valid"),
    "flip": among("none", "horizontal", "vertical", "horizontal_and_vertical"),
    "fill_mode": among("reflect", "constant", "nearest", "wrap"),
    "schedule": among(*SCHEDULES),
    "optimizer": among(*OPTIMIZERS),
}
