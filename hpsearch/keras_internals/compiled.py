"""What a model is compiled with: which of its metrics and losses look at a whole batch and not at its rows one by one.

Keras averages the results of a metric function over batches, and those of a loss function over batches weighted by
their rows. Both are means over rows only if the function gives a value for each row that depends on that row alone.
Keras' own metrics with a state, such as ``AUC`` and ``F1Score``, count over all batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from hpsearch.keras_internals.layers import set_untracked
from hpsearch.keras_internals.standardized_loss import StandardizedLoss

_OVER_BATCHES = frozenset({keras.losses.dice, keras.losses.tversky, keras.losses.circle})
"""Keras' own functions that give one value per batch, or whose rows act on each other."""


_OF_DIFFERENCES = frozenset(
    {
        keras.losses.mean_squared_error,
        keras.losses.mean_absolute_error,
        keras.losses.huber,
        keras.losses.log_cosh,
    }
)
"""Keras' own losses that mean the same of standardized amounts. Others need amounts above 0, or shares."""


def metrics_over_batches(model: keras.Model) -> tuple[keras.metrics.Metric, ...]:
    """The compiled metrics whose value may depend on the size of the batches: all that Keras cannot vouch for.

    Args:
        model: Compiled and built, with its metrics.
    """
    return tuple(one.metric for one in placed_metrics(model) if not _counts_rows(one.metric))


class Placed(NamedTuple):
    """A compiled metric.

    Attributes:
        metric: The metric.
        output: Number of the output that it is of, among all in Keras' order.
        weighted: Whether it is one of ``weighted_metrics``: Keras gives the others no sample weights.
    """

    metric: keras.metrics.Metric
    output: int
    weighted: bool


def placed_metrics(model: keras.Model) -> tuple[Placed, ...]:
    """The metrics that a model is compiled with, in Keras' order. It must be built."""
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return ()
    kinds = ((False, compiled._flat_metrics), (True, compiled._flat_weighted_metrics))
    return tuple(
        Placed(metric, output, weighted)
        for weighted, groups in kinds
        for output, group in enumerate(groups)
        for metric in (group.metrics if group else ())
    )


def outputs_in_order(model: keras.Model, values: Any) -> list[Any]:
    """Targets or predictions of each output, in the order of :attr:`Placed.output`."""
    compiled = getattr(model, "_compile_metrics", None)
    return keras.tree.flatten(values) if compiled is None else list(compiled._flatten_y(values))


def output_losses(model: keras.Model) -> tuple[keras.metrics.Metric, ...]:
    """The mean losses of each of several outputs; empty with one. Computing the loss updates them, not the metrics."""
    return tuple(getattr(getattr(model, "_compile_loss", None), "metrics", None) or ())


def has_own_loss(model: keras.Model) -> bool:
    """Whether the model's class computes its loss itself: it may need more than targets and predictions."""
    return type(model).compute_loss is not keras.Model.compute_loss


def loss_over_batches(model: keras.Model) -> bool:
    """Whether the compiled loss may depend on the size of the batches."""
    given = [one for one in keras.tree.flatten(getattr(model, "loss", None)) if one is not None]
    return has_own_loss(model) or not all(map(_is_per_row_loss, given))


def _counts_rows(metric: keras.metrics.Metric) -> bool:
    if not is_of_keras(type(metric)):
        return False
    if isinstance(metric, keras.metrics.MeanMetricWrapper):
        return _is_per_row(metric._fn, getattr(metric, "_fn_kwargs", {}))
    return True


def _is_per_row_loss(given: object) -> bool:
    if isinstance(given, str) and given.lower() in ("ce", "crossentropy"):
        return True
    if isinstance(given, StandardizedLoss):
        return _is_per_row_loss(given.given)
    loss = keras.losses.get(given)
    if not isinstance(loss, keras.losses.Loss):
        return _is_per_row(loss, {})
    function = getattr(loss, "fn", None)
    of_mean = loss.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight")
    if not (of_mean and is_of_keras(type(loss))) or isinstance(loss, keras.losses.Circle):
        return False
    return function is None or _is_per_row(function, getattr(loss, "_fn_kwargs", {}))


def _is_per_row(function: Callable[..., object], settings: dict[str, object]) -> bool:
    if isinstance(function, keras.losses.Loss):
        return False  # called as a metric, it gives the mean over the batch
    known = is_of_keras(function) and function not in _OVER_BATCHES
    return known and settings.get("axis", -1) not in (0, None)


def is_of_keras(found: object) -> bool:
    """Whether a class or a function is Keras' own."""
    return str(getattr(found, "__module__", "")).split(".")[0] == "keras"


def why_not_standardized(given: Any) -> str:
    """Why a loss cannot be of standardized amounts; empty if it can, or is the user's own to judge."""
    found = keras.losses.get(given)
    if isinstance(found, keras.losses.Loss) and type(found).__call__ is not keras.losses.Loss.__call__:
        return "reduces the rows by a __call__ of its own"
    function = getattr(found, "fn", None) if isinstance(found, keras.losses.Loss) else found
    if not is_of_keras(function) or function in _OF_DIFFERENCES:  # or a wrapper of Keras around the user's own
        return ""
    return "is not one of differences: of Keras' losses, these are mse, mae, huber and log_cosh"


def compile_like(model: keras.Model, like: keras.Model) -> None:
    """Compile a model with the loss and the metrics of another one, as they were given to its ``compile``.

    Args:
        model: Gets plain SGD, which keeps nothing for each weight: a loaded model may have forgotten which are frozen.
        like: Compiled with ``compile``. Both then share its metric objects, so it must not be used any more.
    """
    compile_as(model, optimizer="sgd", **compiled_with(like))


def compile_as(model: keras.Model, *, loss: Any, **given: Any) -> None:
    """Compile a model. The file that is made of it has no :class:`StandardizedLoss`, but the loss that it is made of.

    So Keras loads it without hpsearch.
    """
    model.compile(loss=loss, **given)
    if isinstance(loss, StandardizedLoss):
        as_compiled, plain = model.get_compile_config, keras.saving.serialize_keras_object(loss.given)
        set_untracked(model, "get_compile_config", lambda: {**as_compiled(), "loss": plain})


def compiled_with(model: keras.Model) -> dict[str, Any]:
    """Arguments of ``compile`` as they were given for a model, but the optimizer: whoever uses them shares its metrics.

    Keras has no public way to ask for the metrics.
    """
    metrics = getattr(model, "_compile_metrics", None)
    loss = getattr(model, "_compile_loss", None)
    return {
        "loss": model.loss,
        "loss_weights": getattr(loss, "_user_loss_weights", None),
        "metrics": getattr(metrics, "_user_metrics", None),
        "weighted_metrics": getattr(metrics, "_user_weighted_metrics", None),
        "jit_compile": model.jit_compile,
        "run_eagerly": model.run_eagerly,
        "steps_per_execution": model.steps_per_execution,
    }


def uncompile(model: keras.Model) -> None:
    """Take the optimizer, loss and metrics from a model that only predicts, so that none of them is saved.

    Keras has no public way. A frozen model's optimizer would be saved with the state of all weights, and would warn
    whenever it is loaded.
    """
    model.compiled = False
    model.optimizer = None
