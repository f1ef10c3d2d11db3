"""The compiled program of a signature: one epoch of training and validation for a group of lanes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hpsearch.training.engines.fused.data import DeviceData, take
from hpsearch.training.engines.fused.recipe import Recipe, Start
from hpsearch.training.engines.fused.template import Template, Values

Metrics = dict[str, np.ndarray]

State = tuple[Values, Values, Values]
"""Trainable, other and optimizer values, each with a leading axis of lanes."""


class Program:
    """One epoch for `width` lanes in one dispatch.

    Args:
        recipe: What to train.
        data: Rows and targets.
        width: Lanes per dispatch; 1 compiles without the lane axis, which keeps convolutions plain.
        batch: Rows per step.
    """

    def __init__(self, recipe: Recipe, data: DeviceData, *, width: int, batch: int) -> None:
        self.recipe = recipe
        self.width = width
        self.batch = batch
        self._data = data
        self._even = data.even(batch)
        self._on_cpu = jax.default_backend() == "cpu"
        self._compiled: Any = None

    def compile(self) -> None:
        """Trace and compile; may be called from another thread. Sets ``temp_bytes``."""
        arguments = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), self._example())
        lowered = jax.jit(self._group, donate_argnums=0).lower(*arguments)
        self._compiled = lowered.compile()

    @property
    def temp_bytes(self) -> int:
        """Memory that a dispatch needs beside its arguments; 0 where the backend does not tell."""
        analysis = self._compiled.memory_analysis()
        return int(getattr(analysis, "temp_size_in_bytes", 0) or 0)

    def stack(self, starts: Sequence[Start]) -> State:
        """The state of a group from its lanes' starts; missing lanes repeat the last one."""
        padded = [*starts, *[starts[-1]] * (self.width - len(starts))]
        parts = ([start.trainable for start in padded], [s.fixed for s in padded], [s.optimizer for s in padded])
        trainable, fixed, optimizer = (
            [jnp.array(np.stack([np.asarray(v) for v in column])) for column in zip(*part, strict=True)]
            for part in parts
        )
        return trainable, fixed, optimizer

    def slots(self, starts: Sequence[Start]) -> list[jax.Array]:
        """The lifted numbers of a group, one array of shape ``(width,)`` per slot."""
        padded = [*starts, *[starts[-1]] * (self.width - len(starts))]
        rows = np.array([start.slots for start in padded], dtype=np.float32).reshape(self.width, -1)
        return [jnp.array(column) for column in rows.T]

    def run(self, state: State, slots: list[jax.Array], rows: Any, counts: Any, held: Any) -> tuple[State, Any]:
        """Dispatch one epoch; returns at once on a GPU, and when it is done on a CPU.

        Args:
            state: Consumed.
            slots: See :meth:`slots`.
            rows: Training rows, int32 of shape ``(width, steps, batch)``.
            counts: Training and validation rows of each lane, int32 of shape ``(width, 2)``.
            held: Validation rows, int32 of shape ``(width, steps, rows)``.

        Returns:
            The new state, and name → array of shape ``(width,)`` as Keras would log it.
        """
        result: tuple[State, Any] = self._compiled(state, slots, rows, counts, held, self._data.x, self._data.y)
        # JAX runs what one thread dispatches one after the other, whatever it waits for: whoever is at work here must
        # not take the next dispatch, or a free core would stay without one.
        return jax.block_until_ready(result) if self._on_cpu else result

    def _example(self) -> tuple[Any, ...]:
        template, width = self.recipe.template, self.width

        def lanes(values: Values) -> list[Any]:
            return [jax.ShapeDtypeStruct((width, *v.shape), v.dtype) for v in values]

        state = lanes(template.trainable), lanes(template.fixed), lanes(template.optimizer)
        slots = [jax.ShapeDtypeStruct((width,), jnp.float32) for _ in self.recipe.slots]
        rows = jax.ShapeDtypeStruct((width, self._data.steps(self.batch), self.batch), jnp.int32)
        held = jax.ShapeDtypeStruct((width, *self._data.validation_rows(0).shape), jnp.int32)
        return state, slots, rows, jax.ShapeDtypeStruct((width, 2), jnp.int32), held, self._data.x, self._data.y

    def _group(self, state: State, slots: Any, rows: Any, counts: Any, held: Any, x: Any, y: Any) -> Any:
        if self.width > 1:
            lane = jax.vmap(self._lane, in_axes=(0, 0, 0, 0, 0, None, None))
            return lane(state, slots, rows, counts, held, x, y)
        alone: Any = self._lane
        first = jax.tree.map(lambda a: a[0], (state, slots, rows, counts, held))
        return jax.tree.map(lambda a: a[None], alone(*first, x, y))

    def _lane(self, state: State, slots: Any, rows: Any, counts: Any, held: Any, x: Any, y: Any) -> Any:
        """An epoch of one lane: train on all batches, then validate."""
        template = self.recipe.template
        with template.with_values(self.recipe.slots, slots):
            state, trained = train_epoch(template, state, rows, counts[0], x, y, even=self._even)
            validated = validate(template, state, held, counts[1], x, y)
        return state, {**trained, **{f"val_{name}": value for name, value in validated.items()}}


def train_epoch(
    template: Template, state: State, rows: jax.Array, count: jax.Array, x: Any, y: jax.Array, *, even: bool
) -> tuple[State, dict[str, jax.Array]]:
    """All steps of one lane's epoch.

    Args:
        template: The model's code.
        state: Of one lane.
        rows: Shape ``(steps, batch)``.
        count: How many of these rows are real; the rest is padding.
        x: All rows of the study.
        y: All targets.
        even: Whether every lane needs all the steps; if not, a lane that is through keeps its state.
    """
    batch = rows.shape[1]

    def step(carry: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        (trainable, fixed, optimizer), metrics = carry
        number, picked = at
        mask = (number * batch + jnp.arange(batch) < count).astype(jnp.float32)
        inputs, targets = take(x, picked), y[picked]

        (loss, (predicted, new_fixed)), gradients = template.gradients(trainable, fixed, inputs, targets, mask)
        new_trainable, new_optimizer = template.apply(optimizer, gradients, trainable)
        new_metrics = template.update_metrics(metrics, loss, targets, predicted, mask)
        new = (new_trainable, new_fixed, new_optimizer), new_metrics
        if not even:
            goes_on = number * batch < count
            new = jax.tree.map(lambda after, before: jnp.where(goes_on, after, before), new, carry)
        return new, None

    numbers = jnp.arange(rows.shape[0], dtype=jnp.int32)
    (state, metrics), _ = jax.lax.scan(step, (state, template.metrics), (numbers, rows))
    return state, template.results(metrics)


def validate(
    template: Template, state: State, rows: jax.Array, count: jax.Array, x: Any, y: jax.Array
) -> dict[str, jax.Array]:
    """Metrics of one lane over its validation rows; arguments as for :func:`train_epoch`."""
    trainable, fixed, _ = state
    batch = rows.shape[1]

    def step(metrics: Values, at: tuple[jax.Array, jax.Array]) -> tuple[Values, None]:
        number, picked = at
        mask = (number * batch + jnp.arange(batch) < count).astype(jnp.float32)
        targets = y[picked]
        loss, (predicted, _) = template.loss(trainable, fixed, take(x, picked), targets, mask, training=False)
        new = template.update_metrics(metrics, loss, targets, predicted, mask)
        # A batch of padding alone must not count: its loss still holds the penalties.
        return jax.tree.map(lambda after, before: jnp.where(mask[0] > 0, after, before), new, metrics), None

    numbers = jnp.arange(rows.shape[0], dtype=jnp.int32)
    metrics, _ = jax.lax.scan(step, template.metrics, (numbers, rows))
    return template.results(metrics)
