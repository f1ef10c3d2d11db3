"""Steps on padded batches must give what Keras' own steps give on the real rows: checked by numbers, not guessed."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from hpsearch.training.engines.fused.layers import RATES
from hpsearch.training.engines.fused.program import validate
from hpsearch.training.engines.fused.recipe import Recipe
from hpsearch.training.engines.fused.template import Slot, UnfusableError
from hpsearch.training.problem import Problem

ROWS, PADDED = 61, 64
"""Rows that count, and rows of the padded batch."""


def check_step(recipe: Recipe, problem: Problem, fold: int) -> None:
    """Compare a template with the model it was made from: loss, metrics, gradients and statistics of a training step,
    loss and metrics of a validation step, and of one in halves.

    Layers that the template replaces by noise of its own are switched off on both sides. All others draw by position,
    so that padding at the end changes no real row's noise.

    Raises:
        UnfusableError: They differ, so that a fused result would not be Keras' result.
    """
    template = recipe.template
    model = recipe.build(recipe.config, fold, seed=1)
    part = problem.dataset.train
    batch = part.take(np.arange(PADDED) % len(part))
    x = {k: jnp.array(v) for k, v in batch.x.items()} if isinstance(batch.x, Mapping) else jnp.array(batch.x)
    y = jnp.array(batch.y)
    head = jax.tree.map(lambda column: column[:ROWS], (x, y))
    model._symbolic_build(data_batch=(*head, None))
    _silence(model)
    silent = [Slot("layer", i, (_strength(one),)) for i, one in enumerate(template.layers) if type(one) in RATES]
    mask = (jnp.arange(PADDED) < ROWS).astype(jnp.float32)

    def fused(trainable: Any, fixed: Any) -> Any:
        with template.with_values(silent, [0.0] * len(silent)):
            (loss, (predicted, after)), gradients = template.gradients(trainable, fixed, x, y, mask)
            metrics = template.update_metrics(template.metrics, loss, y, predicted, mask)
            state = trainable, fixed, template.optimizer
            whole, halves = (
                validate(template, state, jnp.arange(PADDED).reshape(steps, -1), jnp.int32(ROWS), x, y)
                for steps in (1, 2)
            )
        return loss, gradients, after, template.results(metrics), whole, halves

    def keras_step(trainable: Any, fixed: Any) -> Any:
        metrics = [v.value for v in model.metrics_variables]
        optimizer = [v.value for v in model.optimizer.variables]
        (loss, aux), gradients = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)(
            trainable, fixed, metrics, *head, None, training=True, optimizer_variables=optimizer
        )
        logs, _ = model._update_metrics_variables(aux[3], loss, *head, aux[1], None)
        validated, _ = model.test_step((trainable, fixed, metrics), (*head, None))
        return loss, gradients, aux[2], logs, validated, validated

    start = (template.trainable, template.fixed)
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    ours = jax.jit(fused).lower(*start).compile(compiler_options=options)(*start)
    theirs = jax.jit(keras_step).lower(*start).compile(compiler_options=options)(*start)
    kinds = ("loss", "gradient", "state", "metrics", "validation", "validation in batches of another size")
    for what, a, b in zip(kinds, ours, theirs, strict=True):
        pairs = [
            (np.asarray(one), np.asarray(two))
            for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
            if jnp.issubdtype(one.dtype, jnp.floating)
        ]
        # Rounding is as large as the largest numbers make it: a gradient that is 0 in truth comes out as 1e-8.
        largest = max((float(np.abs(two).max(initial=0.0)) for _, two in pairs), default=0.0)
        for one, two in pairs:
            if not _close(one, two, largest):
                raise UnfusableError(
                    f"a fused step would differ from Keras' own in its {what} (by {np.abs(one - two).max():.3g}): "
                    "the rows of a batch act on each other, or its loss is not the mean over its rows"
                )


def _close(a: np.ndarray, b: np.ndarray, largest: float) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * max(largest, 1e-6), equal_nan=True))


def _strength(layer: keras.layers.Layer) -> str:
    return "stddev" if isinstance(layer, keras.layers.GaussianNoise) else "rate"


def _silence(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if type(layer) in RATES:
            object.__setattr__(layer, _strength(layer), 0.0)
