"""Function sources: what the user's own code returns, made into rows and targets."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.user_code import load_object
from hpsearch.data.loaded import Loaded
from hpsearch.data.tables import from_frame, rows_of
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

_FORMS = (
    "return (x, y), (x, y, x_test, y_test), ((x, y), (x_test, y_test)), a DataFrame with the target column, or a "
    "tf.data.Dataset of (x, y)"
)


def read_function(spec: "StudySpec") -> Loaded:
    """Call ``package.module:function(**options)`` and take what it returns.

    Raises:
        DataError: It cannot be imported, raises, or returns something else than rows and targets.
    """
    address = spec.data.source
    function = load_object(address, spec.folder, DataError)
    if not callable(function):
        raise DataError(f"{address}: is a {type(function).__name__}, not a function", hint=_FORMS)
    return _loaded(_call(address, function, spec.data.options), spec)


def _call(address: str, function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    try:
        return function(**options)
    except DataError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise DataError(
            f"{address}({shown}) raised {type(error).__name__}: {error} ({where.filename}, line {where.lineno})",
            hint="[data] options are passed to it by name",
        ) from error


def _loaded(result: Any, spec: "StudySpec") -> Loaded:
    if hasattr(result, "columns") and hasattr(result, "dtypes"):
        return from_frame(_frame(spec.data.source, "the table", result), spec)
    if hasattr(result, "element_spec") and hasattr(result, "as_numpy_iterator"):
        return _arrays(*_from_tf_data(result, spec), None, None, spec)
    if isinstance(result, tuple):
        if len(result) == 2 and all(isinstance(part, tuple) and len(part) == 2 for part in result):
            (x, y), (x_test, y_test) = result
            return _arrays(x, y, x_test, y_test, spec)
        if len(result) == 4:
            return _arrays(*result, spec)
        if len(result) == 2:
            return _arrays(*result, None, None, spec)
    size = f" of {len(result)}" if isinstance(result, tuple | list) else ""
    raise DataError(f"{spec.data.source}: returned a {type(result).__name__}{size}", hint=_FORMS)


def _arrays(x: Any, y: Any, x_test: Any, y_test: Any, spec: "StudySpec") -> Loaded:
    source = spec.data.source
    y, y_test = _array(source, "y", y), None if y_test is None else _array(source, "y_test", y_test)
    if not (isinstance(x, Mapping) or hasattr(x, "dtypes")):
        x_test = None if x_test is None else _array(source, "x_test", x_test)
        return Loaded(_array(source, "x", x), y, x_test, y_test)
    loaded = from_frame(_frame(source, "x", x), spec, y)
    if x_test is None:
        return loaded
    return replace(loaded, x_test=rows_of(source, _frame(source, "x_test", x_test), loaded.columns), y_test=y_test)


def _frame(source: str, what: str, x: Any) -> "pd.DataFrame":
    """A DataFrame, or a dict of columns of one value per row each, as a DataFrame whose names are texts."""
    import pandas as pd

    if hasattr(x, "dtypes"):
        return x.rename(columns=str)  # type: ignore[no-any-return]
    if not isinstance(x, Mapping):
        raise DataError(f"{source}: x is a table, but {what} a {type(x).__name__}", hint="return both alike")
    columns = {}
    for name, values in x.items():
        column = _array(source, f"{what}[{name!r}]", values)
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        if column.ndim != 1:
            raise DataError(
                f"{source}: {what}[{name!r}] is of shape {column.shape}, but a column has one value per row",
                hint="make a column of each, or return one array x of all numbers instead of a dict",
            )
        columns[str(name)] = column
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise DataError(f"{source}: columns of {what} have different lengths: {shown}", hint="one value per row each")
    return pd.DataFrame(columns)


def _array(source: str, name: str, value: Any) -> Any:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: {name} cannot be made into an array: {error}", hint=_FORMS) from None
    if array.ndim == 0 or (array.dtype == object and name in ("x", "x_test")):
        kind = "rows of different lengths or kinds" if array.ndim else f"{type(value).__name__} {str(value)[:40]!r}"
        raise DataError(f"{source}: {name} must be an array with one entry per row, but got {kind}", hint=_FORMS)
    return array


def _from_tf_data(dataset: Any, spec: "StudySpec") -> tuple[Any, Any]:
    """All rows of a finite ``tf.data.Dataset`` of (x, y), batched or not."""
    source = spec.data.source
    element = dataset.element_spec
    if not (isinstance(element, tuple) and len(element) == 2):
        raise DataError(f"{source}: the tf.data.Dataset must yield (x, y), but yields {element}", hint=_FORMS)
    if int(dataset.cardinality()) == -1:
        raise DataError(f"{source}: the tf.data.Dataset never ends", hint="leave out repeat(): epochs repeat the rows")
    pairs = list(dataset.as_numpy_iterator())
    if not pairs:
        raise DataError(f"{source}: the tf.data.Dataset holds no rows", hint="check its filters")
    batched = _is_batched(element)
    join = np.concatenate if batched else np.stack
    first = pairs[0][0]
    if isinstance(first, Mapping):
        return {name: _texts(join([x[name] for x, _ in pairs])) for name in first}, _texts(join([y for _, y in pairs]))
    return join([x for x, _ in pairs]), _texts(join([y for _, y in pairs]))


def _is_batched(element: Any) -> bool:
    """Whether x and y share a first axis: unknown in both, or of one length."""
    x, y = element
    shapes = [one.shape for one in (*(x.values() if isinstance(x, Mapping) else (x,)), y)]
    return all(shape.rank for shape in shapes) and len({shape[0] for shape in shapes}) == 1


def _texts(values: Any) -> Any:
    """TensorFlow's strings are bytes."""
    if values.dtype == object:
        return np.array([value.decode() if isinstance(value, bytes) else value for value in values])
    return values
