"""A study's callbacks are tried before anything is written: what they monitor, and what they do to its scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.callbacks import (
    RATE,
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
    direction_together,
    no_such_monitor,
)
from hpsearch.core.foreign import errors_as, said
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.errors import ModelError
from hpsearch.models.callbacks import Callbacks, check_rate, directions_of, unknown_mode
from hpsearch.training.engines.fit import continuous
from hpsearch.training.engines.loop import order_of, train_epochs
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

_ROWS = 8


def check_callbacks(
    problem: Problem, config: Config, model: "keras.Model", recorded: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """See whether the callbacks of a config can work.

    Args:
        problem: The study's data and model.
        config: The config.
        model: Built with it, its metrics too.
        recorded: The curves that it records.

    Returns:
        The curves that callbacks add, and what the user should know, one sentence each.

    Raises:
        ModelError: They cannot.
    """
    found, again = problem.callbacks(config), problem.callbacks(config)
    if not (found.items or found.left_out):
        return (), ()
    for one in found.own:
        if any(one is other for other in again.own):
            kind = type(one).__name__
            raise ModelError(
                f"{problem.builder.address}: the callback {kind} is the same object in every call",
                code="shared-callback",
                hint="make it anew in each call: folds train side by side",
                callback=kind,
            )
    check_rate(found.items, model)
    _check_seeds(problem, found)
    sets_rate = any(isinstance(one, ReduceLROnPlateau | LearningRateScheduler) for one in found.stock)
    added = (*((RATE,) if sets_rate else ()), *(_tried(problem, config, recorded) if found.own else ()))
    added = tuple(name for name in dict.fromkeys(added) if name not in recorded)
    for rule in found.stock:
        if not isinstance(rule, EarlyStopping | ReduceLROnPlateau):
            continue
        kind = type(rule).__name__
        if rule.monitor not in (*recorded, *added):
            raise no_such_monitor(kind, rule.monitor, (*recorded, *added))
        together = rule if isinstance(rule, EarlyStopping) and rule.scope == "mean" else None
        if together is not None and direction_together(together, problem.spec.make_objective()) is None:
            raise unknown_mode(kind, rule.monitor)
    directions_of(found.stock, model, problem.spec.make_objective())
    return added, tuple(_told(found))


def _check_seeds(problem: Problem, found: Callbacks) -> None:
    seeds = problem.spec.validation.seeds
    if seeds > 1 and found.stops_folds:
        raise ModelError(
            f"EarlyStopping ends each fold by itself, but with [validation] seeds = {seeds} one is {seeds} trainings",
            code="seeds-end-apart",
            hint='set scope = "mean" in [[training.callbacks]]: all trainings of a trial then end together',
            seeds=seeds,
        )


def _told(found: Callbacks) -> list[str]:
    told = [*found.left_out]
    if found.stops_folds:
        told.append(
            "EarlyStopping ends each fold by its own validation rows, which also score it, so scores are a little too "
            'good; scope = "mean" in [[training.callbacks]] ends all folds of a trial together'
        )
    if found.lowers_rate:
        told.append(
            "ReduceLROnPlateau needs validation rows, and the refit has none: it trains with the learning rate that "
            "the winner's folds had in each epoch, their median"
        )
    if any(isinstance(one, TerminateOnNaN) for one in found.stock):
        told.append("TerminateOnNaN changes nothing: a trial ends as diverged once its loss is not finite")
    return told


def _tried(problem: Problem, config: Config, recorded: Sequence[str]) -> list[str]:
    """Train one epoch on a few rows with the user's own callbacks, as in a fold and as in the refit.

    Returns:
        The curves that they add.
    """
    train, validation = problem.fold_parts(0)
    few, others = (part.take(np.arange(min(len(part), _ROWS))) for part in (problem.to_train(train), validation))
    added: list[str] = []
    for some in (others, None):
        with errors_as(_Failed("a fold" if some is not None else "the refit")):
            found = problem.callbacks(config)
            model = problem.build(config, train, seed=derive(problem.spec.seed, "rehearsal"))
            found = found if some is not None else found.without_validation()
            called = continuous(problem, found, model, config, len(few), epochs=1)
            history = train_epochs(
                model,
                few,
                validation=some,
                config=config,
                epochs=1,
                order=order_of(0),
                callbacks=called,
            )
            added += [name for metrics in history for name in metrics if name not in recorded]
    return added


class _Failed:
    """The error for a callback that fails, or a model in its first epoch."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __call__(self, error: Exception) -> ModelError:
        hint = "fix the callback"
        if self._where == "the refit":
            hint = 'the refit has no rows to validate on, so logs has no val_ metrics there: logs.get("val_loss")'
        return ModelError(
            f"training with callbacks failed, as it would in {self._where}: {said(error)}",
            code="callback-failed",
            hint=hint,
            error=type(error).__name__,
        )
