"""When two models are one program: XLA is given the same text for both."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from hpsearch.training.engines.fused.template import Slot, Template, Values


@dataclass(frozen=True, slots=True)
class Identity:
    """Digests of all that a lane's training depends on, beside its variables' values and the numbers in its slots.

    Attributes:
        step: A training and a validation step, as text for XLA with every constant in it, and the optimizer's update.
        structure: The steps alone, whatever their sizes: which operations, in which order, over which axes.
        optimizer: Values that the optimizer starts with, the learning rate aside.
    """

    step: str
    structure: str
    optimizer: str


def identity(template: Template, slots: Sequence[Slot], x: Any, y: Any) -> Identity:
    """The identity of a template whose numbers in `slots` are inputs.

    Args:
        template: Fresh.
        slots: Places of numbers that the program takes as inputs.
        x: Some rows.
        y: Their targets.

    Raises:
        jax.errors.JAXTypeError: The code branches on a number in a slot.
    """
    model = template.model

    def step(numbers: Any, trainable: Values, fixed: Values, x: Any, y: Any, mask: Any) -> Any:
        with template.with_values(slots, numbers):
            (loss, (predicted, after)), gradients = template.gradients(trainable, fixed, x, y, mask)
            trained = template.results(template.update_metrics(template.metrics, loss, y, predicted, mask))
            loss, (predicted, _) = template.loss(trainable, fixed, x, y, mask, training=False)
            validated = template.results(template.update_metrics(template.metrics, loss, y, predicted, mask))
        return gradients, after, trained, validated

    def update(numbers: Any, optimizer: Values, trainable: Values) -> Any:
        with template.with_values(slots, numbers):
            return template.apply(optimizer, trainable, trainable)

    numbers = [jnp.float32(0.5)] * len(slots)
    mask = jnp.ones(len(y), jnp.float32)
    steps = _text(step, numbers, template.trainable, template.fixed, jax.tree.map(jnp.asarray, x), jnp.asarray(y), mask)
    updates = _text(update, numbers, template.optimizer, template.trainable)
    scaling = f"{type(model.optimizer).__name__} {model.optimizer.loss_scale_factor}"
    rate = model.optimizer._learning_rate
    values = [np.asarray(v.value).tobytes() for v in model.optimizer.variables if v is not rate]
    return Identity(
        step=_digest(steps, updates),
        structure=_digest(_without_sizes(steps, rows=len(y)), scaling if _scales(model.optimizer) else ""),
        optimizer=_digest(*values),
    )


def _text(function: Any, *arguments: Any) -> str:
    traced = jax.jit(function).trace(*arguments)
    constants = [np.asarray(one).tobytes() for one in jax.tree.leaves(traced.jaxpr.consts)]
    # Constants are in the text, too, unless JAX hands large ones over as inputs.
    return f"{traced.lower().as_text()}\n{_digest(*constants)}"


def _without_sizes(text: str, *, rows: int) -> str:
    """A program's text without the sizes of its arrays; how many axes they have, and which is the rows', stays."""
    return re.sub(r"(?<=[<x])\d+(?=x)", lambda size: size[0] if size[0] == str(rows) else "n", text)


def _scales(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether losses are multiplied by a factor before they are differentiated."""
    return optimizer.loss_scale_factor is not None or isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _digest(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()
