"""What every named data source must promise."""

import inspect
from collections.abc import Mapping

import numpy as np

from hpsearch.data.dataset import Array, Features
from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source


def check_source(source: Source, **options: object) -> None:
    """Read a source twice and look at what it returns.

    Args:
        source: The object that the entry point names.
        options: What ``[data] options`` would say.

    Raises:
        AssertionError: A promise is broken; the text says which.
    """
    assert source.description, "a source must have a description"
    accepted = inspect.signature(source.read)
    for name in (*source.options, *options):
        assert name in source.options, f"options must list {name!r}, but has {source.options}"
        accepted.bind(**{name: None})
    first, second = source.read(**options), source.read(**options)
    _check_rows("x", "y", _lengths(first.x), len(first.y))
    if first.x_test is not None:
        assert first.y_test is not None, "a source with x_test must have y_test"
        _check_rows("x_test", "y_test", _lengths(first.x_test), len(first.y_test))
    assert _same(first, second), "a source must return the same rows in the same order each time: studies are resumed"
    if first.classes and np.issubdtype(first.y.dtype, np.integer):
        top = int(first.y.max())
        assert top < len(first.classes), f"classes must name class {top}, but has {first.classes}"


def _lengths(x: Features) -> set[int]:
    return {len(column) for column in _columns(x).values()}


def _columns(x: Features) -> Mapping[str, Array]:
    return x if isinstance(x, Mapping) else {"x": x}


def _check_rows(x: str, y: str, lengths: set[int], rows: int) -> None:
    assert lengths == {rows}, f"{x} and {y} must have equally many rows, but have {sorted(lengths)} and {rows}"


def _same(a: Loaded, b: Loaded) -> bool:
    ours, theirs = _columns(a.x), _columns(b.x)
    if ours.keys() != theirs.keys() or not np.array_equal(a.y, b.y):
        return False
    return all(np.array_equal(column, theirs[name]) for name, column in ours.items())
