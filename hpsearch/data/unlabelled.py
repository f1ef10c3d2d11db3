"""Rows without a target: ``[data] missing_targets = "drop"`` leaves them out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hpsearch.core.records import output_names, output_of, records
from hpsearch.data.dataset import Array, take
from hpsearch.data.loaded import Loaded
from hpsearch.data.targets import missing_targets


def without_unlabelled(loaded: Loaded) -> tuple[Loaded, list[str]]:
    """The rows that have a target, and a sentence about the others if there are any."""
    kept = _kept(loaded.y)
    kept_test = None if loaded.y_test is None else _kept(loaded.y_test)
    found = loaded
    if not kept.all():
        rows = np.flatnonzero(kept)
        found = replace(
            found,
            x=take(_as_array(loaded.x), rows),
            y=loaded.y[rows],
            groups=None if loaded.groups is None else loaded.groups[rows],
            time=None if loaded.time is None else loaded.time[rows],
            weights=None if loaded.weights is None else loaded.weights[rows],
        )
    if kept_test is not None and not kept_test.all() and loaded.x_test is not None and loaded.y_test is not None:
        rows = np.flatnonzero(kept_test)
        weights = None if loaded.weights_test is None else loaded.weights_test[rows]
        x_test = take(_as_array(loaded.x_test), rows)
        found = replace(found, x_test=x_test, y_test=loaded.y_test[rows], weights_test=weights)
    y, y_test = np.asarray(found.y), None if found.y_test is None else np.asarray(found.y_test)
    if found is not loaded:
        found = replace(found, y=_whole_again(y, y_test), y_test=None if y_test is None else _whole_again(y_test, y))
    dropped = int((~kept).sum()) + (0 if kept_test is None else int((~kept_test).sum()))
    total = len(kept) + (0 if kept_test is None else len(kept_test))
    if not dropped:
        return loaded, []
    verbs = ("has", "is") if dropped == 1 else ("have", "are")
    return found, [f"{dropped} of {total} rows {verbs[0]} no target and {verbs[1]} left out"]


def _whole_again(y: Array, other: Array | None) -> Array:
    """Targets without gaps: whole numbers where they and those of the other part are."""
    if names := output_names(y):
        return records(
            {
                name: _whole_again(output_of(y, name), None if other is None else output_of(other, name))
                for name in names
            }
        )
    whole = are_whole(y) and (other is None or are_whole(other))
    return y.astype(np.int64) if whole else y


def are_whole(y: Array) -> bool:
    """Whether numbers are whole. With a gap among them, pandas makes them floats, and classes would be amounts."""
    return y.dtype.kind in "iu" or (
        y.dtype.kind == "f" and bool((np.mod(y, 1) == 0).all() and (np.abs(y) < 2**53).all())
    )


def _kept(y: Array) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    y = np.asarray(y)
    return ~missing_targets(y) if y.ndim and len(y) else np.ones(len(y) if y.ndim else 0, dtype=bool)


def _as_array(x: "Array | Mapping[str, Array]") -> "Array | Mapping[str, Array]":
    return x if isinstance(x, Mapping) else np.asarray(x)
