"""The study's rows on the device, once. Lanes pick theirs by number."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Features
from hpsearch.training.engines.fused.errors import UnfusableError
from hpsearch.training.engines.fused.pytree import Inputs
from hpsearch.training.problem import Problem

VALIDATION_BATCH = 256
"""Rows per validation step at most."""


class DeviceData:
    """All development rows and targets on the device, and every fold's row numbers.

    Args:
        problem: The study's data and folds.

    Raises:
        UnfusableError: A column holds text.
    """

    def __init__(self, problem: Problem) -> None:
        self.folds = problem.folds
        self.x = to_device(problem.dataset.train.x)
        self.y = jnp.array(problem.dataset.train.y)
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

    def epoch_rows(self, fold: int, order: NDArray[np.intp], batch: int) -> NDArray[np.int32]:
        """Row numbers of an epoch's batches, shape ``(steps, batch)``; padding repeats row 0."""
        return _padded(self.folds[fold].train[order], self.steps(batch) * batch).reshape(-1, batch)

    def validation_rows(self, fold: int) -> NDArray[np.int32]:
        """Row numbers of the validation batches, shape ``(steps, rows)``; padding repeats row 0."""
        steps = -(-self._most_validation // VALIDATION_BATCH)
        rows = -(-self._most_validation // steps)
        return _padded(self.folds[fold].validation, steps * rows).reshape(steps, rows)


def take(x: Inputs, rows: jax.Array) -> Inputs:
    """Rows of an array or of every column."""
    taken: Inputs = jax.tree.map(lambda column: column[rows], x)
    return taken


def to_device(x: Features) -> Inputs:
    """An array, or a dict of columns, on the device.

    Raises:
        UnfusableError: A column holds text, which XLA cannot handle.
    """
    columns = x if isinstance(x, Mapping) else {"": x}
    for name, column in columns.items():
        if np.asarray(column).dtype.kind not in "biuf":
            raise UnfusableError(f"column {name!r} holds text, which XLA programs cannot take")
    return {k: jnp.array(v) for k, v in x.items()} if isinstance(x, Mapping) else jnp.array(x)


def _padded(rows: NDArray[np.intp], length: int) -> NDArray[np.int32]:
    result = np.zeros(length, dtype=np.int32)
    result[: len(rows)] = rows
    return result
