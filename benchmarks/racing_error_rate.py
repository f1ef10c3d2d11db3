"""Measures how often racing stops a trial that would have won, and how many epochs it saves.

Take the trials that would beat the best complete trial if they trained to their end. The *wrong stop rate* is the share
of them that racing stops. The promise is ``1 - confidence``, 5 % by default.

- *null*: flat curves that differ from the best trial only by noise. The projection has no slack.
- *twins*: power-law curves with the constants of the best trial and fresh noise.
- *late bloomers*: power-law curves that end higher than the best trial, but rise more slowly.
- *real*: every config of the bank (see `curve_bank`) against the best of a random set of other configs.

    python -m benchmarks.racing_error_rate [--samples 2000] [--configs 300]
"""

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve_bank import load_bank
from benchmarks.kept import keep
from benchmarks.replay import OBJECTIVE
from hpsearch.core.objective import Objective
from hpsearch.pruning import FoldCurves
from hpsearch.pruning.racing import RacingPruner

FOLDS, EPOCHS, NOISE, FOLD_NOISE, COMPLETE = 5, 20, 0.005, 0.01, 8
Curves = NDArray[np.float64]
"""The curves of one trial, of shape ``(n_folds, n_epochs)``; larger is better."""


def folded(trial: int, curves: Curves, *, complete: bool) -> FoldCurves:
    return FoldCurves(trial, tuple(map(tuple, curves.tolist())), complete, EPOCHS)


def score(curves: Curves, objective: Objective) -> float:
    mean = curves.mean(0)
    return float(mean.max() if objective.epoch == "best" else mean[-1])


def epochs_trained(trial: Curves, others: list[FoldCurves], rule: RacingPruner) -> int:
    """Epochs until racing stops the trial; all epochs if it does not stop it."""
    for look in rule.looks(EPOCHS):
        if rule.stop_reason(folded(-1, trial[:, :look], complete=False), others):
            return look
    return EPOCHS


def power_law(rng: np.random.Generator, difficulty: Curves, *, end: float, drop: float, rate: float) -> Curves:
    """Accuracy ``end - drop · (epoch^-rate - EPOCHS^-rate)``, plus noise and a difficulty per fold."""
    epochs = np.arange(1, EPOCHS + 1)
    mean = end - drop * (epochs**-rate - EPOCHS**-rate)
    shape = drop * rng.normal(0, 0.1, (FOLDS, 1)) * (epochs**-rate - EPOCHS**-rate)
    curves: Curves = mean + difficulty + shape + rng.normal(0, NOISE, (FOLDS, EPOCHS))
    return curves


def synthetic(kind: str, samples: int, rng: np.random.Generator) -> Iterator[tuple[Curves, list[Curves]]]:
    """Yield pairs of a trial and the complete trials before it."""
    for _ in range(samples):
        difficulty = rng.normal(0, FOLD_NOISE, (FOLDS, 1))
        field = [power_law(rng, difficulty, end=0.95, drop=0.3, rate=1.0) for _ in range(COMPLETE)]
        if kind == "null":
            best = max(one.mean(0)[-1] for one in field)
            trial = best - difficulty.mean() + difficulty + rng.normal(0, NOISE, (FOLDS, EPOCHS))
        elif kind == "twins":
            trial = power_law(rng, difficulty, end=0.95, drop=0.3, rate=1.0)
        else:
            rate = rng.uniform(0.2, 0.6)
            trial = power_law(rng, difficulty, end=0.955 + rng.exponential(0.01), drop=rng.uniform(0.3, 0.9), rate=rate)
        yield trial, field


def real(samples: int, configs: int, rng: np.random.Generator) -> Iterator[tuple[Curves, list[Curves]]]:
    """Yield pairs of a config of the bank and `COMPLETE` to 40 other configs."""
    bank = load_bank(configs=configs, seed=1).accuracy
    for _ in range(samples):
        trial, *others = rng.permutation(len(bank))[: 1 + rng.integers(COMPLETE, 41)]
        yield bank[trial], [bank[i] for i in others]


def measure(pairs: Iterator[tuple[Curves, list[Curves]]], rule: RacingPruner) -> dict[str, float]:
    """Wrong stops among would-be winners, and epochs saved on the others."""
    winners = wrong = losers = saved = 0
    for trial, field in pairs:
        others = [folded(i, one, complete=True) for i, one in enumerate(field)]
        trained = epochs_trained(trial, others, rule)
        if score(trial, rule.objective) > max(score(one, rule.objective) for one in field):
            winners += 1
            wrong += trained < EPOCHS
        else:
            losers += 1
            saved += EPOCHS - trained
    rate = wrong / winners if winners else math.nan
    # Wilson's upper 95 % limit: what the rate may be in truth, given so many winners.
    z, n = 1.645, max(winners, 1)
    upper = (rate + z * z / (2 * n) + z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    return {"winners": winners, "wrong": rate, "upper": upper, "saved": saved / max(losers * EPOCHS, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--configs", type=int, default=300, help="size of the bank of real curves")
    parser.add_argument("--confidence", type=float, default=0.95)
    args = parser.parse_args()
    last = Objective(OBJECTIVE.metric, OBJECTIVE.direction, "last")
    rows: list[tuple[str, Objective, Callable[[np.random.Generator], Iterator[tuple[Curves, list[Curves]]]]]] = [
        (f"{kind} ({rule.epoch} epoch)", rule, lambda rng, kind=kind: synthetic(kind, args.samples, rng))  # type: ignore[misc]
        for kind in ("null", "twins", "late bloomers")
        for rule in (last, OBJECTIVE)
    ]
    rows.append(("real (last epoch)", last, lambda rng: real(10 * args.samples, args.configs, rng)))
    rows.append(("real (best epoch)", OBJECTIVE, lambda rng: real(10 * args.samples, args.configs, rng)))
    print(f"promise: at most {1 - args.confidence:.1%} of the would-be winners stopped")
    print(f"{'curves':28}{'would win':>10}{'stopped':>9}{'95 % limit':>11}{'epochs saved on losers':>24}")
    table = {}
    for name, objective, pairs in rows:
        rule = RacingPruner(objective, validation_ratio=1 / (FOLDS - 1), confidence=args.confidence)
        got = measure(pairs(np.random.default_rng(1)), rule)
        table[name] = got
        print(f"{name:28}{got['winners']:10}{got['wrong']:9.2%}{got['upper']:11.2%}{got['saved']:24.0%}", flush=True)
    keep("racing", key=f"confidence {args.confidence}", value={"settings": vars(args), "curves": table})


if __name__ == "__main__":
    main()
