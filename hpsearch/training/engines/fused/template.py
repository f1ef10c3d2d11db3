"""A template: one Keras model whose code all lanes of a signature share, with its weights taken out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import keras

from hpsearch.keras_internals.compiled import metrics_over_batches, outputs_in_order, placed_metrics
from hpsearch.keras_internals.layers import flatten_layers, takes_training
from hpsearch.keras_internals.numbers import NumberSlot, numbers_set
from hpsearch.keras_internals.steps import build_lazily_built, penalties, update_metrics, weights_of_outputs
from hpsearch.training.engines.fused.errors import UnfusableError
from hpsearch.training.engines.fused.layers import RowMask, patch_layers
from hpsearch.training.engines.fused.pytree import HostInputs, Inputs, PyTree, Values


class Template:
    """Code of a model, loss, metrics and optimizer as pure functions of their state.

    Args:
        model: Compiled. It is patched, and must not be used for anything else.
        x: A few rows, to build what Keras builds lazily.
        y: Their targets.

    Raises:
        UnfusableError: The model is of a kind that a fused program cannot train.
    """

    def __init__(self, model: keras.Model, x: HostInputs, y: PyTree) -> None:
        check_kind(model)
        self.model = model
        self.rows = RowMask()
        self.layers = flatten_layers(model, include_self=False)
        build_lazily_built(model, x, y)
        patch_layers(model, self.rows)
        self.over_batches = metrics_over_batches(model)
        self._over_batches = [one for one in placed_metrics(model) if any(one.metric is m for m in self.over_batches)]
        model.reset_metrics()
        self.trainable: Values = [v.value for v in model.trainable_variables]
        self.non_trainable: Values = [v.value for v in model.non_trainable_variables]
        self.optimizer: Values = [v.value for v in model.optimizer.variables]
        self.metrics: Values = [v.value for v in model.metrics_variables]

    @contextmanager
    def with_numbers(self, slots: Sequence[NumberSlot], numbers: Sequence[float | jax.Array]) -> Iterator[None]:
        """Put traced numbers into the slots while the model's code is traced."""
        with numbers_set(self.model, self.layers, slots, numbers):
            yield

    def loss(
        self,
        trainable: Values,
        non_trainable: Values,
        x: Inputs,
        y: PyTree,
        mask: jax.Array,
        row_weights: jax.Array | None = None,
        *,
        training: bool,
    ) -> tuple[jax.Array, tuple[PyTree, Values]]:
        """Loss over the rows whose mask is 1, as Keras computes it for a batch of just these rows.

        Args:
            trainable: Values of the trainable variables.
            non_trainable: Values of the non-trainable variables.
            x: A batch of raw rows.
            y: Their targets; of several outputs, as Keras takes them.
            mask: Shape ``(batch,)``, 1.0 for rows that count.
            row_weights: Shape ``(batch,)``: Keras' ``sample_weight``; None for none.
            training: As for a Keras call.

        Returns:
            The loss, the predictions and the new non-trainable values.
        """
        model = self.model
        arguments = {"training": training} if takes_training(model) else {}
        with self.rows.set_to(mask):
            predicted, after, losses = model.stateless_call(
                trainable, non_trainable, x, return_losses=True, **arguments
            )
        weights = weights_of_outputs(_times(mask, row_weights), mask, predicted)
        with penalties(model, losses):
            loss, (_, after, _) = model.stateless_compute_loss(
                trainable, after, self.metrics, x=x, y=y, y_pred=predicted, sample_weight=weights, training=training
            )
        return loss, (predicted, after)

    def gradients(
        self,
        trainable: Values,
        non_trainable: Values,
        optimizer: Values,
        x: Inputs,
        y: PyTree,
        mask: jax.Array,
        row_weights: jax.Array | None = None,
    ) -> tuple[tuple[jax.Array, tuple[PyTree, Values]], Values]:
        """What :meth:`loss` returns in training, and the gradients that the optimizer takes.

        The arguments are those of :meth:`loss`, and the values of the optimizer's variables: it may scale the loss.
        """

        def scaled(weights: Values) -> tuple[jax.Array, tuple[jax.Array, tuple[PyTree, Values]]]:
            loss, others = self.loss(weights, non_trainable, x, y, mask, row_weights, training=True)
            mapping = list(zip(self.model.optimizer.variables, optimizer, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return self.model.optimizer.scale_loss(loss), (loss, others)

        (_, found), gradients = jax.value_and_grad(scaled, has_aux=True)(trainable)
        return found, gradients

    def update_metrics(
        self,
        metrics: Values,
        loss: jax.Array,
        y: PyTree,
        predicted: PyTree,
        mask: jax.Array,
        row_weights: jax.Array | None = None,
    ) -> Values:
        """Metric states after a batch, without its padding rows; see :meth:`update_over_batches` for some of them."""
        mapping = list(zip(self.model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            update_metrics(
                self.model, loss, y, predicted, mask, weighted=_times(mask, row_weights), without=self.over_batches
            )
        return [_current(scope, variable, value) for variable, value in mapping]

    def update_over_batches(
        self,
        metrics: Values,
        y: PyTree,
        predicted: PyTree,
        row_weights: jax.Array | None,
        count: jax.Array,
        sizes: Sequence[int],
    ) -> Values:
        """States after a batch of the metrics that look at a whole batch, in which no row can be masked.

        Args:
            metrics: All states.
            y: Targets, padding at the end.
            predicted: Predictions.
            row_weights: Keras' ``sample_weight`` of each row; None for none.
            count: How many rows are real.
            sizes: All values that `count` may have; any other does not matter.
        """
        if not self.over_batches:
            return metrics
        targets, outputs = (outputs_in_order(self.model, one) for one in (y, predicted))

        def with_rows(size: int, values: Values) -> Values:
            mapping = list(zip(self.model.metrics_variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                for metric, output, weighted in self._over_batches:
                    weights = {"sample_weight": row_weights[:size]} if weighted and row_weights is not None else {}
                    metric.update_state(targets[output][:size], outputs[output][:size], **weights)
            return [_current(scope, variable, value) for variable, value in mapping]

        at = jnp.argmin(jnp.abs(jnp.array(sizes) - count))
        after: Values = jax.lax.switch(at, [partial(with_rows, size) for size in sizes], metrics)
        return after

    def results(self, metrics: Values) -> dict[str, jax.Array]:
        """Name → value, as Keras logs them."""
        mapping = list(zip(self.model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            found = self.model.get_metrics_result()
        return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}

    def apply(self, optimizer: Values, gradients: Values, trainable: Values) -> tuple[Values, Values]:
        """New trainable and optimizer values after one optimizer step."""
        after: tuple[Values, Values] = self.model.optimizer.stateless_apply(optimizer, gradients, trainable)
        return after


def check_kind(model: keras.Model) -> None:
    """Refuse models whose training is not plain Keras.

    Raises:
        UnfusableError: With the reason.
    """
    kind = type(model)
    for name in ("train_step", "test_step", "compute_metrics"):
        if getattr(kind, name) is not getattr(keras.Model, name):
            raise UnfusableError(f"{kind.__name__} has a {name} of its own")
    if model.optimizer is None:
        raise UnfusableError("the model is compiled without an optimizer")
    for layer in flatten_layers(model, include_self=False):
        if getattr(layer, "activity_regularizer", None) is not None:
            raise UnfusableError(
                f"layer {layer.name!r} has an activity regularizer, whose penalty sums over the rows of a batch"
            )
        if layer.compute_dtype in ("float16", "bfloat16"):
            raise UnfusableError(
                f"layer {layer.name!r} computes in {layer.compute_dtype}, where results depend on the order of sums: "
                "a fused result would not be that of fit"
            )


def _times(mask: jax.Array, row_weights: jax.Array | None) -> jax.Array:
    return mask if row_weights is None else mask * row_weights


def _current(scope: keras.StatelessScope, variable: keras.Variable, before: jax.Array) -> jax.Array:
    value: jax.Array | None = scope.get_current_value(variable)
    return before if value is None else value
