"""From a source's rows and targets to a :class:`Dataset`: checks, dtypes, task, class numbers, row samples."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.seeds import derive
from hpsearch.data.dataset import Array, Dataset, Features, Part
from hpsearch.data.loaded import Loaded
from hpsearch.data.targets import code_targets
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


def prepare(loaded: Loaded, spec: "StudySpec") -> Dataset:
    """Check rows and targets and bring them into their common form.

    Raises:
        DataError: There is nothing to learn from, or values that no model can take.
    """
    source = spec.data.source
    x, x_test = loaded.x, loaded.x_test
    _check_roles_found(loaded, spec)
    _check_lengths(source, x, loaded.y)
    words = "words" in loaded.extra
    x = _rows(source, x, "rows", words=words)
    coded = code_targets(loaded, spec)
    train = Part(x=x, y=coded.y, groups=_text_as_numbers(loaded.groups), time=loaded.time)
    test = None
    if x_test is not None and loaded.y_test is not None:
        _check_lengths(source, x_test, loaded.y_test)
        x_test = _rows(source, x_test, "test rows", words=words)
        _check_same_shape(source, x, x_test)
        test = Part(x=x_test, y=coded.y_test if coded.y_test is not None else loaded.y_test)
    return Dataset(
        name=source,
        train=_sample(train, spec, "max-rows"),
        test=None if test is None else _sample(test, spec, "max-test-rows"),
        task=coded.task,
        classes=coded.classes,
        columns=loaded.columns,
        examples=loaded.examples,
        extra=loaded.extra,
    )


def _check_roles_found(loaded: Loaded, spec: "StudySpec") -> None:
    """Folds must not be made as if nobody had said what belongs together."""
    data = spec.data
    for role, name, found in (("group", data.group, loaded.groups), ("time", data.time, loaded.time)):
        if name is not None and found is None:
            raise DataError(
                f"{data.source}: {role} names column {name!r}, but the source is arrays without named columns",
                hint="deliver a table (CSV, Parquet, DataFrame, dict of columns) that has it",
            )


def _check_lengths(source: str, x: Features, y: Array) -> None:
    if isinstance(x, Mapping) and not x:
        raise DataError(f"{source}: no column is left to learn from", hint="check [data] target and ignore")
    lengths = {len(column) for column in x.values()} if isinstance(x, Mapping) else {len(x)}
    if 0 in lengths or len(y) == 0:
        raise DataError(f"{source}: holds no rows", hint="check the file, and the filters of a function source")
    if lengths != {len(y)}:
        raise DataError(
            f"{source}: {', '.join(map(str, sorted(lengths)))} rows of inputs, but {len(y)} targets",
            hint="inputs and targets need one entry per row each",
        )


def _check_same_shape(source: str, x: Features, x_test: Features) -> None:
    if isinstance(x, Mapping) or isinstance(x_test, Mapping):
        return
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{source}: rows are of shape {x.shape[1:]}, but test rows of shape {x_test.shape[1:]}",
            hint="both parts need the same inputs",
        )


def _rows(source: str, x: Features, what: str, *, words: bool) -> Features:
    """Inputs in the dtypes that models take; columns of tables already are."""
    if isinstance(x, Mapping):
        return x
    if x.ndim == 1:
        x = x.reshape(-1, 1)
    if x.dtype.kind not in "biuf":
        raise DataError(
            f"{source}: {what} are of dtype {x.dtype}, such as {x.reshape(-1)[0]!r}, where numbers are needed",
            hint="deliver numbers, or a table (CSV, Parquet, DataFrame), whose text columns become categories",
        )
    if x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        if bad.any():
            raise DataError(
                f"{source}: {int(bad.sum())} of {len(x)} {what} hold NaN or infinite values, the first is row "
                f"{int(bad.argmax())}",
                hint="fill or drop them, or deliver a table (CSV, Parquet, DataFrame), where gaps are filled per fold",
            )
        return x
    # Pixels and word numbers stay small: a quarter or half of their size as float32.
    pixels = x.dtype == np.uint8 and x.ndim >= 3
    return x if pixels or words else x.astype(np.float32)


def _text_as_numbers(groups: Array | None) -> Array | None:
    if groups is None:
        return None
    return np.unique(groups.astype(str) if groups.dtype == object else groups, return_inverse=True)[1]


def _sample(part: Part, spec: "StudySpec", purpose: str) -> Part:
    limit = spec.data.max_rows
    if limit is None or limit >= len(part):
        return part
    picked = np.random.default_rng(derive(spec.seed, purpose)).choice(len(part), size=limit, replace=False)
    return part.take(np.sort(picked))
