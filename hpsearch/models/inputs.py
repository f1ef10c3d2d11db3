"""Raw rows to model inputs: preprocessing as stock Keras layers, adapted on the training rows of one fold."""

import keras
import numpy as np

from hpsearch.data.dataset import Array, TrainingData

Encoded = tuple[keras.KerasTensor | dict[str, keras.KerasTensor], keras.KerasTensor]


def encode(data: TrainingData) -> Encoded:
    """Inputs for raw rows, and the tensor that they become.

    Returns:
        The input (one per column for a table), and a float32 tensor ``(batch, …)``.
    """
    if isinstance(data.x, dict):
        raise NotImplementedError
    return encode_array(data.x, data.extra.get("scale"))


def encode_array(x: Array, scale: object = None) -> Encoded:
    """Pixels (uint8) are divided by their largest value, other numbers standardised on the rows given."""
    dtype = "uint8" if x.dtype == np.uint8 else "float32"
    inputs = keras.Input(x.shape[1:], dtype=dtype, name="rows")
    if dtype == "uint8":
        top = float(scale) if isinstance(scale, int | float) else 255.0
        return inputs, keras.layers.Rescaling(1.0 / top, name="rescaling")(inputs)
    # Columns of a table differ in unit; the values of an image or signal share one.
    layer = keras.layers.Normalization(axis=-1 if x.ndim == 2 else None, name="normalization")
    layer.adapt(np.asarray(x, dtype=np.float32))
    return inputs, layer(inputs)


def flat(x: keras.KerasTensor) -> keras.KerasTensor:
    """Rows as vectors."""
    return x if len(x.shape) == 2 else keras.layers.Flatten(name="flatten")(x)
