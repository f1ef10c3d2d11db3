"""Files: CSV and Parquet tables, NPZ arrays. Relative paths start from the study file's folder."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.addresses import hidden
from hpsearch.core.words import LONGEST_PATH, closest, cut, listed, quoted
from hpsearch.data.csv_files import CSV_OPTIONS, CsvFile, check_twice, lossy_columns
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.data.reading import check_fits, reading
from hpsearch.data.tables import from_frame, rows_of
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from hpsearch.spec import StudySpec

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")

_TEXTS = {"sep": ";", "decimal": ",", "thousands": ".", "encoding": "cp1252", "comment": "#"}
"""Options of CSV files that are texts, with an example."""

_MAGIC = b"\x93NUMPY"

_MOST_DEFLATED = 1_100
"""Bytes that a compressed one can stand for: 1,032 with deflate, and a little for headers."""


def read_file(spec: "StudySpec") -> Loaded:
    """Read a table or arrays.

    Raises:
        DataError: The file is missing, unreadable or unusable.
    """
    path = find_file(spec.data.source, spec.folder)
    if path.suffix.lower() == ".npz":
        return _arrays(path, spec)
    options = spec.data.options
    frame = read_table(path, options, texts=spec.data.text)
    warnings = [] if path.suffix.lower() == ".parquet" else csv_file(path, options).leading_zeros(frame)
    return from_frame(frame, spec, warnings=warnings)


def find_file(source: str, folder: str | Path) -> Path:
    """The path of a data file.

    Args:
        source: The path as written; relative paths start from `folder`.
        folder: Such as the study file's folder.

    Raises:
        DataError: There is no such file, or it is a folder.
    """
    try:
        if "\0" in source:
            raise ValueError("it has a zero byte in its name")
        path = Path(folder) / Path(source).expanduser()
        if path.is_file():
            return path
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a zero byte, a home of nobody
        raise DataError(
            f"there is no file {cut(source, LONGEST_PATH)}: {getattr(error, 'strerror', None) or error}",
            code="no-file",
            hint="check [data] source",
            path=source,
        ) from None
    if path.is_dir():
        raise DataError(
            f"{path.resolve()} is a folder",
            code="is-a-folder",
            hint="name a file in it",
            path=str(path.resolve()),
        )
    if "://" in source:
        raise DataError(
            f"there is no file {hidden(source)}",
            code="no-file",
            hint="files are read on this machine only: download it first",
            path=str(hidden(source)),
        )
    names = [one.name for one in path.parent.glob("*") if one.is_file()] if path.parent.is_dir() else []
    near = closest(path.name, names)
    raise DataError(
        f"there is no file {path.resolve()}",
        code="no-file",
        hint=f"did you mean {near}?" if near else f"relative paths start from {Path(folder).resolve()}",
        path=str(path.resolve()),
        closest=near,
    )


def read_table(path: Path, options: Mapping[str, object], *, texts: Sequence[str] = ()) -> "pd.DataFrame":
    """A CSV, TSV or Parquet file as a DataFrame.

    Args:
        path: The file.
        options: Of the study file.
        texts: Columns of free text: digits in them are no numbers.

    Raises:
        DataError: The file cannot be read or is no table, or an option is unknown.
    """
    if path.suffix.lower() == ".parquet":
        _check_options(path, options, ())
        return read_parquet(path)
    _check_options(path, options, CSV_OPTIONS)
    categories = options.get("categories", [])
    return csv_file(path, options).read(as_text=[*(categories if isinstance(categories, list) else ()), *texts])


def csv_file(path: Path, options: Mapping[str, object]) -> CsvFile:
    """A CSV file with those of a study's options that say how it is written."""
    return CsvFile(path, {name: value for name, value in options.items() if name in CSV_OPTIONS})


def read_parquet(path: Path) -> "pd.DataFrame":
    """A Parquet file as a DataFrame.

    Raises:
        DataError: The file cannot be read.
    """
    import pandas as pd
    from pyarrow.parquet import read_metadata, read_schema

    with reading(path, "PARQUET"):
        check_twice(path, read_schema(path).names)
        announced = read_metadata(path)
        rows, columns = announced.num_rows, announced.num_columns
        size = rows * sum(_bytes_of(one) for one in read_schema(path).types)
        check_fits(path, size, f"{rows:,} rows of {columns:,} columns")
        frame = pd.read_parquet(path)
        if lossy := lossy_columns(frame):
            exact = pd.read_parquet(path, columns=lossy, dtype_backend="numpy_nullable")
            frame = frame.assign(**{name: exact[name] for name in lossy})
        return frame


def _bytes_of(kind: "pa.DataType") -> int:
    """What a cell of an Arrow type needs at least."""
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # a text, a list
        return 1


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an NPZ file.

    Raises:
        DataError: The file cannot be read, or contains Python objects.
    """
    hint = "write it with numpy.savez(path, x=…, y=…), with numbers or fixed-width texts only"
    with reading(path, "NPZ", hint=hint):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_announced(path, archive, member)
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    return {name: one for name, one in found.items() if isinstance(one, np.ndarray)}


def _check_announced(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array whose header announces more than the file can hold. NumPy allocates first and reads then."""
    with archive.open(member) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return  # no array: NumPy takes it for bytes
    name = quoted(member.filename)
    try:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except Exception as error:  # a header is a Python literal, in which anything may be wrong
        raise ValueError(f"the header of {name} is damaged") from error
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which hpsearch does not unpickle")
    size = math.prod(shape) * dtype.itemsize
    check_fits(path, size, f"an array {name} of shape {quoted(shape)}")
    if size > min(member.file_size, _MOST_DEFLATED * path.stat().st_size):
        raise ValueError(f"{name} of shape {quoted(shape)} is cut short")


def _arrays(path: Path, spec: "StudySpec") -> Loaded:
    arrays = read_arrays(path)
    _check_options(path, spec.data.options, None)
    if "x" not in arrays and "x_train" not in arrays and "y" in arrays and arrays.keys() - set(_NO_INPUTS):
        return _several(path, arrays, spec)
    for suffix in ("", "_train"):
        if {f"x{suffix}", f"y{suffix}"} <= arrays.keys():
            found = {name: arrays.get(name) for name in (f"x{suffix}", f"y{suffix}", "x_test", "y_test")}
            check_parts(str(path), *found.values())
            x, y, x_test, y_test = found.values()
            assert x is not None
            assert y is not None
            weights = arrays.get(f"sample_weight{suffix}", arrays.get("sample_weight"))
            weights_test = arrays.get("sample_weight_test")
            return Loaded(x, y, x_test, y_test, weights=weights, weights_test=weights_test)
    raise DataError(
        f"{path} needs arrays x and y (or x_train and y_train), but has {listed(arrays) or 'none'}",
        code="missing-arrays",
        hint="write it with numpy.savez(path, x=…, y=…); x_test and y_test are optional, and several inputs may have "
        "names of their own in place of x",
        path=str(path),
        arrays=tuple(arrays),
    )


_NO_INPUTS = ("y", "y_test", "sample_weight", "sample_weight_test")
"""Arrays of an NPZ file that are no inputs, where the inputs have names of their own."""


_HARDLY_INPUTS = {"y_train", "y_val", "labels", "targets", "weights", "weight", "sample_weights", "sample_weight_train"}
"""Names that say something else. Targets among the inputs would be learned by heart."""


def named_inputs(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The several inputs of an NPZ file, and those of its test rows, which end in ``_test``."""
    inputs = {name: one for name, one in arrays.items() if name not in _NO_INPUTS}
    test = {name: inputs[f"{name}_test"] for name in inputs if f"{name}_test" in inputs}
    return {name: one for name, one in inputs.items() if name not in {f"{one}_test" for one in test}}, test


def _several(path: Path, arrays: Mapping[str, Array], spec: "StudySpec") -> Loaded:
    from hpsearch.portable.arrays import as_table

    inputs, test = named_inputs(arrays)
    if doubtful := sorted(inputs.keys() & _HARDLY_INPUTS):
        raise DataError(
            f"{path} has no x, so every array but y and sample_weight is an input: {quoted(doubtful[0])} is hardly one",
            code="doubtful-input",
            hint="rename it, or leave it out of the file",
            path=str(path),
            array=doubtful[0],
        )
    check_parts(str(path), inputs, arrays["y"], test or None, arrays.get("y_test"))
    lengths = {name: len(one) for name, one in inputs.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{quoted(name)} {length}" for name, length in lengths.items())
        raise DataError(
            f"{path}: its inputs have different lengths: {shown}",
            code="uneven-columns",
            hint="every input needs one entry per row",
            source=str(path),
            lengths=lengths,
        )
    loaded = replace(from_frame(as_table(inputs), spec, arrays["y"]), weights=arrays.get("sample_weight"))
    if not test:
        return loaded
    rows = rows_of(str(path), as_table(test), loaded.columns)
    weights = arrays.get("sample_weight_test")
    return replace(loaded, x_test=rows, y_test=arrays["y_test"], weights_test=weights)


def check_parts(source: str, x: object, y: object, x_test: object, y_test: object) -> None:
    """Refuse single values, and a test part that is not complete.

    Raises:
        DataError: Such are there.
    """
    if (x_test is None) != (y_test is None):
        there, lacking = ("x_test", "y_test") if y_test is None else ("y_test", "x_test")
        raise DataError(
            f"{source}: there is {there}, but no {lacking}",
            code="half-a-test-part",
            hint="give both; without them, hpsearch holds rows out",
            source=source,
            missing=lacking,
        )
    for name, value in (("x", x), ("y", y), ("x_test", x_test), ("y_test", y_test)):
        if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
            raise DataError(
                f"{source}: {name} is a single value, not an array with one entry per row",
                code="not-an-array",
                hint="every row needs its values",
                source=source,
                part=name,
            )


def _check_options(path: Path, options: Mapping[str, object], legal: tuple[str, ...] | None) -> None:
    """Refuse options that are not `legal`; None if the kind of file has no options at all."""
    for name in options:
        if name not in (legal or ()) and (name != "categories" or legal is None):
            known = () if legal is None else (*legal, "categories")
            raise DataError(
                f"{path.name} has no option {quoted(name)}",
                code="unknown-option",
                hint=f"legal options: {listed(known)}" if known else "NPZ files have no options",
                source=path.name,
                option=name,
            )
        if name in _TEXTS and not isinstance(options[name], str):
            raise DataError(
                f"{path.name}: option {name} must be a text, but got {quoted(options[name])}",
                code="bad-option",
                hint=f'such as options = {{ {name} = "{_TEXTS[name]}" }}',
                source=path.name,
                option=name,
                value=options[name],
            )
