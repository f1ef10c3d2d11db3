"""Rows and targets of a finite ``tf.data.Dataset``. TensorFlow need not be imported to recognise one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, SupportsInt, runtime_checkable

import numpy as np

from hpsearch.data.dataset import Array
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


def from_tf_data(dataset: TfDataset, source: str, *, alone: bool = False) -> tuple[Any, Any, Array | None]:
    """All rows, targets and weights of a finite ``tf.data.Dataset``, batched or not.

    Args:
        dataset: Of (x, y) or (x, y, weights); x and y may be dicts or tuples of several.
        source: For messages.
        alone: Whether it may be of x only; the targets are then None.

    Raises:
        DataError: It yields something else, has no end, or has no rows.
    """
    element: Any = dataset.element_spec
    pairs = isinstance(element, tuple) and len(element) in (2, 3)
    if not (pairs or alone):
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
    found = list(dataset.as_numpy_iterator())
    if not found:
        raise DataError(
            f"{source}: the tf.data.Dataset has no rows", code="no-rows", hint="check its filters", source=source
        )
    join = np.concatenate if _is_batched(element) else np.stack
    if not pairs:
        return _joined(found, join), None, None
    x, y, *weights = (_joined([one[place] for one in found], join) for place in range(len(element)))
    return x, y, weights[0] if weights else None


def _joined(parts: list[Any], join: Callable[[list[Array]], Array]) -> Any:
    """The same part of all elements: an array, or a dict or a tuple of several."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: _joined([one[name] for one in parts], join) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined([one[place] for one in parts], join) for place in range(len(first)))
    return _decoded(join(parts))


def _is_batched(element: Any) -> bool:
    """Whether all parts share a first axis: unknown in all of them, or of one length."""
    shapes = [one.shape for one in _leaves(element)]
    return all(shape.rank for shape in shapes) and len({shape[0] for shape in shapes}) == 1


def _leaves(element: Any) -> Iterator[_TensorSpec]:
    if isinstance(element, Mapping | tuple):
        for one in element.values() if isinstance(element, Mapping) else element:
            yield from _leaves(one)
    else:
        yield element


def _decoded(values: Array) -> Array:
    """TensorFlow's strings are bytes."""
    if values.dtype == object:
        return np.array([value.decode() if isinstance(value, bytes) else value for value in values])
    return values
