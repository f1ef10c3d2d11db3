"""The study's rows on the device, once. Lanes pick theirs by number."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.data.dataset import Array, Features, keras_inputs, keras_targets
from hpsearch.training.engines.fused.errors import UnfusableError
from hpsearch.training.engines.fused.pytree import Inputs, PyTree
from hpsearch.training.problem import Problem


class Batches(NamedTuple):
    """Rows of the batches of one lane, or of several with an axis of lanes in front.

    Attributes:
        rows: Row numbers, shape ``(steps, batch)``; padding repeats row 0.
        weights: How much each of these rows counts, of the same shape; None if all count alike.
    """

    rows: NDArray[np.int32]
    weights: NDArray[np.float32] | None


VALIDATION_BATCH = 256
"""Rows per validation step at most."""


class DeviceData:
    """All development rows and targets on the device, and every fold's row numbers.

    Args:
        problem: The study's data and folds.

    Raises:
        UnfusableError: A column holds text, or there are no targets.
    """

    def __init__(self, problem: Problem) -> None:
        self.folds = problem.folds
        self.x = to_device(problem.dataset.train.x)
        if problem.dataset.task is Task.NONE:
            raise UnfusableError("there are no targets, so its losses may sum over the rows of a batch")
        self.y: PyTree = jax.tree.map(jnp.array, keras_targets(problem.dataset.train.y))
        self._weights = problem.dataset.train.weights
        self._training_weights = [_weights_of(problem, fold.train) for fold in problem.folds]
        self._most_validation = max(len(fold.validation) for fold in problem.folds)

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(array.nbytes for array in jax.tree.leaves((self.x, self.y)))

    def n_train(self, fold: int) -> int:
        """Number of training rows of a fold."""
        return len(self.folds[fold].train)

    def n_validation(self, fold: int) -> int:
        """Number of validation rows of a fold."""
        return len(self.folds[fold].validation)

    def steps(self, batch: int) -> int:
        """Batches per epoch of the largest fold."""
        return max(-(-self.n_train(fold) // batch) for fold in range(len(self.folds)))

    def batch_sizes(self, batch: int) -> tuple[int, ...]:
        """How many rows the batches of an epoch have: full ones, and the last one of every fold."""
        rows = {self.n_train(fold) for fold in range(len(self.folds))}
        return tuple(sorted({batch for n in rows if n >= batch} | {n % batch for n in rows if n % batch}))

    @property
    def validation_sizes(self) -> tuple[int, ...]:
        """How many rows the validation parts have."""
        return tuple(sorted({len(fold.validation) for fold in self.folds}))

    def even(self, batch: int) -> bool:
        """Whether all folds have the same number of batches. Then no lane waits for another."""
        return len({-(-self.n_train(fold) // batch) for fold in range(len(self.folds))}) == 1

    def epoch_batches(self, fold: int, order: NDArray[np.intp], batch: int) -> Batches:
        """The batches of an epoch, with the rows of a fold in this order."""
        weights = self._training_weights[fold]
        return _batches(
            self.folds[fold].train[order], None if weights is None else weights[order], self.steps(batch), batch
        )

    def validation_batches(self, fold: int) -> Batches:
        """The batches of a fold's validation rows."""
        steps = -(-self._most_validation // VALIDATION_BATCH)
        rows = self.folds[fold].validation
        weights = None if self._weights is None else self._weights[rows]
        return _batches(rows, weights, steps, -(-self._most_validation // steps))


def take(x: PyTree, rows: jax.Array) -> PyTree:
    """Rows of an array, or of each of several."""
    taken: PyTree = jax.tree.map(lambda column: column[rows], x)
    return taken


def to_device(x: Features) -> Inputs:
    """An array, or several inputs, on the device.

    Raises:
        UnfusableError: A column holds text, which XLA cannot handle.
    """
    columns = x if isinstance(x, Mapping) else {"": x}
    for name, column in columns.items():
        if np.asarray(column).dtype.kind not in "biuf":
            raise UnfusableError(f"column {name!r} holds text, which XLA programs cannot take")
    on_device: Inputs = jax.tree.map(jnp.array, keras_inputs(x))
    return on_device


def stacked(lanes: Sequence[Batches]) -> Batches:
    """The batches of several lanes, with an axis of lanes in front."""
    found: Batches = jax.tree.map(lambda *several: np.stack(several), *lanes)
    return found


def _weights_of(problem: Problem, rows: NDArray[np.intp]) -> Array | None:
    """What the training rows of a fold count in training."""
    return problem.to_train(problem.dataset.train.take(rows)).weights


def _batches(rows: NDArray[np.intp], weights: Array | None, steps: int, batch: int) -> Batches:
    padded = np.zeros(steps * batch, dtype=np.int32)
    padded[: len(rows)] = rows
    if weights is None:
        return Batches(padded.reshape(steps, batch), None)
    counts = np.zeros(steps * batch, dtype=np.float32)
    counts[: len(rows)] = weights
    return Batches(padded.reshape(steps, batch), counts.reshape(steps, batch))
