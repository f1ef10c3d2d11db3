"""The study's rows on the device, once; lanes pick theirs by number."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hpsearch.training.engines.fused.template import to_device
from hpsearch.training.problem import Problem

VALIDATION_BATCH = 256
"""Rows per validation step, at the most."""


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
        """Training rows of a fold."""
        return len(self.folds[fold].train)

    def n_validation(self, fold: int) -> int:
        """Validation rows of a fold."""
        return len(self.folds[fold].validation)

    def steps(self, batch: int) -> int:
        """Batches per epoch of the largest fold."""
        return max(-(-self.n_train(fold) // batch) for fold in range(len(self.folds)))

    def even(self, batch: int) -> bool:
        """Whether all folds have equally many batches: then no lane needs to wait for another."""
        return len({-(-self.n_train(fold) // batch) for fold in range(len(self.folds))}) == 1

    def epoch_rows(self, fold: int, order: NDArray[np.intp], batch: int) -> NDArray[np.int32]:
        """Row numbers of an epoch's batches, shape ``(steps, batch)``; what is beyond the fold repeats row 0."""
        return _padded(self.folds[fold].train[order], self.steps(batch) * batch).reshape(-1, batch)

    def validation_rows(self, fold: int) -> NDArray[np.int32]:
        """Row numbers of the validation batches, shape ``(steps, rows)``."""
        steps = -(-self._most_validation // VALIDATION_BATCH)
        rows = -(-self._most_validation // steps)
        return _padded(self.folds[fold].validation, steps * rows).reshape(steps, rows)


def take(x: Any, rows: jax.Array) -> Any:
    """Rows of an array or of every column."""
    return jax.tree.map(lambda column: column[rows], x)


def _padded(rows: NDArray[Any], length: int) -> NDArray[np.int32]:
    result = np.zeros(length, dtype=np.int32)
    result[: len(rows)] = rows
    return result
