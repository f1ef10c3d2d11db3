"""From a source's rows and targets to a :class:`Dataset`: checks, dtypes, tasks, class numbers and samples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.facts import Schema
from hpsearch.core.seeds import derive
from hpsearch.core.words import listed, quoted
from hpsearch.data.dataset import Array, Dataset, Features, InOrder, Part
from hpsearch.data.equal_rows import joined, number_rows
from hpsearch.data.inference import float32_offset
from hpsearch.data.loaded import Loaded
from hpsearch.data.outputs import code_every_target, with_own_targets
from hpsearch.data.tables import no_rows
from hpsearch.data.unlabelled import without_unlabelled
from hpsearch.data.weights import checked_weights
from hpsearch.errors import DataError
from hpsearch.portable.cells import packed
from hpsearch.portable.columns import NUMBERS, Column

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


def prepare(loaded: Loaded, spec: "StudySpec") -> Dataset:
    """Check rows and targets, and convert them to their common form.

    Raises:
        DataError: There is nothing to learn from, or a model cannot take the values.
    """
    source = spec.data.source
    loaded = with_own_targets(loaded, spec)
    _check_roles_found(loaded, spec)
    _check_lengths(source, loaded.x, loaded.y)
    if spec.data.missing_targets == "drop":
        loaded, left_out = without_unlabelled(loaded)
        loaded = replace(loaded, warnings=(*loaded.warnings, *left_out))
        _check_lengths(source, loaded.x, loaded.y)
    x, x_test = loaded.x, loaded.x_test
    words = "words" in loaded.extra
    warnings = [*loaded.warnings, *_merged_values(x)]
    x = _rows(source, x, "rows", words=words)
    coded, outputs = code_every_target(loaded, spec)
    weights = checked_weights(source, loaded.weights, len(coded.y), spec.data.weight or "sample_weight")
    train = Part(x=x, y=coded.y, groups=_text_as_numbers(loaded.groups), time=loaded.time, weights=weights)
    test = None
    if x_test is not None and loaded.y_test is not None:
        _check_lengths(source, x_test, loaded.y_test)
        x_test = _rows(source, x_test, "test rows", words=words)
        y_test = coded.y_test if coded.y_test is not None else loaded.y_test
        _check_same_shape(source, "rows", x, x_test)
        _check_same_shape(source, "targets", coded.y, y_test)
        test = Part(x=x_test, y=y_test, weights=_test_weights(loaded, len(y_test), spec))
    if loaded.in_order and spec.model.family is None:
        train, test = _in_order(train), None if test is None else _in_order(test)
    schema = _schema(loaded, spec, x)
    if schema.packed:
        train, test = _packed(train, loaded.columns), None if test is None else _packed(test, loaded.columns)
    train, test = _sample(train, spec, "max-rows"), None if test is None else _sample(test, spec, "max-test-rows")
    if spec.data.duplicates == "group":
        train = _equal_together(train)
        test = None if test is None else _equal_together(test)
    return Dataset(
        name=source,
        train=train,
        test=test,
        task=coded.task,
        classes=coded.classes,
        columns=loaded.columns,
        examples=loaded.examples,
        extra=loaded.extra,
        schema=schema,
        warnings=(*warnings, *coded.warnings, *_wide_warning(loaded, spec), *_order_warning(loaded, spec)),
        group_names=() if spec.data.duplicates == "group" else _group_names(loaded.groups),
        outputs=outputs,
    )


def _test_weights(loaded: Loaded, rows: int, spec: "StudySpec") -> Array | None:
    """Weights of the source's own test rows: there if, and only if, the other rows have some.

    Raises:
        DataError: One part has weights, and the other one has none.
    """
    if (loaded.weights is None) != (loaded.weights_test is None):
        there, lacking = ("training", "test") if loaded.weights_test is None else ("test", "training")
        raise DataError(
            f"{spec.data.source}: the {there} rows have weights, but the {lacking} rows have none",
            code="half-weighted",
            hint="give both; np.ones lets all rows of a part count alike",
            source=spec.data.source,
            missing=lacking,
        )
    return checked_weights(spec.data.source, loaded.weights_test, rows, "the test rows' sample_weight")


def _equal_together(part: Part) -> Part:
    """The same rows, in groups that keep equal rows together too."""
    (rows,) = number_rows(part.x)
    return replace(part, groups=rows if part.groups is None else joined(part.groups, rows))


def _in_order(part: Part) -> Part:
    assert isinstance(part.x, Mapping)
    return replace(part, x=InOrder(part.x))


WIDE = 64
"""A family's model takes the number columns of a table as one input if there are more of them than this. Keras spends
longer on 2,000 inputs than on training."""


def _schema(loaded: Loaded, spec: "StudySpec", x: Features) -> Schema:
    if isinstance(x, Mapping):
        return Schema(
            categories=loaded.categories,
            in_order=loaded.in_order and spec.model.family is None,
            packed=spec.model.family is not None and _count_numbers(loaded) > WIDE and NUMBERS not in loaded.categories,
        )
    return Schema(dtype=str(x.dtype), value_range=(float(x.min()), float(x.max())))


def _count_numbers(loaded: Loaded) -> int:
    return sum(column.kind == "number" for column in loaded.columns)


def _packed(part: Part, columns: Sequence[Column]) -> Part:
    assert isinstance(part.x, Mapping)
    return replace(part, x=packed(part.x, columns))


def _wide_warning(loaded: Loaded, spec: "StudySpec") -> list[str]:
    columns = len(loaded.columns)
    if spec.model.family is not None or columns <= WIDE:
        return []
    return [
        f"the table has {columns} columns, and {spec.model.build} gets each as an input of its own; building such "
        "models is slow. A function of your own can return all numbers as one array"
    ]


def _order_warning(loaded: Loaded, spec: "StudySpec") -> list[str]:
    if spec.model.family is not None or "words" not in loaded.extra or "sequences" in loaded.extra:
        return []
    return [
        f"{spec.data.source}: a row holds the distinct words of a text in ascending order, not in the text's. For "
        "models that depend on the order: options = { sequences = 200 }"
    ]


def _merged_values(x: Features) -> list[str]:
    """Columns of a float64 or integer array in which float32 does not keep different numbers apart."""
    if isinstance(x, Mapping) or x.ndim > 2 or x.dtype.kind not in "iuf" or x.dtype.itemsize < 4:
        return []
    columns = x.reshape(len(x), -1)
    lost = [place for place in range(min(columns.shape[1], _LOOKED_AT)) if float32_offset(columns[:, place])[0]]
    return [
        f"array x, column {place}: different numbers, such as {columns[0, place]:.17g}, are equal in float32, which "
        "keeps 7 digits. Subtract a number near their mean first"
        for place in lost
    ]


_LOOKED_AT = 200


def _check_roles_found(loaded: Loaded, spec: "StudySpec") -> None:
    """Folds must not silently ignore a group or time column that the study file names."""
    data = spec.data
    roles = (
        ("group", data.group, loaded.groups),
        ("time", data.time, loaded.time),
        ("weight", data.weight, loaded.weights),
    )
    for role, name, found in roles:
        if name is not None and found is None:
            raise DataError(
                f"{data.source}: {role} names column {quoted(name)}, but the source has arrays without named columns",
                code="role-without-columns",
                hint="provide a table with this column (CSV, Parquet, DataFrame or dict of columns)",
                source=data.source,
                role=role,
                column=name,
            )


def _check_lengths(source: str, x: Features, y: Array) -> None:
    if (not x) if isinstance(x, Mapping) else (0 in x.shape[1:]):
        raise DataError(
            f"{source}: no input column is left",
            code="no-inputs",
            hint="check the file, and [data] target and ignore",
            source=source,
        )
    lengths = {len(column) for column in x.values()} if isinstance(x, Mapping) else {len(x)}
    if 0 in lengths or len(y) == 0:
        raise no_rows(source)
    if lengths != {len(y)}:
        raise DataError(
            f"{source} has {listed(sorted(lengths))} rows of inputs, but {len(y)} targets",
            code="length-mismatch",
            hint="every row needs one target",
            source=source,
            rows=tuple(sorted(lengths)),
            targets=len(y),
        )


def _check_same_shape(source: str, what: str, x: Features, x_test: Features) -> None:
    if isinstance(x, Mapping) or isinstance(x_test, Mapping):
        return
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{source}: {what} have shape {x.shape[1:]}, but test {what} have shape {x_test.shape[1:]}",
            code="shape-mismatch",
            hint="both parts need the same inputs and targets",
            source=source,
            shape=x.shape[1:],
            test_shape=x_test.shape[1:],
        )


def _rows(source: str, x: Features, what: str, *, words: bool) -> Features:
    """Inputs in the dtypes that models take. The columns of tables already have them."""
    if isinstance(x, Mapping):
        return x
    if x.ndim == 1:
        x = x.reshape(-1, 1)
    if x.dtype.kind not in "biuf":
        raise DataError(
            f"{source}: {what} must be numbers, but have dtype {x.dtype}; the first value is "
            f"{quoted(str(x.reshape(-1)[0]))}",
            code="not-numbers",
            hint="provide numbers, or a table (CSV, Parquet, DataFrame): its text columns become categories",
            source=source,
            part=what,
            dtype=str(x.dtype),
        )
    if x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        if bad.any():
            count, first = int(bad.sum()), int(bad.argmax())
            raise DataError(
                f"{source}: {count} of {len(x)} {what} have NaN or infinite values, first in row {first}",
                code="not-finite",
                hint="fill or drop them, or provide a table (CSV, Parquet, DataFrame): models fill its gaps",
                source=source,
                part=what,
                count=count,
                row=first,
            )
        return x
    # Pixels and word numbers keep their small dtype: a quarter or half of float32.
    pixels = x.dtype == np.uint8 and x.ndim >= 3
    return x if pixels or words else x.astype(np.float32)


def _group_names(groups: Array | None) -> tuple[str, ...]:
    """In the order of :func:`_text_as_numbers`."""
    return (
        () if groups is None else tuple(map(str, np.unique(groups.astype(str) if groups.dtype == object else groups)))
    )


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
