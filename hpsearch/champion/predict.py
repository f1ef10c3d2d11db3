"""Predict raw rows with a study's champion."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.champion.files import check_champion
from hpsearch.core.facts import DataFacts
from hpsearch.core.words import listed
from hpsearch.data.dataset import Array
from hpsearch.data.plain import plain_array, plain_frame
from hpsearch.errors import DataError, ModelError
from hpsearch.ledger.record import StudyRecord
from hpsearch.models.saved_file import custom_names, needs_tensorflow
from hpsearch.portable.arrays import as_table
from hpsearch.portable.cells import packed
from hpsearch.portable.columns import NUMBERS
from hpsearch.portable.errors import RowsError
from hpsearch.training.environment import WorkerSettings, set_up

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from hpsearch.portable.predictor import Card, Inputs


def predict(record: StudyRecord, file: Path, *, trust: bool = False) -> "pd.DataFrame":
    """Predict every row of a file. Its cells are read as those of the study's own data were, and not judged anew.

    A category that the study's data do not have is predicted as an unknown one, with a Python warning.

    Args:
        record: A study with a champion.
        file: A CSV, Parquet or NPZ file of raw rows, as the study's source has them; columns that the model does not
            take (the target, an id) are left out. For models of one array, a table needs as many columns of numbers
            as the array has values per row, and an NPZ file an array ``x``.
        trust: See :func:`~hpsearch.champion.files.check_champion`.

    Returns:
        One row per row: ``prediction`` (a class name, or a number in the data's own unit), and for classes
        ``probability`` and one column ``p(<class>)`` each.

    Raises:
        StudyError: The study has no champion, its file is gone or changed, or its code is not trusted.
        DataError: The file is missing, or its rows are not what the model takes.
        ModelError: The champion needs code that the study's build module no longer has.
    """
    champion = check_champion(record, trust=trust)
    rows = _rows(file, record.facts.data, record.spec.data.options)
    return _predicted(record, champion, rows, str(file), alone=True)


def predict_rows(record: StudyRecord, rows: object, *, trust: bool = False) -> "pd.DataFrame":
    """Predict rows in memory.

    Args:
        record: A study with a champion.
        rows: Raw rows as the study's source has them: an array, a DataFrame or a dict of columns; columns that the
            model does not take are left out.
        trust: See :func:`~hpsearch.champion.files.check_champion`.

    Returns:
        As :func:`predict`.

    Raises:
        HpsearchError: As :func:`predict` raises.
    """
    champion, schema = check_champion(record, trust=trust), record.facts.data.schema
    columns = record.facts.data.columns
    if schema is not None and schema.in_order and not isinstance(rows, Mapping) and not hasattr(rows, "columns"):
        given = list(rows) if isinstance(rows, list | tuple) else [rows]
        if len(given) != len(columns):
            raise DataError(
                f"x: the model takes {len(columns)} inputs in order, but got {len(given)}",
                code="missing-columns",
                hint="give a list of them, such as [images, numbers]",
                wanted=len(columns),
                found=len(given),
            )
        rows = {column.name: one for column, one in zip(columns, given, strict=True)}
    table = plain_frame("x", rows)
    if table is None and columns:
        raise DataError(
            f"x: the model takes {listed(one.name for one in columns)} by name, but got {type(rows).__name__}",
            code="needs-table",
            hint="give a DataFrame, or a dict with an array for each",
        )
    return _predicted(record, champion, plain_array("x", rows) if table is None else table, "x", alone=False)


def _predicted(
    record: StudyRecord, model_file: Path, rows: "pd.DataFrame | Array", source: str, *, alone: bool
) -> "pd.DataFrame":
    """Predictions.

    Args:
        record: A study with a champion.
        model_file: The champion's file, checked.
        rows: Raw rows.
        source: Where they are from, for messages.
        alone: Whether this process is there for it, so that its Keras backend may be chosen.
    """
    from hpsearch.data.card import card_of
    from hpsearch.data.tables import data_error
    from hpsearch.portable.predictor import Predictor, model_inputs

    assert record.champion is not None
    card = card_of(record.facts.data, record.champion, record.spec.data.unit)
    try:
        inputs = model_inputs(rows, card)  # before Keras is imported, which takes seconds
    except RowsError as error:
        raise data_error(source, error) from None
    if alone:
        set_up(WorkerSettings(_backend(model_file, record.facts.backend)))

    from hpsearch.training.keeping import load_champion

    _check_text(card)
    model = load_champion(model_file, record.worker_spec, record.champion.config)
    return Predictor(model, card).predict_inputs(_as_the_model_takes(model, inputs, card))


def _check_text(card: "Card") -> None:
    import keras

    texts = [one.name for one in card.columns if one.kind == "text"]
    if texts and keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"column {texts[0]!r} is free text, which Keras' layers take on TensorFlow only, but this program runs on "
            f"{keras.backend.backend()}",
            code="needs-tensorflow",
            hint="set KERAS_BACKEND=tensorflow before Keras is imported; `hpsearch predict` does so itself",
            column=texts[0],
        )


def _as_the_model_takes(model: "keras.Model", inputs: "Inputs", card: "Card") -> "Inputs":
    """Number columns as one input or as one each. Ledgers of hpsearch 0.1 do not say, and a resumed study changes."""
    names = {one.name for one in getattr(model, "inputs", None) or ()}
    if not isinstance(inputs, dict) or card.packed or NUMBERS not in names or NUMBERS in inputs:
        return inputs
    return packed(inputs, card.columns)


def _backend(model_file: Path, trained_on: str) -> str:
    """JAX, which is imported in a second, unless the model needs the backend that has trained it."""
    own = model_file.suffix != ".keras" or bool(custom_names(model_file))
    return trained_on if own or needs_tensorflow(model_file) else "jax"


def _rows(file: Path, data: DataFacts, options: Mapping[str, object]) -> "pd.DataFrame | Array":
    from hpsearch.data.files import csv_file, find_file, read_arrays, read_parquet

    path = find_file(str(file), ".")
    kind = path.suffix.lower()
    if kind == ".npz":
        arrays = read_arrays(path)
        if not data.columns:
            return _array(file, arrays)
        if not {column.name for column in data.columns} & arrays.keys():
            raise DataError(
                f"{file}: the model takes a table with columns",
                code="needs-table",
                hint="use a CSV or Parquet file, or an NPZ file with an array for each column",
            )
        return as_table({name: one for name, one in arrays.items() if one.ndim})
    if kind == ".parquet":
        return read_parquet(path)
    csv = csv_file(path, options)
    if not data.columns:
        return csv.read_numbers()
    forced = options.get("categories", [])
    legacy = (list(forced) if isinstance(forced, list) else []) if data.schema is None else None
    return csv.read_like(data.columns, inferred=legacy)


def _array(file: Path, arrays: Mapping[str, Array]) -> Array:
    if "x" not in arrays:
        raise DataError(
            f"{file}: needs an array x, but has {listed(arrays) or 'nothing'}",
            code="no-array",
            hint="write it with numpy.savez(path, x=…)",
            found=tuple(arrays),
        )
    return arrays["x"]
