"""Parts of a Keras training step, in JAX, that Keras runs only as a whole.

The fused engine leaves padding rows out of loss and metrics. Keras' own step has no place for that, so the engine calls
the step's parts. :func:`keras_step` is the whole step, to compare with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from hpsearch.keras_internals.compiled import output_losses, outputs_in_order, placed_metrics


def build_lazily_built(model: keras.Model, x: Any, y: Any) -> None:
    """Build what Keras otherwise builds in the first call of ``fit``: metrics, losses and optimizer variables.

    Args:
        model: Compiled.
        x: Some rows; only shapes and dtypes matter.
        y: Their targets.
    """
    model._symbolic_build(data_batch=(x, y, None))


@contextmanager
def penalties(model: keras.Model, losses: Sequence[Any]) -> Iterator[None]:
    """Let ``stateless_compute_loss`` add these `losses`, which ``stateless_call(return_losses=True)`` returned.

    Keras' JAX trainer hands penalties of regularizers from the one to the other through this private list.
    """
    if not losses:
        yield
        return
    model._losses_override.clear()
    model._losses_override = losses
    yield
    model._losses_override.clear()


def update_metrics(
    model: keras.Model,
    loss: Any,
    y: Any,
    predicted: Any,
    mask: Any,
    *,
    weighted: Any,
    without: Sequence[keras.metrics.Metric] = (),
) -> None:
    """Update the mean loss and the compiled metrics with the rows of a batch whose `mask` is 1.

    ``compute_metrics`` passes sample weights to weighted metrics only, and the mean loss counts all rows of the batch.
    Here both leave out padding rows.

    Args:
        model: Compiled and built; must be inside a ``keras.StatelessScope``.
        loss: Mean over the rows that count.
        y: Targets.
        predicted: Predictions.
        mask: Shape ``(batch,)`` of 0 and 1.
        weighted: The mask times the sample weights, which only ``weighted_metrics`` see.
        without: Metrics to leave as they are.
    """
    model._loss_tracker.update_state(loss, sample_weight=mask.sum())
    _update_losses(model, y, predicted, mask, weighted)
    targets, outputs = outputs_in_order(model, y), outputs_in_order(model, predicted)
    for metric, output, is_weighted in placed_metrics(model):
        if not any(metric is one for one in without):
            weights = weighted if is_weighted else mask
            metric.update_state(targets[output], outputs[output], sample_weight=weights)


def _update_losses(model: keras.Model, y: Any, predicted: Any, mask: Any, weighted: Any) -> None:
    """Update the losses of the outputs, if there are several: Keras counts all rows of the batch, padding included."""
    trackers = output_losses(model)
    before = [(one.total.value, one.count.value) for one in trackers]
    if not trackers:
        return
    for one in trackers:
        one.reset_state()
    model._compile_loss(y, predicted, weights_of_outputs(weighted, mask, predicted))
    for one, (total, count) in zip(trackers, before, strict=True):
        one.total.assign(total + one.result() * mask.sum())
        one.count.assign(count + mask.sum())


def weights_of_outputs(weights: Any, mask: Any, predicted: Any) -> Any:
    """Sample weights that leave padding out of Keras' mean over a batch, in the shape that each output's losses have.

    Args:
        weights: The mask, times the sample weights if there are some.
        mask: Shape ``(batch,)`` of 0 and 1.
        predicted: Predictions; losses reduce their last axis, and leave one value per row, or per pixel or step of one.
    """
    # Keras divides by the rows of the batch, padding included. The weights make up for it.
    counted = weights * (mask.shape[0] / keras.ops.maximum(mask.sum(), 1.0))

    def of(output: Any) -> Any:
        return counted.reshape(-1, *(1,) * (max(getattr(output, "ndim", 2) - 1, 1) - 1))

    return keras.tree.map_structure(of, predicted)


class StepResult(NamedTuple):
    """What :func:`keras_step` computes."""

    loss: Any
    gradients: Any
    non_trainable: Any
    metrics: Any
    validation_metrics: Any


def keras_step(model: keras.Model, trainable: Any, non_trainable: Any, x: Any, y: Any, weights: Any) -> StepResult:
    """Keras' own training step, short of the optimizer, and its own validation step.

    ``train_step`` does not return loss and gradients, so its parts are called.

    Args:
        model: Compiled and built.
        trainable: Values of the trainable variables.
        non_trainable: Values of the other variables.
        x: A batch of rows.
        y: Their targets.
        weights: Their sample weights; None for none.
    """
    import jax

    metrics = [v.value for v in model.metrics_variables]
    optimizer = [v.value for v in model.optimizer.variables]
    differentiated = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)
    # The first value is scaled as the optimizer asks; Keras reports the other one.
    (_, (loss, predicted, after, updated)), gradients = differentiated(
        trainable, non_trainable, metrics, x, y, weights, training=True, optimizer_variables=optimizer
    )
    logs, _ = model._update_metrics_variables(updated, loss, x, y, predicted, weights)
    validated, _ = model.test_step((trainable, non_trainable, metrics), (x, y, weights))
    return StepResult(loss, gradients, after, logs, validated)
