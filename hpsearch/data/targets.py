"""Targets: the task that they imply, and their coding as class numbers, one-hot rows or float32 values."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.records import output_of
from hpsearch.core.words import listed, quoted
from hpsearch.data.dataset import Array
from hpsearch.data.inference import check_commas, float32_offset, text_in_numbers
from hpsearch.data.likeness import alike
from hpsearch.data.loaded import Loaded
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

MAX_INTEGER_CLASSES = 100
"""Whole-number targets with more distinct values than this are amounts (regression), not classes."""


@dataclass(frozen=True, slots=True)
class CodedTargets:
    """Targets in the form of :class:`~hpsearch.data.dataset.Part`."""

    y: Array
    y_test: Array | None
    task: Task
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def target_values(source: str, frame: "pd.DataFrame", task: str | None = None) -> Array:
    """The targets in columns of a table: numbers where they are numbers, whatever holds them, else texts.

    Args:
        source: For messages.
        frame: The columns.
        task: As the study file has it.

    Returns:
        Shape ``(n_rows,)`` for one column, ``(n_rows, n_columns)`` for more.

    Raises:
        DataError: A column has numbers with a decimal comma, amounts with text among them, or cells of a type that is
            neither number nor text.
    """
    columns = [_plain(source, frame[name]) for name in frame.columns]
    if task in (None, Task.REGRESSION):
        for name in frame.columns:
            _check_amounts(source, frame[name])
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _plain(source: str, values: "pd.Series[str]") -> Array:
    import pandas as pd

    from hpsearch.portable.cells import to_numbers

    gaps = values.isna()
    filled = values[~gaps]
    kind = pd.api.types.infer_dtype(filled.astype(object), skipna=True)
    if len(filled) and not isinstance(filled.iloc[0], str | bool | np.bool_ | Real | Decimal):
        raise _no_target(source, f"column {quoted(values.name)} holds", type(filled.iloc[0]).__name__)
    if kind == "string":
        check_commas(source, str(values.name), filled.astype(str))
    if kind in _NUMBERS or (kind == "string" and _are_amounts(filled.astype(str))):
        numbers = to_numbers(values.astype(object))
        return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan) if gaps.any() else numbers)
    return np.asarray(values.astype(object).where(~gaps, None) if gaps.any() else values)


def _no_target(source: str, what: str, kind: str) -> DataError:
    return DataError(
        f"{source}: the targets must be numbers, texts or booleans, but {what} values of type {kind}",
        code="bad-target-type",
        hint="convert times and durations to numbers, classes to texts, several numbers per row to several columns",
        source=source,
        type=kind,
    )


def _check_amounts(source: str, values: "pd.Series[str]") -> None:
    """Refuse amounts with a fraction that would become classes because some cells are text."""
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce") if values.dtype.kind not in "mM" else values
    text = (numbers.isna() & values.notna()).to_numpy()
    if not text.any() or text.mean() >= 0.5 or bool((numbers.dropna() % 1 == 0).all()):
        return
    row = int(text.argmax())
    other = 'if these are classes: [data] task = "multiclass"'
    raise text_in_numbers(source, str(values.name), row, str(values.iloc[row]), int(text.sum()), len(values), other)


_NUMBERS = ("integer", "floating", "decimal", "mixed-integer-float")


def _are_amounts(texts: "pd.Series[str]") -> bool:
    """Whether texts are numbers that cannot be names of classes: with fractions, or too many."""
    import pandas as pd

    many = texts.nunique() > MAX_INTEGER_CLASSES or bool(texts.str.contains(r"\d\.\d", regex=True).any())
    return many and bool(pd.to_numeric(texts, errors="coerce").notna().all())


def code_targets(loaded: Loaded, spec: "StudySpec") -> CodedTargets:
    """Code the targets of both parts.

    Raises:
        DataError: Targets are missing, are texts instead of numbers, or have a single class; or the test targets have a
            class that the training targets lack.
    """
    source, data = spec.data.source, spec.data
    y = _tidy(source, loaded.y, "targets")
    y_test = None if loaded.y_test is None else _tidy(source, loaded.y_test, "test targets")
    task = Task(data.task) if data.task else infer_task(y)
    if y.ndim > 2 and (spec.model.family is not None or task is not Task.REGRESSION):
        raise DataError(
            f"{source}: targets have shape {y.shape}, an array per row, which takes a build function of your own with "
            "a loss of its own",
            code="targets-of-more-axes",
            hint="see docs/models-and-data.md; [data] task is not needed for them",
            source=source,
            shape=y.shape,
        )
    if task is Task.REGRESSION:
        amounts = _amounts(source, y, data.unit), None if y_test is None else _amounts(source, y_test, data.unit)
        return CodedTargets(*amounts, task, (), (*_merged_amounts(y), *_amount_warnings(y, spec)))
    if data.unit is not None or data.standardize_targets:
        key, given = ("unit", f" = {data.unit:g} divides") if data.unit else ("standardize_targets", " is for")
        raise DataError(
            f"{source}: {key}{given} amounts, but the targets are classes",
            code="unit-of-classes" if key == "unit" else "standardized-classes",
            hint=f'remove [data] {key}; or if they are amounts, set task = "regression"',
            source=source,
            key=f"data.{key}",
        )
    if task is Task.MULTILABEL:
        return _labels(loaded, y, y_test, spec)
    if y.ndim == 2:
        y, y_test = _from_one_hot(source, y), None if y_test is None else _from_one_hot(source, y_test)
    values = np.unique(y)
    if y_test is not None:
        _check_seen(source, values, y_test)
    _check_count(source, y, values, task)
    if data.task is None and len(values) == 2 and data.labels != "one-hot":
        task = Task.BINARY
    classes = _class_names(values, loaded.classes)
    one_hot = data.labels == "one-hot" and task is Task.MULTICLASS
    codes, codes_test = (None if part is None else _numbers(part, values, one_hot) for part in (y, y_test))
    assert codes is not None
    return CodedTargets(codes, codes_test, task, classes, tuple(_class_warnings(y, values, loaded, spec)))


def _merged_amounts(y: Array) -> Iterator[str]:
    """Different amounts that float32 does not keep apart."""
    if y.ndim == 1 and y.dtype.kind in "iuf" and float32_offset(y)[0]:
        yield (
            f"different targets, such as {y[0]:.17g}, are equal in float32, which keeps 7 digits. Subtract a number "
            "near their mean first"
        )


def _amount_warnings(y: Array, spec: "StudySpec") -> Iterator[str]:
    """Real targets that may be numbers of classes."""
    if spec.data.task is not None or y.dtype.kind != "f" or y.ndim != 1:
        return
    distinct = np.unique(y)
    if len(distinct) <= min(_MANY_CLASSES, len(y) / 3) and bool((distinct == np.floor(distinct)).all()):
        yield (
            f"the targets are {len(distinct)} different whole numbers stored as floats, and are read as amounts. If "
            'they are classes: task = "multiclass"'
        )


_EMPTY_WORDS = {"na", "n/a", "none", "null", "nan", "", "-", "?"}


def _class_warnings(y: Array, values: Array, loaded: Loaded, spec: "StudySpec") -> Iterator[str]:
    """Classes that may be spellings of one, empty cells or amounts."""
    names = [_name(value) for value in values]
    if (text := alike(names)) is not None:
        yield f"classes {text}"
    for value, name in zip(values, names, strict=True):
        if name.strip().lower() in _EMPTY_WORDS:
            yield (
                f"class {quoted(name)} has {int((y == value).sum())} rows. If it means that the target is unknown, "
                f"drop "
                "these rows"
            )
    if loaded.columns and spec.data.task is None and y.dtype.kind in "iu" and len(values) > _MANY_CLASSES:
        yield f'the targets are {len(values)} whole numbers, read as classes. If they are amounts: task = "regression"'
    elif y.dtype.kind == "U" and len(values) > max(_MANY_CLASSES, len(y) / 3):
        some = f"{len(values)} different texts in {len(y)} rows, such as {quoted(names[0])}"
        yield f"the targets are {some}, each a class"


_MANY_CLASSES = 20


def _check_count(source: str, y: Array, values: Array, task: Task) -> None:
    if len(values) < 2:
        raise DataError(
            f"{source}: all {len(y)} targets have the same class, {quoted(_name(y[0]))}",
            code="one-class",
            hint='a classifier needs at least two classes: check [data] target, or set task = "regression"',
            source=source,
            classes=tuple(_name(value) for value in values),
        )
    if task is Task.BINARY and len(values) != 2:
        raise DataError(
            f'{source}: task = "binary" needs 2 classes, but the targets have {len(values)}',
            code="not-binary",
            hint='use task = "multiclass"',
            source=source,
            classes=len(values),
        )


def _check_seen(source: str, values: Array, y_test: Array) -> None:
    """Every class in the source's own test split must occur in training."""
    unseen = ~np.isin(y_test, values)
    if unseen.any():
        names = [_name(name) for name in np.unique(y_test[unseen])]
        raise DataError(
            f"{source}: {int(unseen.sum())} of {len(y_test)} test targets have classes that no training row has: "
            f"{listed(map(repr, names), most=5)}",
            code="unseen-classes",
            hint="no model can learn them: check the spelling, drop these rows, or add training rows of these classes",
            source=source,
            classes=tuple(names),
            count=int(unseen.sum()),
        )


def infer_task(y: Array) -> Task:
    """The task that targets imply: real numbers mean regression; texts, booleans and few whole numbers mean classes.

    One-hot rows are classes too, and other rows of zeros and ones are labels. Targets of more axes (images, maps of
    classes, sequences) are numbers, of which the model's own loss decides what they mean. The caller refines two
    classes to ``binary``.
    """
    if y.ndim > 2:
        return Task.REGRESSION
    if y.ndim == 2:
        return Task.MULTICLASS if is_one_hot(y) else Task.MULTILABEL if _are_labels(y) else Task.REGRESSION
    if y.dtype.kind == "f":
        return Task.REGRESSION
    if y.dtype.kind in "iu" and len(np.unique(y)) > MAX_INTEGER_CLASSES:
        return Task.REGRESSION
    return Task.MULTICLASS


def _tidy(source: str, y: Array, what: str) -> Array:
    """One dtype, no gaps, and no second axis of length 1."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 0 or (y.ndim > 2 and y.dtype.kind not in "biuf"):
        raise DataError(
            f"{source}: {what} must be one per row, or an array of numbers per row, but have shape {y.shape} and dtype "
            f"{y.dtype}",
            code="bad-target-shape",
            hint="provide one target, class number, one-hot row or array of numbers per row",
            source=source,
            part=what,
            shape=y.shape,
        )
    if y.dtype.kind in "cmMV":
        raise _no_target(source, "they hold", y.dtype.name)
    missing = missing_targets(y) if len(y) else np.zeros(0, dtype=bool)
    if missing.any():
        raise _without_value(source, y, what, missing)
    if y.dtype.kind == "S":
        try:
            return np.char.decode(y.astype(np.bytes_), "utf-8")
        except UnicodeDecodeError:
            raise _no_target(source, "they hold", "bytes") from None
    return y.astype(str) if y.dtype.kind in "OU" else y


def _without_value(source: str, y: Array, what: str, missing: NDArray[np.bool_]) -> DataError:
    count, first = int(missing.sum()), int(missing.argmax())
    infinite = y.dtype.kind == "f" and bool(np.isinf(y[first]).any())
    verb, kind = "is" if count == 1 else "are", "infinite" if infinite else "missing"
    return DataError(
        f"{source}: {count} of {len(y)} {what} {verb} missing or infinite, first in row {first} ({kind})",
        code="missing-targets",
        hint='leave these rows out: [data] missing_targets = "drop"',
        source=source,
        part=what,
        count=count,
        row=first,
    )


def missing_targets(y: Array) -> NDArray[np.bool_]:
    """Which rows have no target, or an infinite one; with several outputs, for one of them."""
    if y.dtype.names:
        return np.asarray(np.any([missing_targets(output_of(y, name)) for name in y.dtype.names], axis=0))
    if y.dtype.kind == "f":
        return ~np.asarray(np.isfinite(y.reshape(len(y), -1)).all(axis=1))
    if y.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in y.reshape(-1)], dtype=bool)
        return np.asarray(missing.reshape(len(y), -1).any(axis=1))
    return np.zeros(len(y), dtype=bool)


def _amounts(source: str, y: Array, unit: float | None) -> Array:
    try:
        with np.errstate(over="ignore"):
            amounts = (y.astype(np.float64) / unit if unit else y).astype(np.float32)
    except ValueError:
        raise DataError(
            f"{source}: regression needs numbers as targets, but got {quoted(_name(y.reshape(-1)[0]))}",
            code="text-targets",
            hint='check [data] target, or use task = "multiclass"',
            source=source,
            value=_name(y.reshape(-1)[0]),
        ) from None
    large = ~np.isfinite(amounts).reshape(len(y), -1).all(axis=1) if len(y) else np.zeros(0, dtype=bool)
    if large.any():
        row = int(large.argmax())
        raise DataError(
            f"{source}: {int(large.sum())} of {len(y)} targets are too large for float32, first in row {row}: "
            f"{_name(y[row])[:80]}",
            code="large-targets",
            hint="the largest float32 is 3.4e38: scale the targets, or take their logarithm",
            source=source,
            row=row,
            count=int(large.sum()),
        )
    return amounts


def is_one_hot(targets: object) -> bool:
    """Whether these are rows of one 1 each, and 0 else."""
    y = np.asarray(targets)
    return _are_labels(y) and y.shape[1] > 1 and bool((y.sum(axis=1) == 1).all())


def _are_labels(y: Array) -> bool:
    return y.ndim == 2 and y.dtype.kind in "biuf" and bool(np.isin(y, (0, 1)).all())


def _labels(loaded: Loaded, y: Array, y_test: Array | None, spec: "StudySpec") -> CodedTargets:
    """Targets of which each row may have any number: a column of zeros and ones for every label."""
    source, target = spec.data.source, spec.data.target
    for part in (y, y_test):
        if part is not None and not _are_labels(part):
            raise DataError(
                f'{source}: task = "multilabel" needs a column of zeros and ones for each label, but got targets of '
                f"shape {part.shape} and dtype {part.dtype}",
                code="not-labels",
                hint="name these columns in [data] target, or return an array of shape (rows, labels)",
                source=source,
                shape=part.shape,
            )
    given = target if isinstance(target, list) and loaded.columns else loaded.classes
    names = tuple(given) if len(given) == y.shape[1] else tuple(map(str, range(y.shape[1])))
    equal = [name for name, column in zip(names, y.T, strict=True) if len(np.unique(column)) == 1]
    doubts = [f"label {quoted(name)} is the same in all rows, so nothing can be learned about it" for name in equal]
    coded = None if y_test is None else y_test.astype(np.float32)
    return CodedTargets(y.astype(np.float32), coded, Task.MULTILABEL, names, tuple(doubts))


def _from_one_hot(source: str, y: Array) -> Array:
    if not is_one_hot(y):
        raise DataError(
            f"{source}: classification needs class numbers or one-hot rows, but targets of shape {y.shape} are neither",
            code="not-one-hot",
            hint='provide class numbers, or use task = "regression"',
            source=source,
            shape=y.shape,
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
