"""A hand-written MLP in JAX, without Keras: the baseline for the fused engine and the pruning rules.

It has Glorot-uniform Dense layers with ReLU and dropout, softmax and crossentropy. SGD, Adam and RMSprop have Keras'
defaults.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Weights = list[tuple[jax.Array, jax.Array]]
"""Kernel and bias of each layer."""

State = tuple[Weights, tuple[Any, Any], jax.Array]
"""Weights, the optimizer's first and second moments, and the number of the next step, from 1."""


def init(key: jax.Array, sizes: Sequence[int]) -> Weights:
    shapes = list(itertools.pairwise(sizes))
    pairs = zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    limits = [np.sqrt(6 / sum(shape)) for shape in shapes]
    return [
        (jax.random.uniform(k, shape, minval=-limit, maxval=limit), jnp.zeros(shape[1]))
        for (k, shape), limit in zip(pairs, limits, strict=True)
    ]


def start(weights: Weights) -> State:
    zeros = jax.tree.map(jnp.zeros_like, weights)
    return weights, (zeros, zeros), jnp.asarray(1)


def forward(weights: Weights, rows: jax.Array, rate: Any, key: jax.Array | None) -> jax.Array:
    """Logits. Dropout with `rate` follows each hidden layer, unless `key` is None."""
    *hidden, (w_out, b_out) = weights
    for i, (w, b) in enumerate(hidden):
        rows = jax.nn.relu(rows @ w + b)
        if key is not None:
            kept = jax.random.uniform(jax.random.fold_in(key, i), rows.shape) >= rate
            rows = jnp.where(kept, rows / (1 - rate), 0.0)
    return rows @ w_out + b_out


def losses(
    weights: Weights, rows: jax.Array, labels: jax.Array, rate: Any, key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Mean crossentropy and logits."""
    logits = forward(weights, rows, rate, key)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean(), logits


def update(optimizer: str, state: State, grads: Weights, rate: Any) -> State:
    """One step of ``"sgd"``, ``"adam"`` or ``"rmsprop"``."""
    weights, (first, second), t = state
    if optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - rate * g, weights, grads), (first, second), t + 1
    rho = 0.999 if optimizer == "adam" else 0.9
    second = jax.tree.map(lambda v, g: rho * v + (1 - rho) * g * g, second, grads)
    if optimizer == "rmsprop":
        moved = jax.tree.map(lambda w, g, v: w - rate * g / (jnp.sqrt(v) + 1e-7), weights, grads, second)
        return moved, (first, second), t + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    scale = rate * jnp.sqrt(1 - rho**t) / (1 - 0.9**t)
    moved = jax.tree.map(lambda w, m, v: w - scale * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
    return moved, (first, second), t + 1
