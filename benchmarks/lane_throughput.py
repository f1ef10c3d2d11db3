"""Compares one lane in the fused engine with a hand-written JAX loop for the same model: seconds per epoch.

Both train the same rows in batches of the same size. Both dispatch once per epoch and compute validation and training
metrics. The study validates on a holdout, so the lane is alone in its program; with K folds, K lanes share a program.

The figure is the median over all epochs but the first, which compiles. The two take turns, so a busy machine affects
both. The loop draws its dropout masks with JAX's own generator, as most code would. `--dropout 0` compares without
dropout.

    python -m benchmarks.lane_throughput [--workload digits-mlp] [--epochs 30] [--turns 3] [--dropout 0.2]
"""

import argparse
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import jax_loop
from benchmarks.kept import keep
from benchmarks.study_file import study_file
from benchmarks.workloads import WORKLOADS, Workload
from hpsearch.core.events import Bundle, EpochFinished, Lane
from hpsearch.spec import parse_spec
from hpsearch.training.engines import make_engine
from hpsearch.training.problem import Problem

CONFIG = {"learning_rate": 0.001, "optimizer": "adam"}
UNITS = {"digits-mlp": 128, "mnist-ann": 512}


def engine_epochs(problem: Problem, config: dict[str, Any]) -> list[float]:
    """Seconds of each epoch of a lane in the fused engine, without the first epoch."""
    engine = make_engine(problem)
    lane = Lane(trial=0, fold=0, config=config)
    times = [
        time.perf_counter()
        for event in engine.train(Bundle(0, (lane,)), lambda: frozenset())
        if isinstance(event, EpochFinished)
    ]
    return [b - a for a, b in pairwise(times)]


def loop_epochs(problem: Problem, config: dict[str, Any]) -> list[float]:
    """Seconds of each epoch of the hand-written loop, without the first epoch."""
    times = []
    for metrics in _loop(problem, config):
        assert np.isfinite(metrics).all()
        times.append(time.perf_counter())
    return [b - a for a, b in pairwise(times)]


def _loop(problem: Problem, config: dict[str, Any]) -> Iterator[np.ndarray]:
    rows, labels = problem.dataset.train.x, problem.dataset.train.y
    scale = float(problem.dataset.extra["scale"])  # type: ignore[arg-type]
    x, y = jnp.asarray(rows.reshape(len(rows), -1)), jnp.asarray(labels)  # type: ignore[union-attr]
    train, valid = (jnp.asarray(part) for part in (problem.folds[0].train, problem.folds[0].validation))
    size, (rate, dropout) = config["batch_size"], (config["learning_rate"], config["dropout"])
    steps, key = len(train) // size, jax.random.key(0)

    def step(state: Any, batch: jax.Array) -> Any:
        noise = jax.random.fold_in(key, state[2])
        batch_x, batch_y = x[batch].astype(jnp.float32) / scale, y[batch]
        (loss, logits), grads = jax.value_and_grad(jax_loop.losses, has_aux=True)(
            state[0], batch_x, batch_y, dropout, noise
        )
        hits = (logits.argmax(1) == batch_y).mean()
        return jax_loop.update(config["optimizer"], state, grads, rate), (loss, hits)

    @jax.jit  # type: ignore[untyped-decorator]
    def epoch(state: Any, order_key: jax.Array) -> Any:
        order = jax.random.permutation(order_key, train)
        state, (loss, hits) = jax.lax.scan(step, state, order[: steps * size].reshape(steps, size))
        if len(train) % size:
            state, _ = step(state, order[steps * size :])
        valid_loss, logits = jax_loop.losses(state[0], x[valid].astype(jnp.float32) / scale, y[valid], 0.0, None)
        return state, jnp.stack([loss.mean(), hits.mean(), valid_loss, (logits.argmax(1) == y[valid]).mean()])

    sizes = (x.shape[1], *[config["units"]] * config["layers"], len(problem.dataset.classes))
    state = jax_loop.start(jax_loop.init(key, sizes))
    for number in range(config["epochs"]):
        state, metrics = epoch(state, jax.random.fold_in(key, number))
        yield np.asarray(metrics)


def compare(workload: Workload, *, epochs: int, turns: int, dropout: float) -> dict[str, float]:
    text = study_file(workload, name="lane", trials=1, engine="fused", backend="jax", holdout=True)
    problem = Problem.load(parse_spec(text))
    own = {"units": UNITS[workload.name], "dropout": dropout, "epochs": epochs}
    config = {**workload.fixed, **CONFIG, **own, "activation": "relu", "batch_norm": False}
    ours, loop = [], []
    for _ in range(turns):
        ours.append(median(engine_epochs(problem, config)))
        loop.append(median(loop_epochs(problem, config)))
    return {"engine_s": min(ours), "loop_s": min(loop), "share": min(loop) / min(ours)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(UNITS), default="digits-mlp")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.2)
    args = parser.parse_args()
    got = compare(WORKLOADS[args.workload], epochs=args.epochs, turns=args.turns, dropout=args.dropout)
    print(
        f"{args.workload}, dropout {args.dropout:g}: fused engine {got['engine_s'] * 1e3:.1f} ms per epoch, JAX loop "
        f"{got['loop_s'] * 1e3:.1f} ms: the engine reaches {got['share']:.0%} of the loop's throughput"
    )
    keep("lane_throughput", key=f"{args.workload}, dropout {args.dropout:g}", value={"settings": vars(args), **got})


if __name__ == "__main__":
    main()
