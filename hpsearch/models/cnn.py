"""The family ``cnn``: convolution, pooling and dropout on images."""

import keras

from hpsearch.core.space import Config
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError
from hpsearch.models.augmentation import augmented
from hpsearch.models.blocks import penalized, with_shortcut
from hpsearch.models.inputs import encode, pixel_top
from hpsearch.models.training import output_layer
from hpsearch.spec.families import AUGMENTATIONS


def build(config: Config, data: TrainingData) -> keras.Model:
    """``blocks`` of convolutions, pooling and dropout, then one Dense layer and the output.

    Each block has ``convolutions`` layers of ``filters`` (doubled from block to block) with ``kernel_size``, then 2 × 2
    max pooling and dropout of rate ``dropout``. The Dense layer has ``dense_units`` and dropout ``dense_dropout``. With
    ``residual``, the input of each block is added to what its convolutions make of it. ``l1`` and ``l2`` penalize all
    kernels. See :func:`~hpsearch.models.augmentation.augmented` for what happens to images in training.

    Raises:
        ModelError: Rows are not images, or are too small for so many blocks; ``residual`` without their border.
    """
    if config.get("residual", False) and config.get("padding", "same") != "same":
        raise ModelError(
            "residual = true with padding = 'valid': a block's output is smaller than its input, so they have no sum",
            code="residual-needs-same",
            hint='use padding = "same", or residual = { values = [true, false], when = { padding = ["same"] } }',
            padding=config["padding"],
        )
    top = pixel_top(data)
    inputs, x = encode(data, first=lambda raw: _changed(raw, config, top))
    x = _as_images(x)
    for block in range(1, int(config.get("blocks", 1)) + 1):
        if min(x.shape[1:3]) < 2:
            raise ModelError(
                f"blocks = {config.get('blocks')}, but images of shape {data.input_shape} have room for {block - 1}",
                code="too-many-blocks",
                hint="lower blocks in [space]",
                blocks=config.get("blocks"),
                shape=data.input_shape,
                most=block - 1,
            )
        x = _block(x, config, block)
    x = keras.layers.Flatten(name="flatten")(x)
    dense = keras.layers.Dense(int(config.get("dense_units", 128)), **_bias(config), **penalized(config), name="dense")
    x = _activated(dense(x), config)
    x = keras.layers.Dropout(float(config.get("dense_dropout", 0.0)), name="dense_dropout")(x)
    return keras.Model(inputs, output_layer(data, config)(x), name="cnn")


def _changed(raw: keras.KerasTensor, config: Config, top: float | None) -> keras.KerasTensor:
    """Raw images as they are in training."""
    if not any(name in config for name in AUGMENTATIONS):
        return raw
    return augmented(_as_images(raw), config, top=top)


def _as_images(x: keras.KerasTensor) -> keras.KerasTensor:
    """Shape ``(batch, height, width, channels)``; grayscale images get their one channel."""
    shape = x.shape[1:]
    if len(shape) == 2:
        return keras.layers.Reshape((*shape, 1), name="channel")(x)
    if len(shape) == 3:
        return x
    raise ModelError(
        f"the family cnn needs images, (height, width) or (height, width, channels), but a row has shape {shape}",
        code="not-images",
        hint='use [model] family = "mlp"',
        shape=tuple(shape),
    )


def _block(x: keras.KerasTensor, config: Config, block: int) -> keras.KerasTensor:
    filters = int(config.get("filters", 32)) * 2 ** (block - 1)
    size, count = int(config.get("kernel_size", 3)), int(config.get("convolutions", 1))
    before, residual = x, bool(config.get("residual", False))
    # Small images keep their border, so that several blocks fit.
    for number in range(1, count + 1):
        name = f"conv_{block}_{number}"
        layer = keras.layers.Conv2D(
            filters, size, padding=str(config.get("padding", "same")), **_bias(config), **penalized(config), name=name
        )
        x = _normalized(layer(x), config)
        if not residual or number < count:
            x = _activation(config)(x)
    if residual:  # as in ResNet: what the last convolution adds may be negative
        x = _activation(config)(with_shortcut(before, x, config, str(block)))
    x = keras.layers.MaxPooling2D(name=f"pool_{block}")(x)
    return keras.layers.Dropout(float(config.get("dropout", 0.25)), name=f"dropout_{block}")(x)


def _activated(x: keras.KerasTensor, config: Config) -> keras.KerasTensor:
    return _activation(config)(_normalized(x, config))


def _normalized(x: keras.KerasTensor, config: Config) -> keras.KerasTensor:
    return keras.layers.BatchNormalization()(x) if config.get("batch_norm", False) else x


def _activation(config: Config) -> keras.layers.Layer:
    return keras.layers.Activation(str(config.get("activation", "relu")))


def _bias(config: Config) -> dict[str, bool]:
    return {"use_bias": not config.get("batch_norm", False)}
