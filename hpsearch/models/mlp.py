"""Dense layers on images, arrays, tables or texts: the documents' densely connected networks."""

import keras

from hpsearch.data.dataset import TrainingData
from hpsearch.models.inputs import encode, flat
from hpsearch.models.training import output_layer
from hpsearch.space import Config


def build(config: Config, data: TrainingData) -> keras.Model:
    """``layers`` hidden Dense layers of ``units``, each followed by batch normalisation and dropout if asked for.

    ``units_2``, ``dropout_2`` … set a layer apart from the first. Rows of word numbers enter as their multi-hot sum.
    """
    inputs, x = encode(data)
    x = flat(x)
    for number in range(1, int(config.get("layers", 2)) + 1):
        x = hidden_layer(x, config, number)
    return keras.Model(inputs, output_layer(data)(x), name="mlp")


def hidden_layer(x: keras.KerasTensor, config: Config, number: int) -> keras.KerasTensor:
    """Dense, then batch normalisation, activation and dropout."""
    units = int(config.get(f"units_{number}", config.get("units", 64)))
    rate = float(config.get(f"dropout_{number}", config.get("dropout", 0.0)))
    activation = str(config.get("activation", "relu"))
    if config.get("batch_norm", False):
        x = keras.layers.Dense(units, use_bias=False, name=f"dense_{number}")(x)
        x = keras.layers.BatchNormalization(name=f"batch_norm_{number}")(x)
        x = keras.layers.Activation(activation, name=f"activation_{number}")(x)
    else:
        x = keras.layers.Dense(units, activation=activation, name=f"dense_{number}")(x)
    # A rate of 0 keeps the layer: configs that differ in rates only stay one program for the fused engine.
    return keras.layers.Dropout(rate, name=f"dropout_{number}")(x)
