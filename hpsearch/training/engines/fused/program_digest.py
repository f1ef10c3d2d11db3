"""When two models are one program: XLA gets the same text for both."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from hpsearch.keras_internals.numbers import NumberSlot
from hpsearch.keras_internals.optimizers import learning_rate_of
from hpsearch.training.engines.fused.pytree import HostInputs, Inputs, PyTree, Values
from hpsearch.training.engines.fused.template import Template


@dataclass(frozen=True, slots=True)
class ProgramDigest:
    """Digests of all that a lane's training depends on, except its variables' values and the numbers in its slots.

    Attributes:
        step: A training and a validation step, as text for XLA with every constant in it, and the optimizer's update.
        structure: The steps alone, whatever their sizes: which operations, in which order, over which axes.
        optimizer: Values that the optimizer starts with, without the learning rate.
    """

    step: str
    structure: str
    optimizer: str


def program_digest(template: Template, slots: Sequence[NumberSlot], x: HostInputs, y: PyTree) -> ProgramDigest:
    """The digest of a template whose numbers in `slots` are inputs.

    Args:
        template: Fresh.
        slots: Where the program takes numbers as inputs.
        x: Some rows.
        y: Their targets.

    Raises:
        jax.errors.JAXTypeError: The code branches on a number in a slot.
    """
    model = template.model

    def measured(loss: jax.Array, y: PyTree, predicted: PyTree, mask: jax.Array) -> PyTree:
        metrics = template.update_metrics(template.metrics, loss, y, predicted, mask)
        return template.results(template.update_over_batches(metrics, y, predicted, None, mask.sum(), mask.shape))

    def step(
        numbers: Values, trainable: Values, non_trainable: Values, x: Inputs, y: PyTree, mask: jax.Array
    ) -> PyTree:
        with template.with_numbers(slots, numbers):
            (loss, (predicted, after)), gradients = template.gradients(
                trainable, non_trainable, template.optimizer, x, y, mask
            )
            trained = measured(loss, y, predicted, mask)
            loss, (predicted, _) = template.loss(trainable, non_trainable, x, y, mask, training=False)
            validated = measured(loss, y, predicted, mask)
        return gradients, after, trained, validated

    def update(numbers: Values, optimizer: Values, trainable: Values) -> PyTree:
        with template.with_numbers(slots, numbers):
            return template.apply(optimizer, trainable, trainable)

    numbers = [jnp.float32(0.5)] * len(slots)
    inputs, targets = jax.tree.map(jnp.asarray, (x, y))
    mask = jnp.ones(len(jax.tree.leaves(targets)[0]), jnp.float32)
    steps = _text(step, numbers, template.trainable, template.non_trainable, inputs, targets, mask)
    updates = _text(update, numbers, template.optimizer, template.trainable)
    rate = learning_rate_of(model.optimizer)
    values = [np.asarray(v.value).tobytes() for v in model.optimizer.variables if v is not rate]
    return ProgramDigest(
        step=_digest(steps, updates),
        structure=_digest(_without_sizes(steps, rows=len(y))),
        optimizer=_digest(*values),
    )


def _text(function: Callable[..., PyTree], *arguments: PyTree) -> str:
    traced = jax.jit(function).trace(*arguments)
    constants = [np.asarray(one).tobytes() for one in jax.tree.leaves(traced.jaxpr.consts)]
    # Constants are in the text, too, unless JAX turns large ones into inputs.
    return f"{traced.lower().as_text()}\n{_digest(*constants)}"


def _without_sizes(text: str, *, rows: int) -> str:
    """A program's text without the sizes of its arrays; the number of axes stays, and which of them is the rows'."""
    return re.sub(r"(?<=[<x])\d+(?=x)", lambda size: size[0] if size[0] == str(rows) else "n", text)


def _digest(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()
