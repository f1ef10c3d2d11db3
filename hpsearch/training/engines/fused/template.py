"""A template: one Keras model whose code all lanes of a signature share, with its weights taken out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from hpsearch.training.engines.fused.layers import RowMask, patch_layers

Values = list[jax.Array]


@dataclass(frozen=True, slots=True)
class Slot:
    """A number inside a model or its optimizer that a program can take as an input.

    Attributes:
        owner: ``"layer"`` or ``"optimizer"``.
        index: Which layer, in the order of the flattened model; 0 for the optimizer.
        path: Attribute names from there, such as ``("rate",)`` or ``("kernel_regularizer", "l2")``.
    """

    owner: str
    index: int
    path: tuple[str, ...]


class InUse:
    """A traced number of an optimizer that counts as positive where Keras branches on it.

    ``if self.momentum != 0`` and its kin ask whether a term is there at all; in a program it always is, and is 0 for
    lanes without it.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __jax_array__(self) -> Any:
        """The number itself, for every computation."""
        return jnp.asarray(self.value)

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    def __gt__(self, other: float) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)

    def __rsub__(self, other: Any) -> Any:
        return other - self.value

    def __sub__(self, other: Any) -> Any:
        return self.value - other

    def __mul__(self, other: Any) -> Any:
        return self.value * other

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        return self.value + other

    __radd__ = __add__


class UnfusableError(Exception):
    """This model cannot be trained by a fused program; the text says why, in the user's words."""


class Template:
    """Code of a model, loss, metrics and optimizer as pure functions of their state.

    Args:
        model: Compiled; it is patched and must not be used for anything else.
        x: A few rows, to build what Keras builds lazily.
        y: Their targets.

    Raises:
        UnfusableError: The model is of a kind that a fused program cannot train.
    """

    def __init__(self, model: keras.Model, x: Any, y: Any) -> None:
        check(model)
        self.model = model
        self.rows = RowMask()
        self.layers = list(model._flatten_layers(include_self=False))
        model._symbolic_build(data_batch=(x, y, None))
        patch_layers(model, self.rows)
        model.reset_metrics()
        self.trainable = [v.value for v in model.trainable_variables]
        self.fixed = [v.value for v in model.non_trainable_variables]
        self.optimizer = [v.value for v in model.optimizer.variables]
        self.metrics = [v.value for v in model.metrics_variables]

    def find(self, slot: Slot) -> tuple[Any, str]:
        """The object that holds a slot, and the attribute's name."""
        holder: Any = self.layers[slot.index] if slot.owner == "layer" else self.model.optimizer
        for name in slot.path[:-1]:
            holder = getattr(holder, name)
        return holder, slot.path[-1]

    @contextmanager
    def with_values(self, slots: Sequence[Slot], values: Sequence[Any]) -> Iterator[None]:
        """Put traced values into the slots while the model's code is traced."""
        places = [self.find(slot) for slot in slots]
        before = [getattr(holder, name) for holder, name in places]
        try:
            for slot, (holder, name), value in zip(slots, places, values, strict=True):
                _assign(holder, name, InUse(value) if slot.owner == "optimizer" else value)
            yield
        finally:
            for (holder, name), value in zip(places, before, strict=True):
                _assign(holder, name, value)

    def loss(
        self, trainable: Values, fixed: Values, x: Any, y: jax.Array, mask: jax.Array, *, training: bool
    ) -> tuple[jax.Array, tuple[Any, Values]]:
        """Loss over the rows whose mask is 1, as Keras has it for a batch of just these rows.

        Args:
            trainable: Values of the trainable variables.
            fixed: Values of the non-trainable variables.
            x: A batch of raw rows.
            y: Their targets.
            mask: Shape ``(batch,)``, 1.0 for rows that count.
            training: As for a Keras call.

        Returns:
            The loss, the predictions and the new non-trainable values.
        """
        model = self.model
        arguments = {"training": training} if model._call_has_training_arg else {}
        with self.rows.set_to(mask):
            predicted, fixed, losses = model.stateless_call(trainable, fixed, x, return_losses=True, **arguments)
        if losses:
            model._losses_override.clear()
            model._losses_override = losses
        # Keras divides by the rows of the batch, padding included: the weights make up for it.
        weights = mask * (mask.shape[0] / jnp.maximum(mask.sum(), 1.0))
        loss, (_, fixed, _) = model.stateless_compute_loss(
            trainable, fixed, self.metrics, x=x, y=y, y_pred=predicted, sample_weight=weights, training=training
        )
        if losses:
            model._losses_override.clear()
        return loss, (predicted, fixed)

    def gradients(
        self, trainable: Values, fixed: Values, x: Any, y: jax.Array, mask: jax.Array
    ) -> tuple[tuple[jax.Array, tuple[Any, Values]], Values]:
        """What :meth:`loss` returns in training, and the gradients of the loss; arguments as there."""

        def loss_of(weights: Values) -> Any:
            return self.loss(weights, fixed, x, y, mask, training=True)

        found: tuple[tuple[jax.Array, tuple[Any, Values]], Values] = jax.value_and_grad(loss_of, has_aux=True)(
            trainable
        )
        return found

    def update_metrics(self, metrics: Values, loss: jax.Array, y: Any, predicted: Any, mask: jax.Array) -> Values:
        """Metric states after a batch, padding rows left out."""
        model = self.model
        mapping = list(zip(model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            model._loss_tracker.update_state(loss, sample_weight=mask.sum())
            compiled = model._compile_metrics
            if compiled is not None:
                for group in (*compiled._flat_metrics, *compiled._flat_weighted_metrics):
                    for metric in group.metrics if group else ():
                        metric.update_state(y, predicted, sample_weight=mask)
        return [_current(scope, v, value) for v, value in mapping]

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


def check(model: keras.Model) -> None:
    """Turn away models whose training is not plain Keras.

    Raises:
        UnfusableError: With the reason.
    """
    kind = type(model)
    for name in ("train_step", "test_step", "compute_metrics"):
        if getattr(kind, name) is not getattr(keras.Model, name):
            raise UnfusableError(f"{kind.__name__} has a {name} of its own")
    if len(getattr(model, "outputs", None) or [None]) != 1:
        raise UnfusableError(f"the model has {len(model.outputs)} outputs")
    if model.optimizer is None:
        raise UnfusableError("the model is compiled without an optimizer")


def _current(scope: keras.StatelessScope, variable: keras.Variable, before: Any) -> Any:
    value = scope.get_current_value(variable)
    return before if value is None else value


def _assign(holder: Any, name: str, value: Any) -> None:
    object.__setattr__(holder, name, value)


def to_device(x: Any) -> Any:
    """An array, or a dict of columns, on the device.

    Raises:
        UnfusableError: A column holds text, which XLA knows nothing of.
    """
    columns: Mapping[str, Any] = x if isinstance(x, Mapping) else {"": x}
    for name, column in columns.items():
        if np.asarray(column).dtype.kind not in "biuf":
            raise UnfusableError(f"column {name!r} holds text, which XLA programs cannot take")
    return {k: jnp.array(v) for k, v in x.items()} if isinstance(x, Mapping) else jnp.array(x)
