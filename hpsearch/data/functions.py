"""Function sources: rows and targets from what the user's own code returns."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from numbers import Number
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import numpy as np

from hpsearch.core.foreign import errors_as, said
from hpsearch.core.user_code import load_object
from hpsearch.core.words import first_line, quoted
from hpsearch.data.csv_files import lossy_columns
from hpsearch.data.dataset import Array, Features
from hpsearch.data.files import check_parts
from hpsearch.data.loaded import Loaded
from hpsearch.data.tables import from_frame, rows_of
from hpsearch.data.tf_data import TfDataset, from_tf_data
from hpsearch.data.weights import weight_column
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

_FORMS = (
    "return (x, y), (x, y, sample_weight), (x, y, x_test, y_test), ((x, y), (x_test, y_test)), a dict of x, y and "
    "further parts, a DataFrame with the target column, or a tf.data.Dataset of (x, y)"
)

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
            hint=_FORMS,
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
    if _is_frame(result):
        return from_frame(_frame(spec.data.source, "the table", result), spec)
    if isinstance(result, TfDataset):
        return _weighted(from_tf_data(result, spec.data.source), (None, None), spec)
    if isinstance(result, tuple):
        if len(result) == 2 and all(isinstance(part, tuple) and len(part) in (2, 3) for part in result):
            return _weighted(*result, spec)
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
        hint=_FORMS,
        source=spec.data.source,
        type=type(result).__name__,
    )


def _weighted(train: Sequence[object], test: Sequence[object], spec: "StudySpec") -> Loaded:
    """Rows, targets and, as a third item, weights of both parts, as Keras' ``fit`` takes them."""
    weights, weights_test = (part[2] if len(part) > 2 else None for part in (train, test))
    loaded = _arrays(train[0], train[1], test[0], test[1], spec)
    return _with_weights(loaded, weights, weights_test, spec)


def _with_weights(loaded: Loaded, weights: object, weights_test: object, spec: "StudySpec") -> Loaded:
    source = spec.data.source
    found = [
        None if one is None else _array(source, name, one)
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
    x, source = parts["x"], spec.data.source
    roles = {name: parts[name] for name in (spec.data.group, spec.data.time) if name is not None and name in parts}
    if _is_frame(x) or isinstance(x, Mapping):
        frame = _frame(source, "x", x)
        columns = {name: _one_column(source, name, values) for name, values in roles.items()}
        loaded = _arrays(frame.assign(**columns), parts["y"], parts.get("x_test"), parts.get("y_test"), spec)
        return _with_weights(loaded, parts.get("sample_weight"), parts.get("sample_weight_test"), spec)
    loaded = _arrays(x, parts["y"], parts.get("x_test"), parts.get("y_test"), spec)
    found = {name: _one_column(source, name, values) for name, values in roles.items()}
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


def plain_frame(name: str, value: object) -> "pd.DataFrame | None":
    """A table of any library, or a dict of columns, as pandas has it; None for arrays.

    Raises:
        DataError: It cannot be converted.
    """
    if _is_frame(value) or isinstance(value, Mapping):
        return _frame(name, name, value).reset_index(drop=True)
    return None


def plain_array(name: str, value: object) -> Array:
    """Anything like an array as one without Python objects.

    Raises:
        DataError: It cannot be converted.
    """
    try:
        array = _unmasked(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name} cannot be converted to an array: {error}", code="not-an-array", hint=_GIVEN, part=name
        ) from None
    if array.ndim == 0:
        raise DataError(
            f"{name} must be an array with one entry per row, but got {type(value).__name__} {quoted(str(value))}",
            code="not-an-array",
            hint=_GIVEN,
            part=name,
        )
    plain = array if array.dtype != object else _of_one_type(array)
    if plain is None:
        kinds = sorted({type(one).__name__ for one in array.ravel()})
        how = "several types" if len(kinds) > 1 else "a type that no array holds"
        raise DataError(
            f"{name} has values of {how}: {', '.join(kinds[:5])}",
            code="not-an-array",
            hint=_GIVEN,
            part=name,
        )
    return plain


_GIVEN = "give it numbers, texts or times only, without gaps; or x as a table: a DataFrame, or a dict of columns"


def _of_one_type(array: Array) -> Array | None:
    """Python's objects as an array of what they all are; None if there is no such array."""
    cells = array.ravel().tolist()
    if all(isinstance(one, str) for one in cells):
        return array.astype(str)
    if all(isinstance(one, bool | np.bool_) for one in cells):
        return array.astype(bool)
    if all(isinstance(one, Number) and not isinstance(one, complex) for one in cells):
        whole = all(isinstance(one, int | np.integer) for one in cells)
        plain = np.array(cells)  # as wide as the largest of them needs
        plain = plain if whole and plain.dtype.kind in "iu" else array.astype(np.float64).ravel()
        return plain.reshape(array.shape)
    if all(isinstance(one, date) for one in cells):
        import pandas as pd

        zoned = {getattr(one, "tzinfo", None) is not None for one in cells}
        if len(zoned) == 1:
            found: Array = pd.to_datetime(pd.Series(cells), utc=zoned.pop()).dt.tz_localize(None).to_numpy()
            return found.reshape(array.shape)
    return None


def parts_of_tf_data(value: object, name: str) -> tuple[Features, Array, Array | None] | None:
    """Rows, targets and weights of a ``tf.data.Dataset``; None for anything else.

    Raises:
        DataError: It has no end, no rows or no targets.
    """
    return from_tf_data(value, name) if isinstance(value, TfDataset) else None


def _arrays(x: object, y: object, x_test: object, y_test: object, spec: "StudySpec") -> Loaded:
    source = spec.data.source
    check_parts(source, x, y, x_test, y_test)
    targets = _array(source, "y", y)
    test_targets = None if y_test is None else _array(source, "y_test", y_test)
    if not (isinstance(x, Mapping) or _is_frame(x)):
        test_rows = None if x_test is None else _array(source, "x_test", x_test)
        return Loaded(_array(source, "x", x), targets, test_rows, test_targets)
    loaded = from_frame(_frame(source, "x", x), spec, targets)
    if x_test is None:
        return loaded
    frame, weight = _frame(source, "x_test", x_test), spec.data.weight
    weights = weight_column(source, frame, weight) if weight in frame.columns and weight is not None else None
    return replace(loaded, x_test=rows_of(source, frame, loaded.columns), y_test=test_targets, weights_test=weights)


def _is_frame(value: object) -> "TypeGuard[pd.DataFrame]":
    # Not isinstance: a source of arrays need not import pandas. A lazy frame would compute its own attributes.
    kind = type(value)
    return hasattr(kind, "columns") and (hasattr(kind, "dtypes") or hasattr(kind, "to_pandas"))


def _pandas(source: str, what: str, frame: object) -> "pd.DataFrame":
    """A table of another library, such as a Polars DataFrame, as pandas has it."""
    if not isinstance(frame, _Foreign):
        if not hasattr(frame, "iloc"):
            raise DataError(
                f"{source}: {what} is of type {type(frame).__name__}, which holds no rows yet or cannot be converted",
                code="bad-return-value",
                hint="return a DataFrame of pandas or Polars; a lazy one becomes one by .collect()",
                source=source,
                type=type(frame).__name__,
            )
        plain: pd.DataFrame = frame
        return plain

    def explain(error: Exception) -> DataError:
        return DataError(
            f"{source}: {what} of type {type(frame).__name__} cannot be converted for pandas: {first_line(error)}",
            code="bad-return-value",
            hint="cast its columns to plain numbers and texts first",
            source=source,
            type=type(frame).__name__,
        )

    with errors_as(explain):
        converted = frame.to_pandas()
        exact = {name: _whole_numbers(frame, name) for name in lossy_columns(converted)}
    return converted.assign(**{name: column for name, column in exact.items() if column is not None})


def _whole_numbers(frame: "_Foreign", name: str) -> "pd.Series[int] | None":
    """A column of whole numbers with gaps as the other library holds it: pandas makes rounded floats of them."""
    import pandas as pd

    column = frame[name]
    to_list = getattr(column, "to_list", None) or getattr(column, "to_pylist", None)
    cells = to_list() if to_list is not None else []
    if not cells or not all(cell is None or type(cell) is int for cell in cells):
        return None
    largest = max(cell for cell in cells if cell is not None)
    return pd.Series(cells, dtype="UInt64" if largest >= 2**63 else "Int64")


def _frame(source: str, what: str, x: object) -> "pd.DataFrame":
    """A DataFrame, or a dict of columns of one value per row each, as a DataFrame with column names of type str."""
    import pandas as pd

    if _is_frame(x):
        return _pandas(source, what, x).rename(columns=str)
    if not isinstance(x, Mapping):
        raise DataError(
            f"{source}: x is a table, but {what} is of type {type(x).__name__}",
            code="mixed-containers",
            hint="return both as tables or both as arrays",
            source=source,
            part=what,
            type=type(x).__name__,
        )
    columns = {str(name): _one_column(source, f"{what}[{quoted(name)}]", values) for name, values in x.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{quoted(name)} {length}" for name, length in lengths.items())
        raise DataError(
            f"{source}: the columns of {what} have different lengths: {shown}",
            code="uneven-columns",
            hint="every column needs one value per row",
            source=source,
            part=what,
            lengths=lengths,
        )
    return pd.DataFrame(columns)


def _one_column(source: str, name: str, values: object) -> Array:
    column = _array(source, name, values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise DataError(
            f"{source}: {name} has shape {column.shape}, but a column has one value per row",
            code="bad-column-shape",
            hint="make several columns of it, or return one array x of all numbers instead of a dict",
            source=source,
            column=name,
            shape=column.shape,
        )
    return column


def _array(source: str, name: str, value: object) -> Array:
    try:
        array: Array = _unmasked(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: {name} cannot be converted to an array: {error}",
            code="not-an-array",
            hint=_FORMS,
            source=source,
            part=name,
        ) from None
    if array.ndim == 0 or (array.dtype == object and name in ("x", "x_test")):
        kind = "rows of different lengths or types" if array.ndim else f"{type(value).__name__} {quoted(str(value))}"
        raise DataError(
            f"{source}: {name} must be an array with one entry per row, but got {kind}",
            code="not-an-array",
            hint=_FORMS,
            source=source,
            part=name,
        )
    return array


def _unmasked(value: object) -> Array:
    """Any array as a plain one. Masked values are missing, not what stands below the mask."""
    if not isinstance(value, np.ma.MaskedArray) or not np.ma.is_masked(value):
        return np.asarray(value)
    if value.dtype.kind in "biuf":
        return np.where(np.ma.getmaskarray(value), np.nan, value.data.astype(np.float64))
    return np.array(
        [None if hidden else cell for cell, hidden in zip(value.data, np.ma.getmaskarray(value), strict=True)]
    )


@runtime_checkable
class _Foreign(Protocol):
    """The part of another library's table that is used here."""

    def to_pandas(self) -> "pd.DataFrame": ...

    def __getitem__(self, name: str, /) -> object: ...
