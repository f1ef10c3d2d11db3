"""Keras' optimizers by the names that study files have for them, and their hyperparameters."""

from hpsearch.core.space import Config, Value

_ADAM = ("beta_1", "beta_2", "epsilon")

OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov"),
    "adam": (*_ADAM, "amsgrad"),
    "rmsprop": ("rho", "momentum", "epsilon", "centered"),
    "adamw": (*_ADAM, "amsgrad"),
    "nadam": _ADAM,
    "adagrad": ("epsilon", "initial_accumulator_value"),
    "adamax": _ADAM,
    "adadelta": ("rho", "epsilon"),
    "lion": ("beta_1", "beta_2"),
    "lamb": _ADAM,
    "ftrl": (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    ),
    "adafactor": ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    "muon": (
        "momentum",
        "nesterov",
        "ns_steps",
        "rms_rate",
        "adam_beta_1",
        "adam_beta_2",
        "adam_weight_decay",
        "adam_lr_ratio",
        "epsilon",
    ),
    "schedulefreeadamw": _ADAM,
}
"""Optimizer → the hyperparameters that it has in addition to :data:`ANY_OPTIMIZER`."""

ANY_OPTIMIZER = (
    "learning_rate",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
)
"""Hyperparameters that every optimizer has."""

OWN_RATES = {f"learning_rate_{name}": name for name in OPTIMIZERS}
"""Hyperparameter → the optimizer whose learning rate it is, in place of ``learning_rate``: what suits SGD is ten times
too much for Adam."""

USUAL_RATES: dict[str, float] = {
    "sgd": 0.01,
    "adam": 0.001,
    "rmsprop": 0.001,
    "adamw": 0.001,
    "nadam": 0.001,
    "adagrad": 0.03,
    "adamax": 0.002,
    "adadelta": 1.0,
    "lion": 0.0005,
    "lamb": 0.003,
    "ftrl": 0.5,
    "adafactor": 0.01,
    "muon": 0.003,
    "schedulefreeadamw": 0.0025,
}
"""A learning rate to start from. The first three and those of AdamW, Nadam and ScheduleFreeAdamW are Keras' defaults.
The others are the ones of 1, 3, 10, … that did best with two layers of 64 units on digits, 10 epochs of batches of 32:
Keras' defaults for Adadelta, Ftrl and Adagrad hardly train in that time."""

OPTIMIZER_ARGUMENTS = frozenset(
    {*ANY_OPTIMIZER, *OWN_RATES, *(name for names in OPTIMIZERS.values() for name in names)}
)
"""All hyperparameters of optimizers."""


def learning_rate_of(config: Config, optimizer: str) -> Value | None:
    """The learning rate with an optimizer; None if the config leaves it to Keras."""
    return config.get(f"learning_rate_{optimizer}", config.get("learning_rate"))


def is_rate(name: str) -> bool:
    """Whether a hyperparameter is a learning rate."""
    return name == "learning_rate" or name in OWN_RATES
