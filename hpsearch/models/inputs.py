"""Raw rows to model inputs: preprocessing as stock Keras layers, adapted on the training rows of one fold.

Only ``Normalization`` has adapted state. All classes are Keras' own, so a saved model loads without hpsearch, on
TensorFlow and on JAX.
"""

from collections.abc import Callable, Mapping

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hpsearch.data.dataset import Array, TrainingData
from hpsearch.errors import ModelError
from hpsearch.portable.columns import NUMBERS, Column

Encoded = tuple[keras.KerasTensor | dict[str, keras.KerasTensor], keras.KerasTensor]
"""A model's inputs (one tensor, or one per column) and the tensor that they become."""

Change = Callable[[keras.KerasTensor], keras.KerasTensor]
"""What is done to a tensor."""

NO_CODE = -2.0
"""Stands in a one-hot row where there is no category; codes are -1 … 2**24 - 1."""

WIDTH_STEP = 4
"""One-hot widths are multiples of this, so that folds without a rare category mostly keep the same shape."""


def _unchanged(x: keras.KerasTensor) -> keras.KerasTensor:
    return x


def encode(data: TrainingData, *, first: Change = _unchanged) -> Encoded:
    """Inputs for raw rows, and the float32 tensor that they become.

    - Images (uint8) are divided by their largest value.
    - Other numbers are standardized; a constant column is only centered.
    - Empty cells of a table become the column's mean.
    - Categories become one-hot rows, all zero for a category that is not in the training rows.

    Args:
        data: Rows of one fold.
        first: What happens to raw arrays before that.

    Raises:
        ModelError: The rows are texts, which :func:`word_layer` takes.
    """
    if isinstance(data.x, tuple):
        raise ModelError(
            f"{len(data.x)} inputs in order cannot be encoded as one",
            code="inputs-without-names",
            hint="return a dict of inputs from the source, or encode each of data.x",
        )
    if isinstance(data.x, Mapping):
        return encode_table(data.x, data.columns)
    if is_text(data):
        raise ModelError(
            "rows of word numbers need a family whose first layer takes words",
            code="no-word-layer",
            hint='use [model] family = "mlp"',
        )
    return encode_array(data.x, pixel_top(data), first=first)


def is_text(data: TrainingData) -> bool:
    """Whether rows are word numbers (``keras:imdb``, ``keras:reuters``)."""
    return "words" in data.extra


def pixel_top(data: TrainingData) -> float | None:
    """The largest value that a pixel can have; None if the rows are no pixels."""
    if not isinstance(data.x, np.ndarray) or data.x.dtype != np.uint8:
        return None
    scale = data.extra.get("scale")
    return float(scale) if isinstance(scale, int | float) else 255.0


def encode_array(x: Array, top: float | None = None, *, first: Change = _unchanged) -> Encoded:
    """One input of shape ``(batch, …)``; pixels (uint8) are divided by `top`, by default 255."""
    if x.dtype == np.uint8:
        inputs = keras.Input(x.shape[1:], dtype="uint8", name="rows")
        return inputs, keras.layers.Rescaling(1.0 / (top or 255.0), name="rescaling")(first(inputs))
    inputs = keras.Input(x.shape[1:], dtype="float32", name="rows")
    # Columns have different units. The values of an image or a signal share one.
    axis = -1 if x.ndim == 2 else None
    mean, variance = moments(x, axis=0 if x.ndim == 2 else None)
    return inputs, normalization("normalization", first(inputs), mean, variance, axis=axis)


def encode_table(x: Mapping[str, Array], columns: tuple[Column, ...]) -> Encoded:
    """One input of shape ``(batch, 1)`` per column: float32 for numbers, int32 for category codes. An input whose rows
    are arrays has their shape and dtype, and becomes a vector: pixels divided by 255, other numbers standardized.

    The number columns of a wide table are one input of shape ``(batch, n_columns)``, called ``NUMBERS``.
    """
    if texts := [one.name for one in columns if one.kind == "text"]:
        raise ModelError(
            f"column {texts[0]!r} is free text, which needs layers of its own",
            code="free-text",
            hint="write a build function with keras.layers.TextVectorization, or leave the column out: [data] ignore",
            column=texts[0],
        )
    numbers = [one.name for one in columns if one.kind == "number"]
    parts = []
    if NUMBERS in x and x[NUMBERS].ndim == 2:
        values = x[NUMBERS]
        inputs = {NUMBERS: keras.Input((values.shape[1],), dtype="float32", name=NUMBERS)}
        inputs |= {one.name: _input(one) for one in columns if one.kind != "number"}
        parts.append(_standardized(inputs[NUMBERS], values))
    else:
        inputs = {one.name: _input(one) for one in columns}
        if numbers:
            values = np.stack([x[name] for name in numbers], axis=1)
            parts.append(_standardized(_joined([inputs[name] for name in numbers]), values))
    parts += [_one_hot(inputs[one.name], x[one.name], one.name) for one in columns if one.kind == "category"]
    parts += [_vector(inputs[one.name], x[one.name], one.name) for one in columns if one.kind == "array"]
    return inputs, _joined(parts)


_DTYPES = {"number": "float32", "category": "int32"}


def _input(column: Column) -> keras.KerasTensor:
    return keras.Input(tuple(column.shape) or (1,), dtype=_DTYPES.get(column.kind, column.dtype), name=column.name)


def _vector(x: keras.KerasTensor, values: Array, name: str) -> keras.KerasTensor:
    """An input of arrays as one vector per row."""
    if values.dtype == np.uint8:
        scaled = keras.layers.Rescaling(1 / 255, name=f"{name}_rescaling")(x)
    else:
        columns = values.ndim == 2
        mean, variance = moments(values, axis=0 if columns else None)
        numbers = ops.cast(x, "float32")
        scaled = normalization(f"{name}_normalization", numbers, mean, variance, axis=-1 if columns else None)
    return scaled if values.ndim == 2 else keras.layers.Flatten(name=f"{name}_flatten")(scaled)


def _joined(parts: list[keras.KerasTensor]) -> keras.KerasTensor:
    return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _standardized(x: keras.KerasTensor, values: Array) -> keras.KerasTensor:
    standard = normalization("normalization", x, *moments(values, axis=0), axis=-1)
    return ops.nan_to_num(standard, nan=0.0)  # standardized, the mean is 0


def moments(values: Array, *, axis: int | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance without NaN: 0 and 1 if there is no value, and variance 1 if all values are equal.

    ``Normalization`` divides by at least 1e-7, so that a constant column would turn another value into millions.
    """
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=axis), 1)
    mean = np.where(known, values, 0.0).sum(axis=axis) / count
    variance = np.where(known, (values - mean) ** 2, 0.0).sum(axis=axis) / count
    tiny = variance <= 1e-12 * mean**2  # equal but for rounding
    usable = np.where(tiny | (variance == 0), 1.0, variance)
    return np.asarray(mean, np.float32), np.asarray(usable, np.float32)


def normalization(
    name: str,
    x: keras.KerasTensor,
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    *,
    axis: int | None,
) -> keras.KerasTensor:
    """Apply a ``Normalization`` layer with the given adapted state."""
    layer = keras.layers.Normalization(axis=axis, dtype="float32", name=name)
    result = layer(x)
    layer.set_weights([mean, variance, np.zeros((), dtype=layer.weights[2].dtype)])
    layer.finalize_state()
    return result


def _one_hot(x: keras.KerasTensor, codes: Array, name: str) -> keras.KerasTensor:
    """A column of codes as a one-hot row over the categories in the training rows.

    The codes of those categories are the ``mean`` of a ``Normalization`` with variance 1. It subtracts them, and 0
    remains at the row's own category. (Keras' lookup layers need TensorFlow, and JAX cannot compile them.)
    """
    met = np.unique(codes).astype(np.float32)
    codes_in_order = np.full(-(-len(met) // WIDTH_STEP) * WIDTH_STEP, NO_CODE, dtype=np.float32)
    codes_in_order[: len(met)] = met
    wide = ops.repeat(ops.cast(x, "float32"), len(codes_in_order), axis=1)
    away = normalization(f"{name}_codes", wide, codes_in_order, np.ones_like(codes_in_order), axis=-1)
    return ops.cast(ops.equal(away, 0.0), "float32")


def word_layer(
    data: TrainingData, units: int, *, use_bias: bool = True, regularizer: keras.regularizers.Regularizer | None = None
) -> Encoded:
    """Input for rows of word numbers, and what a Dense layer of `units` makes of their multi-hot rows.

    A Dense layer on a multi-hot row sums its kernel's rows for the words in the text. An ``Embedding`` holds the same
    kernel, and the sum is taken directly, so there is never a multi-hot matrix. One more row, part of every text, is
    the bias. Weights and gradients are those of ``Dense(units)``, but a `regularizer` counts the bias, too.
    """
    words = int(data.extra["words"])  # type: ignore[call-overload]
    inputs = keras.Input(data.input_shape, dtype="uint16", name="rows")
    numbers = ops.cast(inputs, "int32")
    if use_bias:
        numbers = ops.pad(numbers, ((0, 0), (0, 1)), constant_values=words)
    kernel = keras.layers.Embedding(
        words + use_bias,
        units,
        embeddings_initializer="glorot_uniform",
        embeddings_regularizer=regularizer,
        name="words",
    )(numbers)
    there = ops.cast(ops.not_equal(numbers, 0), "float32")
    return inputs, ops.einsum("bw,bwu->bu", there, kernel)


def flat(x: keras.KerasTensor) -> keras.KerasTensor:
    """Rows as vectors."""
    return x if len(x.shape) == 2 else keras.layers.Flatten(name="flatten")(x)
