"""Predict raw rows with a study's champion."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.champion.files import check_champion
from hpsearch.core.facts import DataFacts
from hpsearch.core.words import listed
from hpsearch.data.dataset import Array, Features
from hpsearch.errors import DataError
from hpsearch.ledger.record import StudyRecord
from hpsearch.training.environment import WorkerSettings, set_up

if TYPE_CHECKING:
    import pandas as pd


def predict(record: StudyRecord, file: Path) -> "pd.DataFrame":
    """Predict every row of a file.

    Args:
        record: A study with a champion.
        file: A CSV, Parquet or NPZ file of raw rows, as the study's source has them; columns that the model does not
            take (the target, an id) are left out. For models of one array, a table needs as many columns of numbers
            as the array has values per row, and an NPZ file an array ``x``.

    Returns:
        One row per row: ``prediction`` (a class name or a number), and for classes ``probability`` and one column
        ``p(<class>)`` each.

    Raises:
        StudyError: The study has no champion, or its file is gone or changed.
        DataError: The file is missing, or its rows are not what the model takes.
        ModelError: The champion needs code that the study's build module no longer has.
    """
    model_file = check_champion(record)
    data = record.facts.data
    x = _rows(file, data, record.spec.data.options)
    set_up(WorkerSettings("jax"))
    import pandas as pd

    from hpsearch.models.saving import load_model
    from hpsearch.training.mlflow_loader import predictions_table

    model = load_model(model_file, record.spec)
    predicted = np.asarray(model.predict(x, batch_size=256, verbose=0))
    return predictions_table(predicted, data.classes, pd.RangeIndex(len(predicted)))


def _rows(file: Path, data: DataFacts, options: Mapping[str, object]) -> Features:
    from hpsearch.data.files import CSV_OPTIONS, find_file, read_arrays, read_table
    from hpsearch.data.tables import rows_of

    path = find_file(str(file), ".")
    shape = None if data.columns else data.input_shape
    if path.suffix.lower() == ".npz":
        if shape is None:
            raise DataError(
                f"{file}: the model takes a table with columns", code="needs-table", hint="use a CSV or Parquet file"
            )
        return _array(file, read_arrays(path), shape)
    # A CSV file is read as the study's own was: same separator, same marks for empty cells.
    csv = path.suffix.lower() in (".csv", ".tsv")
    table = read_table(path, {name: value for name, value in options.items() if csv and name in CSV_OPTIONS})
    _check_some(file, len(table))
    if shape is None:
        return rows_of(str(file), table, data.columns)
    count = int(np.prod(shape))
    numbers = table.select_dtypes("number")
    if numbers.shape[1] != count:
        raise DataError(
            f"{file}: has {numbers.shape[1]} columns of numbers, but the model takes {count} numbers per row "
            f"(shape {shape})",
            code="wrong-shape",
            hint="give one column per value in the order of the data, and nothing else; or an NPZ file with an array x",
            found=(numbers.shape[1],),
            wanted=shape,
        )
    return _finite(file, numbers.to_numpy(dtype="float32").reshape(len(table), *shape))


def _array(file: Path, arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    if "x" not in arrays:
        raise DataError(
            f"{file}: needs an array x, but has {listed(arrays) or 'nothing'}", code="no-array", found=tuple(arrays)
        )
    x = arrays["x"]
    if x.shape[1:] != shape or x.ndim == 0 or x.dtype.kind not in "biuf":
        raise DataError(
            f"{file}: array x has shape {x.shape} and dtype {x.dtype}, but the model takes rows of numbers of shape "
            f"{shape}",
            code="wrong-shape",
            found=x.shape,
            wanted=shape,
            dtype=str(x.dtype),
        )
    _check_some(file, len(x))
    return _finite(file, x)


def _check_some(file: Path, rows: int) -> None:
    if rows == 0:
        raise DataError(f"{file}: has no rows", code="no-rows", hint="there is nothing to predict")


def _finite(file: Path, x: Array) -> Array:
    if np.issubdtype(x.dtype, np.floating) and (bad := int((~np.isfinite(x)).sum())):
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise DataError(
            f"{file}: {bad} values are missing or infinite, the first at {first}",
            code="not-finite",
            hint="fill them first",
            count=bad,
            first=first,
        )
    return x
