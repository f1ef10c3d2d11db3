"""Files: CSV and Parquet tables, NPZ arrays. Relative paths start from the study file's folder."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.words import closest, first_line, listed
from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.data.tables import from_frame
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")

CSV_OPTIONS = ("sep", "decimal", "thousands", "encoding", "na_values", "comment")
"""Options of CSV files, as in ``pandas.read_csv``. ``categories`` is hpsearch's own and works with every table."""


def read_file(spec: "StudySpec") -> Loaded:
    """Read a table or arrays.

    Raises:
        DataError: The file is missing, unreadable or unusable.
    """
    path = find_file(spec.data.source, spec.folder)
    if path.suffix.lower() == ".npz":
        return _arrays(path, spec)
    return from_frame(read_table(path, spec.data.options), spec)


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


def read_table(path: Path, options: Mapping[str, object] | None = None) -> "pd.DataFrame":
    """A CSV, TSV or Parquet file as a DataFrame.

    Raises:
        DataError: The file cannot be read, or an option is unknown.
    """
    import pandas as pd

    parquet = path.suffix.lower() == ".parquet"
    given = {name: value for name, value in (options or {}).items() if name != "categories"}
    _check_options(path, given, () if parquet else CSV_OPTIONS)
    try:
        if parquet:
            return pd.read_parquet(path)
        return pd.read_csv(path, **({"sep": "\t"} if path.suffix.lower() == ".tsv" else {}), **given)
    except pd.errors.EmptyDataError:
        raise DataError(
            f"{path} is empty", code="empty-file", hint="a table needs a header row and data rows", path=str(path)
        ) from None
    except (ValueError, TypeError, OSError, LookupError) as error:  # parser, decoding, Arrow and option errors
        kind = path.suffix[1:].upper()
        raise DataError(
            f"{path} cannot be read as {kind}: {_reason(error)}",
            code="unreadable-file",
            hint="" if parquet else f"[data] options can set {listed(CSV_OPTIONS)}",
            path=str(path),
            format=kind,
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
        if name not in (legal or ()):
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
