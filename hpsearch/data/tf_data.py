"""Rows and targets of a finite ``tf.data.Dataset``. TensorFlow need not be imported to recognise one."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, SupportsInt, runtime_checkable

import numpy as np

from hpsearch.data.dataset import Array, Features
from hpsearch.errors import DataError


class _Shape(Protocol):
    """The part of ``tf.TensorShape`` that is used here."""

    rank: int | None

    def __getitem__(self, axis: int, /) -> int | None: ...


class _TensorSpec(Protocol):
    shape: _Shape


@runtime_checkable
class TfDataset(Protocol):
    """The part of ``tf.data.Dataset`` that is used here."""

    @property
    def element_spec(self) -> object: ...

    def cardinality(self) -> SupportsInt: ...

    def as_numpy_iterator(self) -> Iterator[tuple[Any, ...]]: ...


def from_tf_data(dataset: TfDataset, source: str) -> tuple[Features, Array, Array | None]:
    """All rows, targets and weights of a finite ``tf.data.Dataset`` of (x, y) or (x, y, weights), batched or not."""
    element = dataset.element_spec
    if not (isinstance(element, tuple) and len(element) in (2, 3)):
        raise DataError(
            f"{source}: the tf.data.Dataset must yield (x, y), but yields {element}",
            code="bad-tf-element",
            hint="let it yield pairs of rows and targets, and weights as a third item if rows have some",
            source=source,
            element=str(element),
        )
    if int(dataset.cardinality()) == -1:
        raise DataError(
            f"{source}: the tf.data.Dataset never ends",
            code="endless-dataset",
            hint="remove repeat(): every epoch trains on all rows",
            source=source,
        )
    pairs = list(dataset.as_numpy_iterator())
    if not pairs:
        raise DataError(
            f"{source}: the tf.data.Dataset has no rows", code="no-rows", hint="check its filters", source=source
        )
    join = np.concatenate if _is_batched(*element[:2]) else np.stack
    y = _decoded(join([one[1] for one in pairs]))
    weights = join([one[2] for one in pairs]) if len(element) == 3 else None
    tables = [one[0] for one in pairs if isinstance(one[0], Mapping)]
    if tables:
        return {name: _decoded(join([x[name] for x in tables])) for name in tables[0]}, y, weights
    return join([one[0] for one in pairs if not isinstance(one[0], Mapping)]), y, weights


def _is_batched(x: _TensorSpec | Mapping[str, _TensorSpec], y: _TensorSpec) -> bool:
    """Whether x and y share a first axis: unknown in both, or of one length."""
    shapes = [one.shape for one in (*(x.values() if isinstance(x, Mapping) else (x,)), y)]
    return all(shape.rank for shape in shapes) and len({shape[0] for shape in shapes}) == 1


def _decoded(values: Array) -> Array:
    """TensorFlow's strings are bytes."""
    if values.dtype == object:
        return np.array([value.decode() if isinstance(value, bytes) else value for value in values])
    return values
