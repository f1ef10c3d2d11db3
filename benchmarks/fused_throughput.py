"""What the fused engine adds to a hand-written JAX loop, and what it saves against Keras ``fit``.

Digits, two Dense layers of 64 with dropout, Adam, batch 32, 5 folds. The hand-written loop is what a JAX user would
write for this one model: no Keras, no masks, no validation metrics beyond loss and accuracy. Both train one lane, take
the best of several repeats, and are timed turn by turn, so that a busy machine slows both alike.

    python benchmarks/fused_throughput.py [--fit]
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np

from hpsearch.engines.fit import FitEngine
from hpsearch.engines.fused.engine import FusedEngine
from hpsearch.engines.fused.program import Program
from hpsearch.engines.fused.recipe import Recipe
from hpsearch.engines.fused.training import Training
from hpsearch.problem import Problem
from hpsearch.spec import parse_spec
from hpsearch.trial import Bundle, Lane, LaneFinished

STUDY = """
name = "throughput"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
[space]
units = 64
batch_size = 32
epochs = 20
optimizer = "adam"
[objective]
metric = "val_accuracy"
direction = "maximize"
"""
CONFIG = {
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 20,
    "optimizer": "adam",
    "layers": 2,
    "units": 64,
    "dropout": 0.2,
    "activation": "relu",
    "batch_norm": False,
}


def hand_written(problem: Problem) -> Callable[[], Any]:
    """One epoch of the same model in plain JAX; the last partial batch is dropped."""
    fold = problem.folds[0]
    x = jnp.asarray(problem.dataset.train.x.reshape(len(problem.dataset.train), -1), jnp.float32)
    y = jnp.asarray(problem.dataset.train.y)
    mean, std = x[fold.train].mean(), x[fold.train].std()
    rng = np.random.default_rng(0)
    sizes = (x.shape[1], 64, 64, 10)
    weights = [
        (jnp.asarray(rng.uniform(-1, 1, (a, b)) * np.sqrt(6 / (a + b)), jnp.float32), jnp.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    held = jnp.asarray(fold.validation)

    def forward(weights: Any, rows: jax.Array, key: jax.Array | None) -> jax.Array:
        h = (x[rows] - mean) / std
        for number, (kernel, bias) in enumerate(weights[:-1]):
            h = jax.nn.relu(h @ kernel + bias)
            if key is not None:
                h = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, number), 0.8, h.shape), h / 0.8, 0.0)
        return h @ weights[-1][0] + weights[-1][1]

    def loss_of(weights: Any, rows: jax.Array, key: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        logits = forward(weights, rows, key)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[rows][:, None], axis=1)
        return -picked.mean(), (logits.argmax(axis=1) == y[rows]).mean()

    @jax.jit
    def epoch(weights: Any, m: Any, v: Any, count: jax.Array, order: jax.Array, key: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            weights, m, v, count = carry
            (loss, right), g = jax.value_and_grad(loss_of, has_aux=True)(weights, rows, jax.random.fold_in(key, count))
            count = count + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            rate = 0.01 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
            return (weights, m, v, count), (loss, right)

        (weights, m, v, count), logs = jax.lax.scan(step, (weights, m, v, count), order)
        return weights, m, v, count, jax.tree.map(jnp.mean, logs), loss_of(weights, held, None)

    state = [weights, zeros, zeros, jnp.zeros((), jnp.int32)]
    steps = len(fold.train) // 32

    def run() -> Any:
        order = jnp.asarray(rng.permutation(fold.train)[: steps * 32].reshape(steps, 32))
        *state[:], logs, held_out = epoch(*state, order, jax.random.key(1))
        return jax.block_until_ready((logs, held_out))

    return run


def fused(engine: FusedEngine, problem: Problem) -> Callable[[], Any]:
    """One epoch of one lane in the engine's program, row orders and collecting included."""
    recipe = Recipe(problem, CONFIG, folds=range(5), space=engine.space, lifted=engine.lifted)
    program = Program(recipe, engine.data, width=1, batch=32)
    program.compile()
    lane = Lane(0, 0, {**CONFIG, "epochs": 10**9})
    endless = Training(program, engine.data, seed=0, lanes=[lane], dispatch=ThreadPoolExecutor(1))
    events = endless.events(lambda: frozenset())
    return lambda: next(events)


def best(runs: dict[str, Callable[[], Any]], *, repeats: int, epochs: int) -> dict[str, float]:
    """Shortest seconds per epoch of each, taking turns."""
    found = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            begun = time.perf_counter()
            for _ in range(epochs):
                run()
            found[name] = min(found[name], (time.perf_counter() - begun) / epochs)
    return found


def seconds_of(engine: Any, lanes: list[Lane]) -> float:
    """Wall time of a bundle."""
    begun = time.perf_counter()
    events = list(engine.train(Bundle(0, tuple(lanes)), lambda: frozenset()))
    assert sum(isinstance(event, LaneFinished) for event in events) == len(lanes)
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="also train a trial with Keras fit on JAX (takes a minute)")
    with_fit = parser.parse_args().fit
    problem = Problem.load(parse_spec(STUDY))
    engine = FusedEngine(problem)
    engine.plan()
    found = best({"hand": hand_written(problem), "fused": fused(engine, problem)}, repeats=15, epochs=20)
    print(f"one lane, hand-written JAX loop  {found['hand'] * 1e3:8.2f} ms per epoch")
    print(f"one lane, fused engine           {found['fused'] * 1e3:8.2f} ms per epoch")
    print(f"throughput against hand-written  {found['hand'] / found['fused']:8.0%}")
    trials = [Lane(number, fold, CONFIG) for number in range(8) for fold in range(5)]
    cold, warm = seconds_of(engine, trials), min(seconds_of(engine, trials) for _ in range(3))
    print(f"8 trials x 5 folds x 20 epochs   {cold:8.2f} s cold, {warm:.2f} s warm ({warm / 8:.2f} s per trial)")
    if with_fit:
        fit = seconds_of(FitEngine(problem), trials[:5])
        print(f"1 trial, Keras fit on JAX        {fit:8.2f} s ({fit / (warm / 8):.0f} times the fused engine's)")


if __name__ == "__main__":
    main()
