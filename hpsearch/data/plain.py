"""Tables and arrays of any library, as pandas and NumPy have them."""

from collections.abc import Mapping, Sequence
from datetime import date
from numbers import Number
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import numpy as np

from hpsearch.core.foreign import errors_as
from hpsearch.core.records import records
from hpsearch.core.words import first_line, quoted
from hpsearch.data.csv_files import lossy_columns
from hpsearch.data.dataset import Array
from hpsearch.errors import DataError
from hpsearch.portable.arrays import as_table
from hpsearch.portable.outputs import OUTPUT

if TYPE_CHECKING:
    import pandas as pd

FORMS = (
    "return (x, y), (x, y, sample_weight), (x, y, x_test, y_test), ((x, y), (x_test, y_test)), a dict of x, y and "
    "further parts, a DataFrame with the target column, or a tf.data.Dataset of (x, y)"
)

"""What a function may return."""


def plain_frame(name: str, value: object) -> "pd.DataFrame | None":
    """A table of any library, or a dict of columns, as pandas has it; None for arrays.

    Raises:
        DataError: It cannot be converted.
    """
    if is_frame(value) or isinstance(value, Mapping):
        return frame_of(name, name, value).reset_index(drop=True)
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


def is_frame(value: object) -> "TypeGuard[pd.DataFrame]":
    """Whether this is a table of some library."""
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


def frame_of(source: str, what: str, x: object) -> "pd.DataFrame":
    """A DataFrame, or a dict of inputs, as a DataFrame with column names of type str; its cells may be arrays."""

    if is_frame(x):
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
    columns = {str(name): _input(source, f"{what}[{quoted(name)}]", values) for name, values in x.items()}
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
    return as_table(columns)


def by_name(x: object, y: object) -> object:
    """Inputs in order, such as Keras takes them, with names: ``input_0`` and so on. Anything else as it is.

    Args:
        x: The inputs.
        y: The targets; see :func:`are_several`.
    """
    return {f"input_{place}": one for place, one in enumerate(x)} if are_several(x, y) else x


def are_several(part: object, other: object) -> "TypeGuard[Sequence[object]]":
    """Whether a list or tuple holds several arrays, each with an entry per row, and not the rows themselves.

    Args:
        part: Inputs, or targets.
        other: The targets, or the inputs: they tell how many rows there are.
    """
    lengths = _lengths(part)
    if not isinstance(part, list | tuple) or not lengths:
        return False
    rows = {len(other)} if hasattr(other, "__len__") and not isinstance(other, Mapping) else set()
    rows = _lengths(other) - {len(part)} or rows
    return bool(lengths & rows) and len(part) not in rows


def _lengths(part: object) -> set[int]:
    """Lengths of the arrays that a part holds; empty if not all that it holds are arrays."""
    values = part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ()
    shapes = [tuple(getattr(one, "shape", ())) for one in values]
    return {int(shape[0]) for shape in shapes} if shapes and all(shapes) else set()


def targets_of(source: str, name: str, y: object, x: object) -> Array:
    """Targets as an array; a dict of outputs, or several in order, as records with a field for each.

    Args:
        source: For messages.
        name: Of the targets, for messages.
        y: The targets.
        x: The inputs; see :func:`are_several`.

    Raises:
        DataError: They are no arrays of the same length.
    """
    if are_several(y, x):
        y = {f"{OUTPUT}{place}": one for place, one in enumerate(y)}
    if not isinstance(y, Mapping):
        return array_of(source, name, y)
    outputs = {str(output): array_of(source, f"{name}[{quoted(output)}]", one) for output, one in y.items()}
    lengths = {output: len(one) for output, one in outputs.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{quoted(output)} {length}" for output, length in lengths.items()) or "it is empty"
        raise DataError(
            f"{source}: the outputs of {name} have different lengths: {shown}",
            code="uneven-columns",
            hint="every output needs one target per row",
            source=source,
            part=name,
            lengths=lengths,
        )
    return records(outputs)


def rows_in(x: object) -> int:
    """How many rows inputs have; 0 if that cannot be told."""
    if isinstance(x, Mapping):
        return rows_in(next(iter(x.values()), ()))
    several = len(lengths := _lengths(x)) == 1 and isinstance(x, list | tuple) and len(x) not in lengths
    return lengths.pop() if several else len(x) if hasattr(x, "__len__") else 0


def _input(source: str, name: str, values: object) -> Array:
    """A column of one value per row, or an input of arrays."""
    array = array_of(source, name, values)
    return array if array.ndim > 1 and array.shape[1:] != (1,) else one_column(source, name, array)


def one_column(source: str, name: str, values: object) -> Array:
    """One value per row; a second axis of length 1 is dropped.

    Raises:
        DataError: There are more axes.
    """
    column = array_of(source, name, values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise DataError(
            f"{source}: {name} has shape {column.shape}, but a column has one value per row",
            code="bad-column-shape",
            hint="make several columns of it",
            source=source,
            column=name,
            shape=column.shape,
        )
    return column


def array_of(source: str, name: str, value: object) -> Array:
    """Anything like an array with one entry per row.

    Raises:
        DataError: It is a single value, or `name` is of inputs and its rows differ in length or type.
    """
    try:
        array: Array = _unmasked(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: {name} cannot be converted to an array: {error}",
            code="not-an-array",
            hint=FORMS,
            source=source,
            part=name,
        ) from None
    if array.ndim == 0 or (array.dtype == object and name in ("x", "x_test")):
        kind = "rows of different lengths or types" if array.ndim else f"{type(value).__name__} {quoted(str(value))}"
        raise DataError(
            f"{source}: {name} must be an array with one entry per row, but got {kind}",
            code="not-an-array",
            hint=FORMS,
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
