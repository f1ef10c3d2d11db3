"""Loads a champion for ``mlflow.pyfunc``: raw rows in, predictions out, as ``hpsearch predict`` has them.

A copy of this file is part of every registered model, so that predicting needs no hpsearch. It imports nothing of it.
"""

import importlib
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import keras

CARD, MODEL = "card.json", "model.keras"
"""The two files of a model's data folder."""

_BATCH = 256

_Inputs = NDArray[np.generic] | dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Card:
    """What a champion takes and returns.

    Attributes:
        backend: The Keras backend that trained it, used where none has been chosen.
        classes: Names of the classes in order of their numbers; empty for regression.
        columns: Input columns of a table, name → ``"number"`` or ``"category"``; empty if a row is one array.
        input_shape: Shape of one row.
        modules: The user's modules that are shipped with the model and hold what is not Keras' own; often none.
        names: What is not Keras' own.
    """

    backend: str
    classes: Sequence[str]
    columns: Mapping[str, str]
    input_shape: Sequence[int]
    modules: Sequence[str] = ()
    names: Sequence[str] = ()


class Predictor:
    """A champion that takes raw rows.

    Args:
        model: The Keras model.
        card: What it takes and returns.
    """

    def __init__(self, model: "keras.Model", card: Card) -> None:
        self.model = model
        self.card = card

    def get_raw_model(self) -> "keras.Model":
        """The Keras model, for ``PyFuncModel.get_raw_model``."""
        return self.model

    def predict(self, data: "pd.DataFrame | ArrayLike | Mapping[str, ArrayLike]") -> pd.DataFrame:
        """Predict every row.

        Args:
            data: For a model of a table, a table with its columns; others are ignored. For a model of arrays, an array
                of shape ``(n_rows, *input_shape)``, or a table with as many columns of numbers as a row has values.

        Returns:
            One row per row, with the index of a table that is given: ``prediction`` (a class name or a number), and
            for classes ``probability`` and one column ``p(<class>)`` each.

        Raises:
            ValueError: The rows are not what the model takes.
        """
        card = self.card
        inputs: _Inputs
        if card.columns:
            table = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
            inputs, index = _table_inputs(table, card.columns), table.index
        else:
            inputs = _array_inputs(data, tuple(card.input_shape))
            index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(inputs))
        if len(index) == 0:
            raise ValueError("there are no rows to predict")
        return predictions_table(
            np.asarray(self.model.predict(inputs, batch_size=_BATCH, verbose=0)), card.classes, index
        )


def predictions_table(predicted: NDArray[np.generic], classes: Sequence[str], index: pd.Index) -> pd.DataFrame:
    """What a model returns as a table.

    Args:
        predicted: Shape ``(n_rows,)`` or ``(n_rows, n_outputs)``.
        classes: Names of the classes; empty for regression.
        index: The table's index.
    """
    values = predicted.reshape(len(index), -1)
    if not classes:
        names = ["prediction"] if values.shape[1] == 1 else [f"prediction_{i}" for i in range(values.shape[1])]
        return pd.DataFrame(values, columns=names, index=index)
    if values.shape[1] == 1:
        values = np.hstack([1 - values, values])
    best = [classes[i] for i in values.argmax(axis=1)]
    front = pd.DataFrame({"prediction": best, "probability": values.max(axis=1)}, index=index)
    shares = pd.DataFrame(values, columns=[f"p({name})" for name in classes], index=index)
    return pd.concat([front, shares], axis=1)


def _table_inputs(table: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, NDArray[np.generic]]:
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(f"the model needs the columns {', '.join(columns)}, but {', '.join(missing)} are missing")
    return {
        name: _codes(table[name]) if kind == "category" else _numbers(table[name]) for name, kind in columns.items()
    }


def _numbers(values: "pd.Series[float]") -> NDArray[np.float32]:
    """A column as float32, NaN where empty."""
    numbers = pd.to_numeric(values, errors="coerce")
    if (bad := numbers.isna() & values.notna()).any():
        raise ValueError(f"column {values.name!r} needs numbers, but holds {values[bad].iloc[0]!r}")
    result = np.asarray(numbers.to_numpy(dtype=np.float32, na_value=np.nan))
    if np.isinf(result).any():
        raise ValueError(f"column {values.name!r} holds an infinite value")
    return result


def _codes(values: "pd.Series[str]") -> NDArray[np.int32]:
    """A column of categories as the codes that the model was trained on."""
    texts = values.astype(object).where(values.notna(), None)
    return np.array([category_code(value) for value in texts], dtype=np.int32)


def category_code(value: object) -> int:
    """Code of a category: the upper 24 bits of its text's CRC-32; -1 for an empty cell."""
    if value is None or value != value:
        return -1
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return zlib.crc32(str(value).encode()) >> 8


def _array_inputs(data: "pd.DataFrame | ArrayLike", shape: tuple[int, ...]) -> NDArray[np.generic]:
    if isinstance(data, pd.DataFrame):
        numbers, count = data.select_dtypes("number"), int(np.prod(shape))
        if numbers.shape[1] != count:
            raise ValueError(
                f"{numbers.shape[1]} columns of numbers, but a row of shape {shape} has {count} numbers; "
                "the table needs one column for each, in order"
            )
        rows: NDArray[np.generic] = numbers.to_numpy(dtype=np.float32).reshape(len(data), *shape)
    else:
        rows = np.asarray(data)
        if rows.shape[1:] != shape or rows.dtype.kind not in "biuf":
            raise ValueError(
                f"an array of shape {rows.shape} and type {rows.dtype}, but the model takes rows of numbers of shape "
                f"{shape}"
            )
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        raise ValueError("some values are missing or infinite")
    return rows


def _load_pyfunc(path: str) -> Predictor:
    """Called by ``mlflow.pyfunc.load_model``.

    Args:
        path: The model's data folder.
    """
    folder = Path(path)
    card = Card(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    if "keras" not in sys.modules:
        # The model's requirements hold this backend alone, and Keras' default may be another one.
        os.environ.setdefault("KERAS_BACKEND", card.backend)
    import keras

    with _importing(folder.parents[1] / "code", card.modules) as modules:
        objects = dict(_custom_objects(card.names, modules))
        # The file may hold code, as the modules beside it do. Compiling would ask for the user's losses too.
        model = keras.saving.load_model(folder / MODEL, custom_objects=objects, compile=False, safe_mode=False)
    return Predictor(model, card)


def _custom_objects(names: Iterable[str], modules: Iterable[ModuleType]) -> Iterator[tuple[str, object]]:
    """What these names stand for; Keras knows itself what importing the modules has registered."""
    import keras

    for name in names:
        if keras.saving.get_registered_object(name) is None:
            yield from [(name, vars(module)[name]) for module in modules if name in vars(module)][:1]


@contextmanager
def _importing(folder: Path, names: Sequence[str]) -> Iterator[list[ModuleType]]:
    """Import these modules from `folder`, although others of the same names may be there: another model's, say."""
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))
        for name in names if others else ():
            sys.modules.pop(name, None)
        sys.modules.update(others)
