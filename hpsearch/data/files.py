"""Files: CSV and Parquet tables, NPZ arrays. Relative paths start from the study file's folder."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.words import closest, first_line, listed
from hpsearch.data.csv_files import CSV_OPTIONS, CsvFile
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.data.tables import from_frame
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")


def read_file(spec: "StudySpec") -> Loaded:
    """Read a table or arrays.

    Raises:
        DataError: The file is missing, unreadable or unusable.
    """
    path = find_file(spec.data.source, spec.folder)
    if path.suffix.lower() == ".npz":
        return _arrays(path, spec)
    options = spec.data.options
    frame = read_table(path, options)
    warnings = [] if path.suffix.lower() == ".parquet" else csv_file(path, options).leading_zeros(frame)
    return from_frame(frame, spec, warnings=warnings)


def find_file(source: str, folder: str | Path) -> Path:
    """The path of a data file.

    Args:
        source: The path as written; relative paths start from `folder`.
        folder: Such as the study file's folder.

    Raises:
        DataError: There is no such file.
    """
    path = Path(folder) / Path(source).expanduser()
    if path.is_file():
        return path
    names = [one.name for one in path.parent.glob("*") if one.is_file()] if path.parent.is_dir() else []
    near = closest(path.name, names)
    raise DataError(
        f"there is no file {path.resolve()}",
        code="no-file",
        hint=f"did you mean {near}?" if near else f"relative paths start from {Path(folder).resolve()}",
        path=str(path.resolve()),
        closest=near,
    )


def read_table(path: Path, options: Mapping[str, object]) -> "pd.DataFrame":
    """A CSV, TSV or Parquet file as a DataFrame.

    Raises:
        DataError: The file cannot be read or is no table, or an option is unknown.
    """
    if path.suffix.lower() == ".parquet":
        _check_options(path, options, ())
        return read_parquet(path)
    _check_options(path, options, CSV_OPTIONS)
    categories = options.get("categories", [])
    return csv_file(path, options).read(as_text=categories if isinstance(categories, list) else ())


def csv_file(path: Path, options: Mapping[str, object]) -> CsvFile:
    """A CSV file with those of a study's options that say how it is written."""
    return CsvFile(path, {name: value for name, value in options.items() if name in CSV_OPTIONS})


def read_parquet(path: Path) -> "pd.DataFrame":
    """A Parquet file as a DataFrame.

    Raises:
        DataError: The file cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (ValueError, TypeError, OSError, LookupError) as error:  # Arrow's errors are among these
        raise DataError(
            f"{path} cannot be read as PARQUET: {_reason(error)}",
            code="unreadable-file",
            path=str(path),
            format="PARQUET",
        ) from None


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an NPZ file.

    Raises:
        DataError: The file cannot be read, or contains Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as NPZ: {_reason(error)}",
            code="unreadable-file",
            hint="write it with numpy.savez(path, x=…, y=…), with numbers or fixed-width texts only",
            path=str(path),
            format="NPZ",
        ) from None


def _arrays(path: Path, spec: "StudySpec") -> Loaded:
    arrays = read_arrays(path)
    _check_options(path, spec.data.options, None)
    for suffix in ("", "_train"):
        if {f"x{suffix}", f"y{suffix}"} <= arrays.keys():
            return Loaded(arrays[f"x{suffix}"], arrays[f"y{suffix}"], arrays.get("x_test"), arrays.get("y_test"))
    raise DataError(
        f"{path} needs arrays x and y (or x_train and y_train), but has {listed(arrays) or 'none'}",
        code="missing-arrays",
        hint="write it with numpy.savez(path, x=…, y=…); x_test and y_test are optional",
        path=str(path),
        arrays=tuple(arrays),
    )


def _check_options(path: Path, options: Mapping[str, object], legal: tuple[str, ...] | None) -> None:
    """Refuse options that are not `legal`; None if the kind of file has no options at all."""
    for name in options:
        if name not in (legal or ()) and (name != "categories" or legal is None):
            known = () if legal is None else (*legal, "categories")
            raise DataError(
                f"{path.name} has no option {name!r}",
                code="unknown-option",
                hint=f"legal options: {listed(known)}" if known else "NPZ files have no options",
                source=path.name,
                option=name,
            )


def _reason(error: BaseException) -> str:
    return first_line(error) if str(error).strip() else type(error).__name__
