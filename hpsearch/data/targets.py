"""Targets: which task they ask for, and their coding as class numbers, one-hot rows or float32 values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec

MAX_INTEGER_CLASSES = 100
"""Whole-number targets with more distinct values than this are taken as amounts (regression), not as classes."""


@dataclass(frozen=True, slots=True)
class CodedTargets:
    """Targets as :class:`~hpsearch.data.dataset.Part` wants them."""

    y: Array
    y_test: Array | None
    task: Task
    classes: tuple[str, ...]


def code_targets(loaded: Loaded, spec: "StudySpec") -> CodedTargets:
    """Code the targets of both parts.

    Raises:
        DataError: Targets are missing, are texts where numbers are needed, or hold a single class; or test targets
            hold a class that training lacks.
    """
    source, data = spec.data.source, spec.data
    y = _tidy(source, loaded.y, "targets")
    y_test = None if loaded.y_test is None else _tidy(source, loaded.y_test, "test targets")
    task = Task(data.task) if data.task else infer_task(y)
    if task is Task.REGRESSION:
        return CodedTargets(_amounts(source, y), None if y_test is None else _amounts(source, y_test), task, ())
    if y.ndim == 2:
        y, y_test = _from_one_hot(source, y), None if y_test is None else _from_one_hot(source, y_test)
    values = np.unique(y)
    if y_test is not None:
        _check_met(source, values, y_test)
    if len(values) < 2:
        raise DataError(
            f"{source}: all {len(y)} targets are of one class, {_name(y[0])!r}",
            hint='a classifier needs at least two classes; check [data] target, or set task = "regression"',
        )
    if task is Task.BINARY and len(values) != 2:
        raise DataError(
            f'{source}: task = "binary" needs 2 classes, but the targets hold {len(values)}',
            hint='use task = "multiclass"',
        )
    if data.task is None and len(values) == 2 and data.labels != "one-hot":
        task = Task.BINARY
    classes = _class_names(values, loaded.classes)
    one_hot = data.labels == "one-hot" and task is Task.MULTICLASS
    codes, codes_test = (None if part is None else _numbers(part, values, one_hot) for part in (y, y_test))
    assert codes is not None
    return CodedTargets(codes, codes_test, task, classes)


def _check_met(source: str, values: Array, y_test: Array) -> None:
    """Every class of the source's own test split must have been met in training."""
    unmet = ~np.isin(y_test, values)
    if unmet.any():
        names = np.unique(y_test[unmet])
        shown = ", ".join(repr(_name(name)) for name in names[:5]) + (", …" if len(names) > 5 else "")
        raise DataError(
            f"{source}: {int(unmet.sum())} of {len(y_test)} test targets are of classes that no training row has: "
            f"{shown}",
            hint="no model can learn them: mend the spelling, drop those rows, or add training rows of these classes",
        )


def infer_task(y: Array) -> Task:
    """Real numbers ask for regression; texts, booleans and a few whole numbers for classes.

    Real numbers that are one-hot rows are classes too. Two classes are refined to ``binary`` by the caller.
    """
    if y.ndim == 2:
        return Task.MULTICLASS if _is_one_hot(y) else Task.REGRESSION
    if y.dtype.kind == "f":
        return Task.REGRESSION
    if y.dtype.kind in "iu" and len(np.unique(y)) > MAX_INTEGER_CLASSES:
        return Task.REGRESSION
    return Task.MULTICLASS


def _tidy(source: str, y: Array, what: str) -> Array:
    """One dtype, no gaps, no needless second axis."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2):
        raise DataError(
            f"{source}: {what} are of shape {y.shape}, where (n_rows,) or (n_rows, n_targets) is needed",
            hint="deliver one target, class number or one-hot row per row",
        )
    missing = _missing(y)
    if missing.any():
        raise DataError(
            f"{source}: {int(missing.sum())} of {len(y)} {what} are missing (NaN), the first in row "
            f"{int(missing.argmax())}",
            hint="drop those rows: nothing can be learnt from them",
        )
    return y.astype(str) if y.dtype.kind in "OSU" else y


def _missing(y: Array) -> NDArray[np.bool_]:
    if y.dtype.kind == "f":
        return ~np.asarray(np.isfinite(y.reshape(len(y), -1)).all(axis=1))
    if y.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in y.reshape(-1)], dtype=bool)
        return np.asarray(missing.reshape(len(y), -1).any(axis=1))
    return np.zeros(len(y), dtype=bool)


def _amounts(source: str, y: Array) -> Array:
    try:
        return y.astype(np.float32)
    except ValueError:
        raise DataError(
            f"{source}: regression needs numbers as targets, but got {_name(y.reshape(-1)[0])!r}",
            hint='check [data] target, or use task = "multiclass"',
        ) from None


def _is_one_hot(y: Array) -> bool:
    return y.dtype.kind in "biuf" and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _from_one_hot(source: str, y: Array) -> Array:
    if not _is_one_hot(y):
        raise DataError(
            f"{source}: targets of shape {y.shape} are not one-hot rows, where classes are asked for",
            hint='deliver class numbers, or use task = "regression"',
        )
    return np.asarray(y.argmax(axis=1))


def _numbers(y: Array, values: Array, one_hot: bool) -> Array:
    numbers = np.searchsorted(values, y).astype(np.int32)
    return np.eye(len(values), dtype=np.float32)[numbers] if one_hot else numbers


def _class_names(values: Array, names: tuple[str, ...]) -> tuple[str, ...]:
    if names and values.dtype.kind in "iu" and int(values.max()) < len(names):
        return tuple(names[int(value)] for value in values)
    return tuple(_name(value) for value in values)


def _name(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
