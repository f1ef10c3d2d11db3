"""A loss of amounts in standard deviations from their mean, which a layer of the model knows."""

from typing import Any

import keras
from keras import ops

_OF_DIFFERENCES = frozenset(
    {
        keras.losses.mean_squared_error,
        keras.losses.mean_absolute_error,
        keras.losses.huber,
        keras.losses.log_cosh,
    }
)
"""Keras' own losses that mean the same of standardized amounts. Others need amounts above 0, or shares."""


def refused_of(given: Any) -> str:
    """Why a loss cannot be of standardized amounts; empty if it can, or is the user's own to judge."""
    found = keras.losses.get(given)
    if isinstance(found, keras.losses.Loss):
        if type(found).__call__ is not keras.losses.Loss.__call__:
            return "reduces the rows by a __call__ of its own"
        function, of_keras = getattr(found, "fn", None), type(found).__module__.startswith("keras.")
    else:
        function, of_keras = found, str(getattr(found, "__module__", "")).startswith("keras.")
    if not of_keras or function in _OF_DIFFERENCES:
        return ""
    if function is None or not str(getattr(function, "__module__", "")).startswith("keras."):
        return ""  # a wrapper of Keras around the user's own
    return "is not one of differences: of Keras' losses, these are mse, mae, huber and log_cosh"


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
