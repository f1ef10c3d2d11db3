"""A champion that takes raw rows: for ``hpsearch predict``, and for ``mlflow.pyfunc``, which loads it."""

import importlib
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import as_table
from .cells import category_texts, packed, table_inputs
from .columns import Column, OutputCard
from .errors import RowsError, RowsWarning
from .outputs import amounts, by_name
from .spelling import other_spelling, told_apart
from .tables import labels_table, outputs_table, predictions_table

if TYPE_CHECKING:
    import keras

CARD, MODEL = "card.json", "model.keras"
"""The two files of a model's data folder."""

LAMBDA = "__lambda__"
"""Stands among the names of a model that holds code of its own, which Keras' safe mode does not load."""

_BATCH = 256

Inputs = NDArray[np.generic] | dict[str, NDArray[np.generic]]
"""What a Keras model takes: one array, or one per column or input."""


@dataclass(frozen=True)
class Card:
    """What a champion takes and returns.

    Attributes:
        backend: The Keras backend that trained it, used where none has been chosen.
        classes: Names of the classes in order of their numbers; empty for regression.
        columns: Input columns of a table, in order; empty if a row is one array.
        input_shape: Shape of one row.
        categories: Column → texts of the categories in the study's data.
        packed: Whether the number columns of a table are one input, :data:`NUMBERS`.
        in_order: Whether the model takes its inputs as a list, in the order of the columns.
        dtype: Of an array's values.
        value_range: Smallest and largest value of the study's array; None for a table.
        words: Word numbers of an array are below this; None for other arrays.
        modules: The user's modules that are shipped with the model and hold what is not Keras' own; often none.
        names: What is not Keras' own.
        labels: Whether `classes` are labels, of which a row may have any number.
        logits: Whether the model of classes or labels returns logits; None if that is not known, as of older champions:
            then all rows that are predicted together tell.
        unit: What the training targets of regression were divided by; None for nothing.
        outputs: The outputs of a model that has several; else empty.
    """

    backend: str
    classes: Sequence[str]
    columns: Sequence[Column]
    input_shape: Sequence[int]
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    packed: bool = False
    in_order: bool = False
    dtype: str = "float32"
    value_range: Sequence[float] | None = None
    words: int | None = None
    modules: Sequence[str] = ()
    names: Sequence[str] = ()
    labels: bool = False
    logits: bool | None = None
    unit: float | None = None
    outputs: Sequence[OutputCard] = ()


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
            data: For a model of a table, a table with its columns; others are ignored. For a model of several inputs, a
                dict of them, a table whose cells are arrays, or, if they have no names, a list. For a model of arrays,
                an array of shape ``(n_rows, *input_shape)``, or a table with as many columns of numbers as a row has
                values.

        Returns:
            One row per row, with the index of a table that is given: ``prediction`` (a class name, or a number in the
            data's own unit), and for classes ``probability`` and one column ``p(<class>)`` each. For labels, one column
            of each with true or false, and one with its probability. Of several outputs, each has such columns, called
            after the output.

        Raises:
            RowsError: The rows are not what the model takes.
        """
        table = table_of(data, self.card) if self.card.columns else data
        predicted = self.predict_inputs(model_inputs(table, self.card))
        return predicted.set_index(table.index) if isinstance(table, pd.DataFrame) else predicted

    def predict_inputs(self, inputs: Inputs) -> pd.DataFrame:
        """Predict what :func:`model_inputs` has made of raw rows."""
        rows = len(next(iter(inputs.values()))) if isinstance(inputs, dict) else len(inputs)
        given = [*inputs.values()] if self.card.in_order and isinstance(inputs, dict) else inputs
        output = self.model.predict(given, batch_size=_BATCH, verbose=0)
        if self.card.outputs or not isinstance(output, np.ndarray):
            names, own = [one.name for one in self.card.outputs], list(getattr(self.model, "output_names", None) or ())
            return outputs_table(by_name(output, names, own), self.card.outputs, pd.RangeIndex(rows))
        predicted = np.asarray(output)
        if self.card.labels:
            return labels_table(predicted, self.card.classes, pd.RangeIndex(rows), self.card.logits)
        predicted = amounts(predicted, self.card.unit)
        return predictions_table(predicted, self.card.classes, pd.RangeIndex(rows), self.card.logits)


def table_of(data: "pd.DataFrame | ArrayLike | Mapping[str, ArrayLike]", card: Card) -> pd.DataFrame:
    """Raw rows as a table, whose cells may be arrays.

    Raises:
        RowsError: Inputs in order are not as many as the model takes.
    """
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Mapping):
        return as_table(data)
    if not card.in_order:
        return pd.DataFrame(data)
    several = data if isinstance(data, list | tuple) else [data]
    if len(several) != len(card.columns):
        raise RowsError(
            f"the model takes {len(card.columns)} inputs in order, but got {len(several)}",
            code="missing-columns",
            hint="give a list of them, such as [images, numbers]",
            missing=tuple(column.name for column in card.columns[len(several) :]),
        )
    return as_table({column.name: one for column, one in zip(card.columns, several, strict=True)})


def model_inputs(data: "pd.DataFrame | ArrayLike | Mapping[str, ArrayLike]", card: Card) -> Inputs:
    """Raw rows as the Keras model takes them; see :meth:`Predictor.predict`.

    A category that the study's data do not have is predicted as an unknown one, with a warning.

    Raises:
        RowsError: The rows are not what the model takes.
    """
    inputs: Inputs
    if card.columns:
        assert isinstance(data, pd.DataFrame)
        inputs, rows = _table_inputs(data, card), len(data)
    else:
        inputs = _array_inputs(data, card)
        rows = len(inputs)
    if rows == 0:
        raise RowsError("there are no rows to predict", code="no-rows")
    return inputs


def _table_inputs(table: pd.DataFrame, card: Card) -> dict[str, NDArray[np.generic]]:
    inputs = table_inputs(table, card.columns)
    for column in card.columns:
        if column.name in card.categories:
            _warn_of_unknown(table[column.name], column, card.categories[column.name])
    return packed(inputs, card.columns) if card.packed else inputs


def _warn_of_unknown(values: "pd.Series[str]", column: Column, known: Sequence[str]) -> None:
    texts = list(category_texts(values, column))
    met = {None, *known}
    unknown = [row for row, text in enumerate(texts) if text not in met]
    if unknown:
        first = str(texts[unknown[0]])
        other = other_spelling(first, known)
        shown, written = repr(first[:80]), ""
        if other is not None:
            shown, there = told_apart(first, other)
            written = f" (there it is {there})"
        warnings.warn(
            f"column {column.name!r}: {len(unknown)} of {len(texts)} rows have categories that the study's data do not "
            f"have, such as {shown} in row {unknown[0]}{written}; the model treats them as unknown",
            RowsWarning,
            stacklevel=4,
        )


def _array_inputs(data: "pd.DataFrame | ArrayLike | Mapping[str, ArrayLike]", card: Card) -> NDArray[np.generic]:
    shape = tuple(card.input_shape)
    rows = _numbers_of(data, shape) if isinstance(data, pd.DataFrame) else np.asarray(data)
    if rows.ndim == 1 and shape == (1,):
        rows = rows.reshape(-1, 1)
    if rows.ndim == 0 or rows.shape[1:] != shape or rows.dtype.kind not in "biuf":
        raise RowsError(
            f"the rows have shape {rows.shape} and dtype {rows.dtype}, but the model takes rows of numbers of shape "
            f"{shape}",
            code="wrong-shape",
            hint="a single row needs an axis of rows too: x[None]" if rows.shape == shape else "",
            found=rows.shape,
            wanted=shape,
            dtype=str(rows.dtype),
        )
    with np.errstate(over="ignore"):
        missing = ~np.isfinite(rows.astype(np.float32)) if rows.dtype.kind == "f" else np.zeros(rows.shape, dtype=bool)
    if bad := int(missing.sum()):
        first = tuple(int(i) for i in np.argwhere(missing)[0])
        raise RowsError(
            f"{bad} value{'s are' if bad > 1 else ' is'} missing or infinite in float32, the first at {first}",
            code="not-finite",
            hint="fill them first; the largest float32 is 3.4e38",
            count=bad,
            first=first,
        )
    return _like_training(rows, card) if rows.size else rows


def _numbers_of(table: pd.DataFrame, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if not len(table):
        raise RowsError("there are no rows to predict", code="no-rows")
    numbers, count = table.select_dtypes("number"), int(np.prod(shape))
    if numbers.shape[1] != count:
        others = [str(name) for name in table.columns if name not in numbers.columns]
        more = f" (besides {', '.join(others[:5])}: no numbers)" if others else ""
        raise RowsError(
            f"the table has {numbers.shape[1]} columns of numbers{more}, but the model takes {count} numbers per row "
            f"(shape {shape})",
            code="wrong-shape",
            hint="give one column per value in the order of the data, and nothing else; or an array",
            found=(numbers.shape[1],),
            wanted=shape,
        )
    return np.asarray(numbers).reshape(len(table), *shape)


def _like_training(rows: NDArray[np.generic], card: Card) -> NDArray[np.generic]:
    """Rows in the model's dtype. Values of another scale than the study's would be predicted without a word."""
    low, high = card.value_range or (-np.inf, np.inf)
    wanted = np.dtype(card.dtype)
    smallest, largest = rows.min(), rows.max()
    whole = wanted.kind in "iu"
    fits = True
    if whole:
        limits = np.iinfo(wanted)
        low, high = (0, card.words - 1) if card.words is not None else (low, high)
        least, most = (0, high) if card.words is not None else (limits.min, limits.max)
        fits = least <= smallest and largest <= most and bool((rows == np.floor(rows)).all())
    if card.words is None and rows.dtype.kind in "iu" and len(card.input_shape) > 1:
        # Pixels from 0 to 1, and then from 0 to 255. The values of a table's columns may well exceed those of training.
        fits = fits and float(max(abs(smallest), abs(largest))) <= 10 * max(abs(low), abs(high), 0.1)
    if fits:
        return rows.astype(wanted, copy=False) if whole or rows.dtype.kind == "b" else rows
    kind = "whole numbers" if whole else "numbers"
    raise RowsError(
        f"the rows have values from {smallest:g} to {largest:g} ({rows.dtype}), but the model was trained on {kind} "
        f"from {low:g} to {high:g} ({wanted})",
        code="other-values",
        hint="give the rows on the scale of the study's data",
        found=(float(smallest), float(largest)),
        wanted=(float(low), float(high)),
        dtype=str(rows.dtype),
    )


def _load_pyfunc(path: str) -> Predictor:
    """Called by ``mlflow.pyfunc.load_model``.

    Args:
        path: The model's data folder.
    """
    folder = Path(path)
    fields = json.loads((folder / CARD).read_text(encoding="utf-8"))
    parts = {"columns": [Column(**one) for one in fields["columns"]]}
    card = Card(**{**fields, **parts, "outputs": [OutputCard(**one) for one in fields.get("outputs", ())]})
    if "keras" not in sys.modules:
        # The model's requirements hold this backend alone, and Keras' default may be another one.
        os.environ.setdefault("KERAS_BACKEND", card.backend)
    import keras

    with _importing(folder.parents[1] / "code", card.modules) as modules:
        objects = dict(_custom_objects(card.names, modules))
        # A lambda's code is in the file, as the modules' is beside it. Compiling would ask for the user's losses too.
        safe = LAMBDA not in card.names
        model = keras.saving.load_model(folder / MODEL, custom_objects=objects, compile=False, safe_mode=safe)
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
