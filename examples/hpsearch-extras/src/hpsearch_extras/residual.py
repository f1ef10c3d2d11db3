"""The build function of the family ``residual``. Only workers import this module."""

import keras

from hpsearch.core.space import Config
from hpsearch.data.dataset import TrainingData
from hpsearch.models.inputs import encode, flat
from hpsearch.models.training import output_layer


def build(config: Config, data: TrainingData) -> keras.Model:
    """``blocks`` times: Dense, activation, dropout, and the block's input added to it.

    The model is not compiled here. hpsearch compiles it with the optimizer of the config and the loss of the task.
    """
    inputs, x = encode(data)  # raw rows in; preprocessing is part of the model, adapted to the training rows
    units, activation = int(config["units"]), str(config["activation"])
    x = keras.layers.Dense(units, activation=activation)(flat(x))
    for _ in range(int(config["blocks"])):
        block = keras.layers.Dense(units, activation=activation)(x)
        block = keras.layers.Dropout(float(config["dropout"]))(block)
        x = keras.layers.Add()([x, block])
    return keras.Model(inputs, output_layer(data)(x), name="residual")
