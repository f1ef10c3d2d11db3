"""Function sources: rows and targets from what the user's own code returns."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.core.foreign import errors_as, said
from hpsearch.core.user_code import load_object
from hpsearch.core.words import quoted
from hpsearch.data.dataset import Array
from hpsearch.data.files import check_parts
from hpsearch.data.loaded import Loaded
from hpsearch.data.outputs import without_targets
from hpsearch.data.plain import FORMS, array_of, by_name, frame_of, is_frame, one_column, rows_in, targets_of
from hpsearch.data.tables import from_frame, rows_of
from hpsearch.data.tf_data import TfDataset, from_tf_data
from hpsearch.data.weights import weight_column
from hpsearch.errors import DataError
from hpsearch.spec.rows import INPUTS, NONE

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec

_OPTIONAL = ("x_test", "y_test", "groups", "time", "sample_weight", "sample_weight_test")
"""What a dict may have beside x and y."""


def read_function(spec: "StudySpec") -> Loaded:
    """Call ``package.module:function(**options)`` and read what it returns.

    Raises:
        DataError: The function cannot be imported, raises, or does not return rows and targets.
    """
    address = spec.data.source
    function = load_object(address, spec.folder, DataError)
    if not callable(function):
        raise DataError(
            f"{address} is not a function, but of type {type(function).__name__}",
            code="not-a-function",
            hint=FORMS,
            source=address,
            type=type(function).__name__,
        )
    return _loaded(_call(address, function, spec.data.options), spec)


def _call(address: str, function: Callable[..., object], options: Mapping[str, object]) -> object:
    def explain(error: Exception) -> DataError:
        shown = ", ".join(f"{name}={quoted(value)}" for name, value in options.items())
        return DataError(
            f"{address}({shown}) raised {said(error)}",
            code="function-raised",
            hint="hpsearch passes [data] options to it as keyword arguments",
            source=address,
            options=shown,
            type=type(error).__name__,
            line=traceback.extract_tb(error.__traceback__)[-1].lineno,
        )

    with errors_as(explain):
        return function(**options)


def _loaded(result: object, spec: "StudySpec") -> Loaded:
    if spec.data.target in (INPUTS, NONE) and (alone := _rows_alone(result)) is not None:
        empty = {name: without_targets(rows_in(alone[of])) for name, of in _TARGETS.items() if of in alone}
        return _parts({**alone, **empty}, spec)
    if is_frame(result):
        return from_frame(frame_of(spec.data.source, "the table", result), spec)
    if isinstance(result, TfDataset):
        x, y, weights = from_tf_data(result, spec.data.source, alone=spec.data.target in (INPUTS, NONE))
        y = without_targets(rows_in(x)) if y is None else y
        return _weighted((x, y, *([] if weights is None else [weights])), (None, None), spec)
    if isinstance(result, tuple):
        if len(result) == 2 and all(isinstance(part, tuple) and len(part) in (2, 3) for part in result):
            return _weighted(result, (None, None), spec) if _is_one_part(*result) else _weighted(*result, spec)
        if len(result) == 4:
            return _arrays(*result, spec)
        if len(result) in (2, 3):
            return _weighted(result, (None, None), spec)
    if isinstance(result, Mapping) and {"x", "y"} <= result.keys() <= {"x", "y", *_OPTIONAL}:
        return _parts(result, spec)
    size = f" of {len(result)} values" if isinstance(result, tuple | list) else ""
    raise DataError(
        f"{spec.data.source} returned {type(result).__name__}{size}, not rows and targets",
        code="bad-return-value",
        hint=FORMS,
        source=spec.data.source,
        type=type(result).__name__,
    )


_TARGETS = {"y": "x", "y_test": "x_test"}
"""Targets → the rows that they belong to."""


def _rows_alone(result: object) -> dict[str, object] | None:
    """The parts of a function that returns no targets; None if it does."""
    if isinstance(result, tuple | TfDataset) or is_frame(result):
        return None
    if not isinstance(result, Mapping):
        return {"x": result}
    others = {name: one for name, one in result.items() if name in _OPTIONAL}
    if "x" in result and result.keys() <= {"x", *_OPTIONAL}:
        return {"x": result["x"], **others}
    if "y" in result:
        return None
    return {"x": {name: one for name, one in result.items() if name not in others}, **others}


def _is_one_part(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether two tuples are inputs and outputs in order: a test part has rows like those of the other."""
    shapes = [[tuple(getattr(one, "shape", ())) for one in part[:2]] for part in (first, second)]
    rows = {shape[:1] for part in shapes for shape in part}
    return len(rows) == 1 and () not in rows and [s[1:] for s in shapes[0]] != [s[1:] for s in shapes[1]]


def _weighted(train: Sequence[object], test: Sequence[object], spec: "StudySpec") -> Loaded:
    """Rows, targets and, as a third item, weights of both parts, as Keras' ``fit`` takes them."""
    weights, weights_test = (part[2] if len(part) > 2 else None for part in (train, test))
    loaded = _arrays(train[0], train[1], test[0], test[1], spec)
    return _with_weights(loaded, weights, weights_test, spec)


def _with_weights(loaded: Loaded, weights: object, weights_test: object, spec: "StudySpec") -> Loaded:
    source = spec.data.source
    found = [
        None if one is None else array_of(source, name, one)
        for name, one in (("sample_weight", weights), ("sample_weight_test", weights_test))
    ]
    if spec.data.weight is not None and found[0] is not None:
        raise DataError(
            f"{source}: weight names column {quoted(spec.data.weight)}, but the function returns sample_weight, too",
            code="weights-twice",
            hint="remove [data] weight, or return one of them",
            source=source,
            column=spec.data.weight,
        )
    return loaded if found[0] is None and found[1] is None else replace(loaded, weights=found[0], weights_test=found[1])


def _parts(parts: Mapping[str, object], spec: "StudySpec") -> Loaded:
    """Arrays or tables by name. Groups and times are found under the names that ``[data] group`` and ``time`` give."""
    source, x = spec.data.source, by_name(parts["x"], parts["y"])
    roles = {name: parts[name] for name in (spec.data.group, spec.data.time) if name is not None and name in parts}
    if is_frame(x) or isinstance(x, Mapping):
        frame = frame_of(source, "x", x)
        columns = {name: one_column(source, name, values) for name, values in roles.items()}
        loaded = _arrays(
            frame.assign(**columns),
            parts["y"],
            by_name(parts.get("x_test"), parts.get("y_test")),
            parts.get("y_test"),
            spec,
        )
        loaded = replace(loaded, in_order=x is not parts["x"])
        return _with_weights(loaded, parts.get("sample_weight"), parts.get("sample_weight_test"), spec)
    loaded = _arrays(x, parts["y"], parts.get("x_test"), parts.get("y_test"), spec)
    found = {name: one_column(source, name, values) for name, values in roles.items()}
    for name, values in found.items():
        if len(values) != len(loaded.y):
            raise DataError(
                f"{source}: {name} has {len(values)} values, but there are {len(loaded.y)} rows",
                code="uneven-columns",
                hint="every row needs one",
                source=source,
                part=name,
            )
    loaded = replace(loaded, groups=found.get(spec.data.group or ""), time=found.get(spec.data.time or ""))
    return _with_weights(loaded, parts.get("sample_weight"), parts.get("sample_weight_test"), spec)


def parts_of_tf_data(value: object, name: str) -> tuple[object, object, Array | None] | None:
    """Rows, targets and weights of a ``tf.data.Dataset``; None for anything else.

    Raises:
        DataError: It has no end, no rows or no targets.
    """
    return from_tf_data(value, name) if isinstance(value, TfDataset) else None


def _arrays(x: object, y: object, x_test: object, y_test: object, spec: "StudySpec") -> Loaded:
    source = spec.data.source
    check_parts(source, x, y, x_test, y_test)
    targets = targets_of(source, "y", y, x)
    test_targets = None if y_test is None else targets_of(source, "y_test", y_test, x_test)
    named, named_test = by_name(x, targets), by_name(x_test, test_targets)
    if not (isinstance(named, Mapping) or is_frame(named)):
        test_rows = None if x_test is None else array_of(source, "x_test", x_test)
        return Loaded(array_of(source, "x", x), targets, test_rows, test_targets)
    loaded = replace(from_frame(frame_of(source, "x", named), spec, targets), in_order=named is not x)
    if x_test is None:
        return loaded
    frame, weight = frame_of(source, "x_test", named_test), spec.data.weight
    weights = weight_column(source, frame, weight) if weight in frame.columns and weight is not None else None
    return replace(loaded, x_test=rows_of(source, frame, loaded.columns), y_test=test_targets, weights_test=weights)
