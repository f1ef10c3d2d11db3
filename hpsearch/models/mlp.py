"""The family ``mlp``: dense layers on images, arrays, tables or texts."""

import keras

from hpsearch.core.space import Config
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError
from hpsearch.models.blocks import penalized, penalty, with_shortcut
from hpsearch.models.inputs import encode, flat, is_text, word_layer
from hpsearch.models.training import output_layer


def build(config: Config, data: TrainingData) -> keras.Model:
    """``layers`` hidden Dense layers of ``units``, each followed by batch normalization and dropout if asked for.

    ``units_2``, ``dropout_2`` and so on override the value for one layer. Without hidden layers, the model is linear.
    With ``residual``, every hidden layer but the first adds its input to its output. ``l1`` and ``l2`` penalize all
    kernels. Rows of word numbers enter as multi-hot rows.

    Raises:
        ModelError: ``layers`` is 0 with rows of word numbers.
    """
    layers = int(config.get("layers", 2))
    first = 1
    if is_text(data):
        if "sequences" in data.extra:
            raise ModelError(
                "the family mlp takes texts as sets of words, but the rows are sequences",
                code="takes-word-sets",
                hint="drop the option sequences; a build function of your own can take sequences",
            )
        if layers < 1:
            raise ModelError(
                f"rows of word numbers need layers >= 1, but got layers = {layers}",
                code="too-few-layers",
                hint="raise layers in [space]",
                layers=layers,
            )
        use_bias = not config.get("batch_norm", False)
        inputs, x = word_layer(data, _units(config, 1), use_bias=use_bias, regularizer=penalty(config))
        x = after_dense(x, config, 1)
        first = 2
    else:
        inputs, x = encode(data)
        x = flat(x)
    for number in range(first, layers + 1):
        before, x = x, dense(x, config, number)
        if config.get("residual", False) and number > 1:
            x = with_shortcut(before, x, config, str(number))
    return keras.Model(inputs, output_layer(data, config)(x), name="mlp")


def dense(x: keras.KerasTensor, config: Config, number: int) -> keras.KerasTensor:
    """One hidden layer with what follows it. Batch normalization has a shift of its own, so there is no bias."""
    use_bias = not config.get("batch_norm", False)
    layer = keras.layers.Dense(_units(config, number), use_bias=use_bias, name=f"dense_{number}", **penalized(config))
    return after_dense(layer(x), config, number)


def after_dense(x: keras.KerasTensor, config: Config, number: int) -> keras.KerasTensor:
    """Batch normalization if asked for, activation, dropout."""
    if config.get("batch_norm", False):
        x = keras.layers.BatchNormalization(name=f"batch_norm_{number}")(x)
    x = keras.layers.Activation(str(config.get("activation", "relu")), name=f"activation_{number}")(x)
    # A rate of 0 keeps the layer, so that configs that differ only in rates share a program of the fused engine.
    rate = float(config.get(f"dropout_{number}", config.get("dropout", 0.0)))
    return keras.layers.Dropout(rate, name=f"dropout_{number}")(x)


def _units(config: Config, number: int) -> int:
    return int(config.get(f"units_{number}", config.get("units", 64)))
