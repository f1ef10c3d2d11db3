"""The compiled program of a signature: one epoch of training and validation for a group of lanes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hpsearch.training.engines.fused.data import Batches, DeviceData
from hpsearch.training.engines.fused.epoch import State, train_epoch, validate
from hpsearch.training.engines.fused.initial import Value
from hpsearch.training.engines.fused.pytree import Inputs, PyTree, Values
from hpsearch.training.engines.fused.recipe import Recipe, Start

Metrics = dict[str, jax.Array]
"""Name → value, as Keras would log it."""

Epoch = tuple[State, Metrics, PyTree]
"""The new state, the metrics, and the predictions of the validation rows, padding at the end, if they are wanted."""


class Program:
    """One epoch for `width` lanes in one dispatch.

    Args:
        recipe: What to train.
        data: Rows and targets.
        width: Lanes per dispatch. 1 compiles without the lane axis, which keeps convolutions plain.
        batch: Rows per step.
        predictions: Whether an epoch ends with the predictions of the validation rows.
    """

    def __init__(self, recipe: Recipe, data: DeviceData, *, width: int, batch: int, predictions: bool = False) -> None:
        self.recipe = recipe
        self.width = width
        self.batch = batch
        self._predictions = predictions
        self._data = data
        self._even = data.even(batch)
        self._on_cpu = jax.default_backend() == "cpu"
        self._compiled: jax.stages.Compiled | None = None

    def compile(self) -> None:
        """Trace and compile. May be called from another thread. ``temp_bytes`` is known afterwards."""
        arguments = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), self._example())
        lowered = jax.jit(self._group, donate_argnums=0).lower(*arguments)
        self._compiled = lowered.compile()

    @property
    def temp_bytes(self) -> int:
        """Memory that a dispatch needs besides its arguments; 0 if the backend does not say."""
        assert self._compiled is not None, "not compiled yet"
        analysis = self._compiled.memory_analysis()
        return int(getattr(analysis, "temp_size_in_bytes", 0) or 0)

    def stack(self, starts: Sequence[Start]) -> State:
        """The state of a group from its lanes' starts; missing lanes repeat the last one."""
        padded = self._padded(starts)
        return (
            _stacked([start.trainable for start in padded]),
            _stacked([start.non_trainable for start in padded]),
            _stacked([start.optimizer for start in padded]),
        )

    def numbers(self, starts: Sequence[Start]) -> Values:
        """The dynamic numbers of a group, one array of shape ``(width,)`` per slot."""
        rows = np.array([start.numbers for start in self._padded(starts)], dtype=np.float32).reshape(self.width, -1)
        return [jnp.array(column) for column in rows.T]

    def _padded(self, starts: Sequence[Start]) -> list[Start]:
        return [*starts, *[starts[-1]] * (self.width - len(starts))]

    def run(
        self,
        state: State,
        numbers: Values,
        batches: Batches,
        counts: jax.Array,
        validation: Batches,
    ) -> Epoch:
        """Dispatch one epoch. Returns at once on a GPU, and when it is done on a CPU.

        Args:
            state: Consumed.
            numbers: See :meth:`numbers`.
            batches: Training rows, of shape ``(width, steps, batch)``.
            counts: Training and validation rows of each lane, int32 of shape ``(width, 2)``.
            validation: Validation rows, of shape ``(width, steps, rows)``.

        Returns:
            See :data:`Epoch`; metrics are arrays of shape ``(width,)``, predictions begin with the lanes.
        """
        assert self._compiled is not None, "not compiled yet"
        result: Epoch = self._compiled(state, numbers, batches, counts, validation, self._data.x, self._data.y)
        # JAX runs what one thread dispatches one after the other, even if that thread waits for something else. A
        # thread that is at work here must not take the next dispatch, or a free core would stay without one.
        return jax.block_until_ready(result) if self._on_cpu else result

    def _example(self) -> tuple[PyTree, ...]:
        template, width = self.recipe.template, self.width

        def lanes(values: Values) -> PyTree:
            return [jax.ShapeDtypeStruct((width, *v.shape), v.dtype) for v in values]

        state = lanes(template.trainable), lanes(template.non_trainable), lanes(template.optimizer)
        numbers = [jax.ShapeDtypeStruct((width,), jnp.float32) for _ in self.recipe.slots]
        counts = jax.ShapeDtypeStruct((width, 2), jnp.int32)
        order = np.arange(self._data.n_train(0))
        batches, validation = jax.tree.map(
            lambda one: jax.ShapeDtypeStruct((width, *one.shape), one.dtype),
            (self._data.epoch_batches(0, order, self.batch), self._data.validation_batches(0)),
        )
        return state, numbers, batches, counts, validation, self._data.x, self._data.y

    def _group(
        self,
        state: State,
        numbers: Values,
        batches: Batches,
        counts: jax.Array,
        validation: Batches,
        x: Inputs,
        y: PyTree,
    ) -> Epoch:
        per_lane = state, numbers, batches, counts, validation
        result: Epoch
        if self.width > 1:
            result = jax.vmap(self._lane, in_axes=(0, 0, 0, 0, 0, None, None))(*per_lane, x, y)
        else:
            first: tuple[State, Values, Batches, jax.Array, Batches] = jax.tree.map(lambda a: a[0], per_lane)
            result = jax.tree.map(lambda a: a[None], self._lane(*first, x, y))
        return result

    def _lane(
        self,
        state: State,
        numbers: Values,
        batches: Batches,
        counts: jax.Array,
        validation: Batches,
        x: Inputs,
        y: PyTree,
    ) -> Epoch:
        """An epoch of one lane: train on all batches, then validate."""
        template = self.recipe.template
        with template.with_numbers(self.recipe.slots, numbers):
            state, trained = train_epoch(
                template, state, batches, counts[0], x, y, even=self._even, sizes=self._data.batch_sizes(self.batch)
            )
            validated, predicted = validate(
                template,
                state,
                validation,
                counts[1],
                x,
                y,
                sizes=self._data.validation_sizes,
                predictions=self._predictions,
            )
        return state, {**trained, **{f"val_{name}": value for name, value in validated.items()}}, predicted


def _stacked(lanes: Sequence[Sequence[Value]]) -> Values:
    """One array per variable, with a leading axis of lanes."""
    return [jnp.array(np.stack([np.asarray(v) for v in column])) for column in zip(*lanes, strict=True)]
