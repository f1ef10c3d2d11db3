"""One lane's epoch as a pure function: steps over padded batches, each of them Keras' own."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hpsearch.training.engines.fused.data import Batches, take
from hpsearch.training.engines.fused.pytree import Inputs, PyTree, Values
from hpsearch.training.engines.fused.template import Template

State = tuple[Values, Values, Values]
"""Trainable, non-trainable and optimizer values."""

Carry = tuple[State, Values]
"""What goes from step to step: the state, and the states of the metrics."""


def train_epoch(
    template: Template,
    state: State,
    batches: Batches,
    count: jax.Array,
    x: Inputs,
    y: PyTree,
    *,
    even: bool,
    sizes: Sequence[int],
) -> tuple[State, dict[str, jax.Array]]:
    """All steps of one lane's epoch.

    Args:
        template: The model's code.
        state: Of one lane.
        batches: Rows and their weights.
        count: How many of these rows are real; the rest is padding.
        x: All rows of the study.
        y: All targets.
        even: Whether every lane needs all the steps. If not, a lane that has no rows left keeps its state.
        sizes: How many rows a batch may have.
    """
    batch = batches.rows.shape[1]

    def step(carry: Carry, at: tuple[jax.Array, jax.Array, jax.Array | None]) -> tuple[Carry, None]:
        (trainable, non_trainable, optimizer), metrics = carry
        number, picked, weights = at
        mask = (number * batch + jnp.arange(batch) < count).astype(jnp.float32)
        inputs, targets = take(x, picked), take(y, picked)

        (loss, (predicted, after)), gradients = template.gradients(
            trainable, non_trainable, optimizer, inputs, targets, mask, weights
        )
        new_trainable, new_optimizer = template.apply(optimizer, gradients, trainable)
        new_metrics = template.update_metrics(metrics, loss, targets, predicted, mask, weights)
        new_metrics = template.update_over_batches(new_metrics, targets, predicted, weights, mask.sum(), sizes)
        new: Carry = (new_trainable, after, new_optimizer), new_metrics
        if not even:
            goes_on = number * batch < count
            new = jax.tree.map(lambda after, before: jnp.where(goes_on, after, before), new, carry)
        return new, None

    numbers = jnp.arange(batches.rows.shape[0], dtype=jnp.int32)
    (state, metrics), _ = jax.lax.scan(step, (state, template.metrics), (numbers, *batches))
    return state, template.results(metrics)


def validate(
    template: Template,
    state: State,
    batches: Batches,
    count: jax.Array,
    x: Inputs,
    y: PyTree,
    *,
    sizes: Sequence[int],
    predictions: bool,
) -> tuple[dict[str, jax.Array], PyTree]:
    """Metrics of one lane over its validation rows. Arguments are those of :func:`train_epoch`.

    Metrics that look at a whole batch see all rows at once; `sizes` are then the numbers of rows of all lanes.

    Returns:
        The metrics, and with `predictions` also these: those of the real rows come first.
    """
    trainable, non_trainable, _ = state
    rows, row_weights = batches
    batch = rows.shape[1]

    def step(metrics: Values, at: tuple[jax.Array, jax.Array, jax.Array | None]) -> tuple[Values, PyTree]:
        number, picked, weights = at
        mask = (number * batch + jnp.arange(batch) < count).astype(jnp.float32)
        targets = take(y, picked)
        loss, (predicted, _) = template.loss(
            trainable, non_trainable, take(x, picked), targets, mask, weights, training=False
        )
        new = template.update_metrics(metrics, loss, targets, predicted, mask, weights)
        # A batch of padding alone must not count: its loss still contains the penalties.
        kept = jax.tree.map(lambda after, before: jnp.where(mask[0] > 0, after, before), new, metrics)
        return kept, predicted if template.over_batches or predictions else None

    numbers = jnp.arange(rows.shape[0], dtype=jnp.int32)
    metrics, predicted = jax.lax.scan(step, template.metrics, (numbers, *batches))
    if predicted is not None:
        predicted = jax.tree.map(lambda one: one.reshape(-1, *one.shape[2:]), predicted)
        flat = None if row_weights is None else row_weights.reshape(-1)
        metrics = template.update_over_batches(metrics, take(y, rows.reshape(-1)), predicted, flat, count, sizes)
    return template.results(metrics), predicted if predictions else None
