"""Keras' stock callbacks in the fused engine: decided on the host, lane by lane, between two epochs."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from hpsearch.core.callbacks import LaneCallbacks, Stock
from hpsearch.core.words import listed
from hpsearch.models.callbacks import Callbacks, check_rate, directions_of
from hpsearch.training.engines.fused.epoch import State
from hpsearch.training.engines.fused.errors import UnfusableError
from hpsearch.training.engines.fused.recipe import Recipe, Start
from hpsearch.training.problem import Problem


def check_fusable(found: Callbacks) -> None:
    """Refuse callbacks that only ``fit`` can call.

    Raises:
        UnfusableError: With their names.
    """
    if found.own:
        names = listed(dict.fromkeys(type(one).__name__ for one in found.own))
        raise UnfusableError(
            f"only fit calls the callback{'s' * (len(found.own) > 1)} {names}; a fused program knows Keras' own "
            "EarlyStopping, ReduceLROnPlateau, LearningRateScheduler and TerminateOnNaN"
        )


def at_work(problem: Problem, rules: Sequence[Stock], recipe: Recipe, start: Start) -> LaneCallbacks:
    """A lane's callbacks at its beginning. One without any has its learning rate there, which shares an array.

    Raises:
        ModelError: One of them cannot work with this model.
    """
    model = recipe.template.model
    check_rate(rules, model)
    index = recipe.rate_index
    rate = None if index is None else float(np.asarray(start.optimizer[index]))
    return LaneCallbacks(rules, directions_of(rules, model, problem.spec.make_objective()), rate)


def with_rates(state: State, index: int, rates: Sequence[float]) -> State:
    """A group's state with the learning rate of each lane: a number in the optimizer's state, so nothing compiles."""
    trainable, non_trainable, optimizer = state
    values = [*optimizer]
    values[index] = jnp.array(np.array(rates, dtype=values[index].dtype))
    return trainable, non_trainable, values
