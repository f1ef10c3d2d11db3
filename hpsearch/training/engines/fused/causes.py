"""Why steps on padded batches differ from Keras' own: which layer, loss or metric looks at a batch as a whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from hpsearch.keras_internals.layers import flatten_layers, is_masked, set_untracked, takes_training, unset_untracked
from hpsearch.training.engines.fused.pytree import Inputs, PyTree
from hpsearch.training.engines.fused.template import Template


def cause_of_difference(template: Template, x: Inputs, y: PyTree, real: int, differing: str) -> str:
    """What in a model makes rows that follow the real ones matter, in words.

    Args:
        template: Of the model.
        x: A batch of rows, padded at the end.
        y: Their targets.
        real: How many rows are real.
        differing: What differs most, in words: "the gradient of dense/kernel".
    """
    model = template.model
    padded, alone = (_forward(template, x, rows, real) for rows in (len(jax.tree.leaves(y)[0]), real))
    for name, with_padding in padded.outputs.items():
        if name in alone.outputs and not _alike(_rows(with_padding, real), alone.outputs[name]):
            return f"the rows of a batch act on each other in {name}"
    if not _alike(padded.penalties, alone.penalties):
        regularized = [layer.name for layer in flatten_layers(model) if getattr(layer, "activity_regularizer", None)]
        adding = f"layer {regularized[0]!r} has an activity regularizer" if regularized else "a layer adds a loss"
        return f"{adding} that sums over the rows of a batch"
    if is_masked(alone.predicted):
        return "its predictions are masked, and Keras weights those that count by how many they are in the whole batch"
    if hasattr(y, "shape") and not _is_mean_over_rows(model, y[:real], alone.predicted):
        loss = model.loss if isinstance(model.loss, str) else getattr(model.loss, "name", None) or "of its own"
        return f"its loss {loss!r} is not the mean over its rows"
    return f"{differing} depends on the batch as a whole"


class _Forward:
    """What a model computes on the way from a batch to its predictions."""

    def __init__(self) -> None:
        self.outputs: dict[str, PyTree] = {}
        self.penalties: Sequence[Any] = []
        self.predicted: Any = None


def _forward(template: Template, x: Inputs, rows: int, real: int) -> _Forward:
    model, found = template.model, _Forward()
    part = jax.tree.map(lambda column: column[:rows], x)
    arguments = {"training": True} if takes_training(model) else {}
    with _recorded(model, found.outputs), template.rows.set_to((jnp.arange(rows) < real).astype(jnp.float32)):
        found.predicted, _, found.penalties = model.stateless_call(
            template.trainable, template.non_trainable, part, return_losses=True, **arguments
        )
    return found


@contextmanager
def _recorded(model: keras.Model, outputs: dict[str, PyTree]) -> Iterator[None]:
    """Let every layer and operation of a model write down what it returns, by what to call it, in order."""
    layers = flatten_layers(model)
    operations = [one for layer in layers for one in getattr(layer, "operations", ())]  # of models inside models, too
    parts = {id(one): one for one in (*layers, *operations)}
    inner = [one for one in parts.values() if not isinstance(one, keras.Model | keras.layers.InputLayer)]
    before = {id(one): vars(one).get("call") for one in inner}
    for one in inner:
        kind = "layer" if isinstance(one, keras.layers.Layer) else "operation"
        set_untracked(one, "call", partial(_record, one.call, f"{kind} {one.name!r}", outputs))
    try:
        yield
    finally:
        for one in inner:
            unset_untracked(one, "call")
            if (patch := before[id(one)]) is not None:
                set_untracked(one, "call", patch)


def _record(call: Callable[..., PyTree], name: str, outputs: dict[str, PyTree], *args: Any, **kwargs: Any) -> PyTree:
    result = call(*args, **kwargs)
    # What is called inside a loop of JAX, as the cell of a recurrent layer, has no numbers to compare.
    if not any(isinstance(one, jax.core.Tracer) for one in jax.tree.leaves(result)):
        outputs.setdefault(name, result)
    return result


def _is_mean_over_rows(model: keras.Model, y: jax.Array, predicted: PyTree) -> bool:
    """Whether the loss of a batch is the mean of the losses of its rows."""
    if not hasattr(predicted, "shape"):
        return True

    def loss(rows: slice) -> jax.Array:
        found: jax.Array = jnp.asarray(model.compute_loss(y=y[rows], y_pred=predicted[rows]))
        return found

    with suppress(TypeError, ValueError):  # a loss of the user's may not take a single row
        # All of them: only rows of one class may be weighted otherwise.
        single = jnp.stack([loss(slice(row, row + 1)) for row in range(len(y))])
        return _alike(single.mean(), loss(slice(0, len(y))))
    return False


def _rows(outputs: PyTree, real: int) -> PyTree:
    return jax.tree.map(lambda one: one[:real] if getattr(one, "ndim", 0) else one, outputs)


def _alike(one: PyTree, other: PyTree) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True) for a, b in pairs)
