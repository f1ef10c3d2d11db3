"""One step on a padded batch must give what Keras' own step gives on the real rows: checked by numbers, not guessed."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from hpsearch.engines.fused.layers import RATES
from hpsearch.engines.fused.recipe import Recipe
from hpsearch.engines.fused.template import Slot, UnfusableError
from hpsearch.problem import Problem

ROWS, PADDED = 13, 16
"""Rows that count, and rows of the padded batch."""


def check_step(recipe: Recipe, problem: Problem, fold: int) -> None:
    """Compare loss, metrics, gradients and statistics of a template with those of the model it was made from.

    Noise layers are switched off on both sides: their draws differ by design.

    Raises:
        UnfusableError: They differ, so that a fused result would not be Keras' result.
    """
    template = recipe.template
    model = recipe.build(recipe.config, fold, seed=1)
    own_noise = [one for one in template.layers if hasattr(one, "seed_generator") and type(one) not in RATES]
    count = PADDED if own_noise else ROWS  # other random layers draw by batch shape
    part = problem.dataset.train
    rows = np.arange(PADDED) % len(part)
    batch = part.take(rows)
    x = {k: jnp.array(v) for k, v in batch.x.items()} if isinstance(batch.x, Mapping) else jnp.array(batch.x)
    y = jnp.array(batch.y)
    head = jax.tree.map(lambda column: column[:count], (x, y))
    model._symbolic_build(data_batch=(*head, None))
    _silence(model)
    silent = [Slot("layer", i, (_strength(one),)) for i, one in enumerate(template.layers) if type(one) in RATES]
    mask = (jnp.arange(PADDED) < count).astype(jnp.float32)

    def fused(trainable: Any, fixed: Any) -> Any:
        with template.with_values(silent, [0.0] * len(silent)):
            (loss, (predicted, after)), gradients = jax.value_and_grad(
                lambda weights: template.loss(weights, fixed, x, y, mask, training=True), has_aux=True
            )(trainable)
            metrics = template.update_metrics(template.metrics, loss, y, predicted, mask)
        return loss, gradients, after, template.results(metrics)

    def keras_step(trainable: Any, fixed: Any) -> Any:
        metrics = [v.value for v in model.metrics_variables]
        optimizer = [v.value for v in model.optimizer.variables]
        (loss, aux), gradients = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)(
            trainable, fixed, metrics, *head, None, training=True, optimizer_variables=optimizer
        )
        logs, _ = model._update_metrics_variables(aux[3], loss, *head, aux[1], None)
        return loss, gradients, aux[2], logs

    start = (template.trainable, template.fixed)
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    ours = jax.jit(fused).lower(*start).compile(compiler_options=options)(*start)
    theirs = jax.jit(keras_step).lower(*start).compile(compiler_options=options)(*start)
    for what, a, b in zip(("loss", "gradient", "state", "metric"), ours, theirs, strict=True):
        for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            if jnp.issubdtype(one.dtype, jnp.floating) and not _close(np.asarray(one), np.asarray(two)):
                gap = float(np.abs(np.asarray(one) - np.asarray(two)).max())
                raise UnfusableError(
                    f"a fused training step would differ from Keras' own in its {what} (by {gap:.3g}): "
                    "the rows of a batch act on each other"
                )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(float(np.abs(b).max(initial=0.0)), 1e-6)
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * scale, equal_nan=True))


def _strength(layer: keras.layers.Layer) -> str:
    return "stddev" if isinstance(layer, keras.layers.GaussianNoise) else "rate"


def _silence(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if type(layer) in RATES:
            object.__setattr__(layer, _strength(layer), 0.0)
