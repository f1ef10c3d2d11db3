"""Values over all rows of a part at once, for metrics and losses that are not means over rows.

Keras averages a metric function over batches: the F1 of 4 rows, averaged, is not the F1 of all rows, and it depends on
the batch size. What counts in a search is computed once over all predictions.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np

from hpsearch.data.dataset import Part, keras_inputs, keras_targets
from hpsearch.keras_internals.compiled import has_own_loss, loss_over_batches, metrics_over_batches, output_losses

_PREDICTED = 256
"""Rows per step of prediction: it has no influence on results, only on speed."""

_LOSS_ROWS = 8192
"""Rows over which a loss is computed at once. One that compares all pairs of rows would not fit into memory else."""


def over_all_rows(
    model: keras.Model,
    part: Part,
    logged: Mapping[str, float],
    *,
    batch: int,
    prefix: str = "",
    watch: Callable[[Any, Collection[str]], Mapping[str, float]] | None = None,
) -> dict[str, float]:
    """What Keras logs of an evaluation, with the values over all rows in place of those averaged over batches.

    Args:
        model: Compiled; it has evaluated `part`. One with a ``test_step`` of its own measures as it likes.
        part: The rows.
        logged: What Keras logged.
        batch: Rows per batch of that evaluation.
        prefix: Of the names in `logged`, such as ``val_``.
        watch: Sees the predictions and the names in `logged`; what it returns comes in addition.
    """
    measures_itself = type(model).test_step is not keras.Model.test_step
    names = () if measures_itself else tuple(one.name for one in metrics_over_batches(model))
    own_loss = not measures_itself and loss_over_batches(model)
    if not (names or own_loss or watch):
        return dict(logged)
    inputs = keras_inputs(part.x)
    predicted = model.predict(inputs, batch_size=_PREDICTED, verbose=0)
    found = dict(logged)
    if watch:
        found |= watch(predicted, logged.keys())
    if names:
        values = metrics_of(model, part.y, predicted, part.weights)
        found |= {f"{prefix}{name}": value for name, value in values.items() if _is_one_of(name, names)}
    if own_loss and f"{prefix}loss" in found and has_own_loss(model):  # which may look at the inputs
        targets, rows = keras_targets(part.y), min(len(part), _LOSS_ROWS)
        values = model.evaluate(
            inputs, targets, sample_weight=part.weights, batch_size=rows, verbose=0, return_dict=True
        )
        found[f"{prefix}loss"] = float(values["loss"])
    elif own_loss and f"{prefix}loss" in found:
        # Penalties are in both means, and so cancel out.
        size = len(part)
        whole = _mean_loss(model, part, predicted, rows=min(size, _LOSS_ROWS))
        found[f"{prefix}loss"] += whole - _mean_loss(model, part, predicted, rows=min(size, batch))
    return found


def metrics_of(model: keras.Model, y: Any, predicted: Any, weights: Any = None) -> dict[str, float]:
    """All compiled metrics of some predictions that are one number, taken as one batch. Losses are not among them.

    Args:
        model: Compiled, its metrics built.
        y: Targets.
        predicted: Predictions of the same rows.
        weights: How much each row counts in weighted metrics.
    """
    losses = {"loss", *(one.name for one in output_losses(model))}
    model.reset_metrics()
    try:
        values = model.compute_metrics(None, *_tensors(y, predicted, weights))
        return {name: float(value) for name, value in values.items() if name not in losses and not np.ndim(value)}
    finally:
        model.reset_metrics()


def losses_of(model: keras.Model, y: Any, predicted: Any, weights: Any = None) -> dict[str, float]:
    """The compiled loss of some predictions, taken as one batch, penalties included, and those of several outputs.

    The arguments are those of :func:`metrics_of`.
    """
    model.reset_metrics()
    try:
        whole = float(model.compute_loss(None, *_tensors(y, predicted, weights), training=False))
        return {"loss": whole, **{one.name: float(one.result()) for one in output_losses(model)}}
    finally:
        model.reset_metrics()


def _mean_loss(model: keras.Model, part: Part, predicted: Any, *, rows: int) -> float:
    """As Keras averages the loss over batches of `rows` rows: weighted by their rows."""
    total = 0.0
    for start in range(0, len(part), rows):
        some = slice(start, start + rows)
        weights = None if part.weights is None else part.weights[some]
        outputs = keras.tree.map_structure(lambda one, at=some: one[at], predicted)
        total += losses_of(model, part.y[some], outputs, weights)["loss"] * len(part.y[some])
    return total / len(part)


def _tensors(y: Any, predicted: Any, weights: Any) -> tuple[Any, Any, Any]:
    convert = keras.ops.convert_to_tensor
    targets, outputs = keras.tree.map_structure(convert, (keras_targets(np.asarray(y)), predicted))
    return targets, outputs, None if weights is None else convert(np.asarray(weights))


def _is_one_of(name: str, metrics: tuple[str, ...]) -> bool:
    """Whether `name` is a metric's. With several outputs, the output's name comes first."""
    return name in metrics or name.endswith(tuple(f"_{one}" for one in metrics))
