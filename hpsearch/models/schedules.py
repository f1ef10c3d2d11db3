"""The learning rate over a training: one of Keras' own schedules, so that a saved model loads without hpsearch.

A schedule's length is that of the config: ``epochs``, each of as many steps as the rows make batches. So it follows the
batch size, the fold and the refit, which trains on more rows. A refit that ends at the best epoch ends there on the
schedule, too, as the search did.
"""

import keras

from hpsearch.core.hyperparameters import SCHEDULES, WITH_WARMUP, batch_size_of, epochs_of
from hpsearch.core.space import Config
from hpsearch.core.words import did_you_mean, listed, quoted
from hpsearch.errors import ModelError

EXPONENTIAL_DECAYS_TO = 0.01
"""What is left of the rate at the end of an exponential schedule if the config does not say: it never reaches 0."""


def steps_of(config: Config, rows: int) -> int:
    """Steps per epoch."""
    return max(1, -(-rows // batch_size_of(config)))


def make_rate(rate: float, config: Config, rows: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate: a number, or a schedule if the config has one.

    - ``constant`` stays at `rate`.
    - ``cosine`` and ``linear`` go from `rate` to ``decay_to`` of it (default 0), ``exponential`` likewise (0.01).
    - ``warmup`` is the share of all steps in which the rate first rises from 0 to `rate`; the decay takes the rest.

    Args:
        rate: The highest rate.
        config: Its ``schedule``, ``warmup``, ``decay_to``, ``epochs`` and ``batch_size`` count.
        rows: Training rows.

    Raises:
        ModelError: There is no such schedule, or it has no warm-up, or cannot decay to 0.
    """
    kind = config.get("schedule", "constant")
    _check(kind, config)
    if kind == "constant" and "warmup" not in config:
        return rate
    # Numbers of steps are real ones: a program can then take them as inputs, and nothing is rounded.
    steps = float(epochs_of(config) * steps_of(config, rows))
    left = float(config.get("decay_to", EXPONENTIAL_DECAYS_TO if kind == "exponential" else 0.0))
    if kind == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(rate, steps, left)
    if kind == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=rate * left)
    left = 1.0 if kind == "constant" else left  # decays to what it is
    if "warmup" not in config:
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=left)
    first = float(config["warmup"]) * steps
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - first, alpha=left, warmup_target=rate, warmup_steps=first
    )


def _check(kind: object, config: Config) -> None:
    if kind not in SCHEDULES:
        raise ModelError(
            f"schedule = {quoted(kind)} is not known{did_you_mean(kind, SCHEDULES)}",
            code="unknown-schedule",
            hint=f"use one of {listed(SCHEDULES)}",
            schedule=kind,
        )
    if config.get("warmup") and kind not in WITH_WARMUP:
        raise ModelError(
            f"warmup = {config['warmup']!r} with schedule = {kind!r}: of Keras' schedules, only those for "
            f"{listed(WITH_WARMUP)} have a warm-up",
            code="no-warmup",
            hint='write warmup = { …, when = { schedule = ["constant", "cosine"] } } in [space]',
            schedule=kind,
            warmup=config["warmup"],
        )
    if kind == "exponential" and config.get("decay_to") == 0:
        raise ModelError(
            "decay_to = 0 with schedule = 'exponential', which never reaches 0",
            code="decays-to-nothing",
            hint="use a share such as 0.01, or schedule = 'linear'",
            schedule=kind,
        )
