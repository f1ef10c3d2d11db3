"""A bank of real training curves, computed once, on which pruning rules are replayed.

The curves come from scikit-learn's digits, an MLP with two hidden layers, and stratified folds. A hand-written JAX loop
trains every config to its end on all folds. It uses neither Keras nor an engine of hpsearch, so that the code under
test does not produce its own test data. The bank is stored in ``build/benchmarks``. Delete it to compute it again.

    python -m benchmarks.curve_bank [--configs 300] [--seed 1]
"""

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path("build/benchmarks")
FOLDS, EPOCHS, CLASSES = 5, 20, 10
UNITS, BATCH_SIZES, OPTIMIZERS = (32, 64, 128), (32, 64, 128), ("sgd", "adam", "rmsprop")
# Wider than the documented 0.01-0.04, to include slow learners: rules tend to stop them wrongly.
LEARNING_RATES = (3e-4, 4e-2)


@dataclass(frozen=True)
class Bank:
    """The validation curves ``accuracy`` and ``loss``, each of shape ``(n_configs, n_folds, n_epochs)``."""

    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]


def load_bank(*, configs: int, seed: int) -> Bank:
    """Load the bank with this number of configs; compute it first if it does not exist."""
    path = FOLDER / f"digits_mlp_{configs}x{FOLDS}x{EPOCHS}_seed{seed}.npz"
    if not path.exists():
        started = time.perf_counter()
        accuracy, loss = _train_all(configs, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, accuracy=accuracy, loss=loss)
        print(f"trained {configs} configs x {FOLDS} folds x {EPOCHS} epochs in {time.perf_counter() - started:.0f} s")
    with np.load(path) as stored:
        return Bank(stored["accuracy"].astype(float), stored["loss"].astype(float))


def _train_all(configs: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    splits = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y))
    # Folds may differ by one row. An engine must keep that row, but a bank may drop it.
    train = np.stack([rows[: min(len(a) for a, _ in splits)] for rows, _ in splits])
    valid = np.stack([rows[: min(len(b) for _, b in splits)] for _, rows in splits])
    rng = np.random.default_rng(seed)
    lowest, highest = np.log(LEARNING_RATES).tolist()
    rates = np.exp(rng.uniform(lowest, highest, configs)).astype(np.float32)
    dropouts = (0.05 * rng.integers(0, 11, configs)).astype(np.float32)
    kinds = list(itertools.product(UNITS, BATCH_SIZES, OPTIMIZERS))
    kind_of = rng.integers(0, len(kinds), configs)
    accuracy = np.zeros((configs, FOLDS, EPOCHS), np.float32)
    loss = np.zeros_like(accuracy)
    for k, kind in enumerate(kinds):
        chosen = np.flatnonzero(kind_of == k)
        if len(chosen):
            accuracy[chosen], loss[chosen] = _train_kind(
                kind, x, y, train, valid, rates[chosen], dropouts[chosen], chosen + 1000 * seed
            )
            print(f"  {k + 1}/{len(kinds)} {kind}: {len(chosen)} configs", flush=True)
    return accuracy, loss


def _train_kind(
    kind: tuple[int, int, str], x: Any, y: Any, train: Any, valid: Any, rates: Any, dropouts: Any, seeds: Any
) -> tuple[Any, Any]:
    """Train all configs with the same shape, batch size and optimizer, on all folds at once.

    Returns:
        Validation accuracy and loss, shape ``(n_configs, n_folds, n_epochs)`` each.
    """
    import jax
    import jax.numpy as jnp

    from benchmarks import jax_loop

    units, batch_size, optimizer = kind
    steps = train.shape[1] // batch_size
    x, y, train, valid = (jnp.asarray(array) for array in (x, y, train, valid))

    def lane(learning_rate, dropout, key, train_rows, valid_rows):  # type: ignore[no-untyped-def]
        def step(state, batch):  # type: ignore[no-untyped-def]
            noise = jax.random.fold_in(key, state[2])
            grads, _ = jax.grad(jax_loop.losses, has_aux=True)(state[0], x[batch], y[batch], dropout, noise)
            return jax_loop.update(optimizer, state, grads, learning_rate), None

        def epoch(state, epoch_key):  # type: ignore[no-untyped-def]
            order = jax.random.permutation(epoch_key, train_rows)[: steps * batch_size].reshape(steps, batch_size)
            state, _ = jax.lax.scan(step, state, order)
            loss, logits = jax_loop.losses(state[0], x[valid_rows], y[valid_rows], 0.0, None)
            return state, ((logits.argmax(1) == y[valid_rows]).mean(), loss)

        weights = jax_loop.init(key, (x.shape[1], units, units, CLASSES))
        return jax.lax.scan(epoch, jax_loop.start(weights), jax.random.split(key, EPOCHS))[1]

    keys = jnp.stack([jnp.stack([jax.random.fold_in(jax.random.key(int(s)), f) for f in range(FOLDS)]) for s in seeds])
    over_folds = jax.vmap(lane, in_axes=(None, None, 0, 0, 0))
    over_configs = jax.jit(jax.vmap(over_folds, in_axes=(0, 0, 0, None, None)))
    accuracy, loss = over_configs(jnp.asarray(rates), jnp.asarray(dropouts), keys, train, valid)
    return np.asarray(accuracy), np.asarray(loss)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    bank = load_bank(configs=args.configs, seed=args.seed)
    print(f"best mean accuracy {bank.accuracy.mean(1).max():.4f}, median {np.median(bank.accuracy.mean(1).max(1)):.4f}")
