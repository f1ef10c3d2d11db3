"""A loss of amounts in standard deviations from their mean, which a layer of the model knows."""

from typing import Any

import keras
from keras import ops


class StandardizedLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras is untyped
    """The loss of targets and predictions after both are standardized.

    It reads the moments where the layer keeps them, in its variables: every lane of a fused program has its own.

    Args:
        given: A loss as ``keras.Model.compile`` takes it, of one output.
        layer: ``keras.layers.Normalization(invert=True)``, the last one of the model.
    """

    def __init__(self, given: Any, layer: keras.layers.Normalization) -> None:
        found = keras.losses.get(given)
        is_loss = isinstance(found, keras.losses.Loss)
        super().__init__(
            name=found.name if is_loss else "standardized_loss",
            reduction=found.reduction if is_loss else "sum_over_batch_size",
            dtype="float32",  # in half precision, the difference of two amounts would be lost
        )
        self.given, self.layer = given, layer
        self._of_rows = found.call if is_loss else found

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row."""
        if len(y_true.shape) == len(y_pred.shape) - 1:
            y_true = ops.expand_dims(y_true, -1)
        return self._of_rows(self._standard(y_true), self._standard(y_pred))

    def _standard(self, amounts: Any) -> Any:
        layer = self.layer
        deviation = ops.maximum(ops.sqrt(layer.adapt_variance), keras.config.epsilon())
        return (amounts - layer.adapt_mean) / deviation
