"""Files: CSV and Parquet tables, NPZ arrays; relative to the study file."""

import difflib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.data.tables import from_frame
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.spec import StudySpec

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")

CSV_OPTIONS = ("sep", "decimal", "thousands", "encoding", "na_values", "comment")
"""Options of CSV files, as in ``pandas.read_csv``; ``categories`` is ours and works with every table."""


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
    """The file's path, relative ones starting from the study file's folder.

    Raises:
        DataError: There is no such file.
    """
    path = Path(folder) / Path(source).expanduser()
    if path.is_file():
        return path
    near = [one.name for one in path.parent.glob("*") if one.is_file()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, near, n=1)
    raise DataError(
        f"there is no file {path.resolve()}",
        hint=f"did you mean {close[0]}?" if close else "relative paths start from the study file's folder",
    )


def read_table(path: Path, options: dict[str, Any] | None = None) -> "pd.DataFrame":
    """A CSV, TSV or Parquet file as a DataFrame.

    Raises:
        DataError: It cannot be read, or an option is unknown.
    """
    import pandas as pd

    options = dict(options or {})
    options.pop("categories", None)
    parquet = path.suffix.lower() == ".parquet"
    legal = () if parquet else CSV_OPTIONS
    for name in options:
        if name not in legal:
            raise DataError(f"{path.name}: has no option {name!r}", hint=f"legal: {', '.join((*legal, 'categories'))}")
    try:
        if parquet:
            return pd.read_parquet(path)
        # "NA" stays text by default elsewhere in pandas' list; an empty cell is what the documents call missing.
        return pd.read_csv(path, **({"sep": "\t"} if path.suffix.lower() == ".tsv" else {}), **options)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: is empty", hint="a table needs a header row and rows") from None
    except (ValueError, TypeError, OSError, LookupError) as error:  # parser, decoding, Arrow and option errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path}: cannot be read as {path.suffix[1:].upper()}: {reason}",
            hint="" if parquet else f"[data] options can set {', '.join(CSV_OPTIONS)}",
        ) from None


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an NPZ file.

    Raises:
        DataError: It cannot be read, or holds objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read as NPZ: {str(error).splitlines()[0]}",
            hint="write it with numpy.savez(path, x=…, y=…), numbers or fixed-width texts only",
        ) from None


def _arrays(path: Path, spec: "StudySpec") -> Loaded:
    arrays = read_arrays(path)
    if spec.data.options:
        raise DataError(f"{path.name}: an NPZ file has no options, but got {', '.join(spec.data.options)}")
    for suffix in ("", "_train"):
        if {f"x{suffix}", f"y{suffix}"} <= arrays.keys():
            return Loaded(arrays[f"x{suffix}"], arrays[f"y{suffix}"], arrays.get("x_test"), arrays.get("y_test"))
    raise DataError(
        f"{path}: needs arrays x and y (or x_train and y_train), but holds {', '.join(arrays) or 'nothing'}",
        hint="write it with numpy.savez(path, x=…, y=…); x_test and y_test may follow",
    )
