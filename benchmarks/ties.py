"""Measures which trials are called tied with the best: false calls among equals, and power where trials are worse.

Each simulated study draws a data set, makes K folds and trains 20 configs on each fold: ridge regressions on random
features, or on some columns. Folds share training rows, so their scores are correlated as those of real studies are.
The truth of a config is the mean score of its fold models on fresh rows.

- *identical*: one config 20 times, with other random features.
- *equal*: 20 configs that differ, each with columns of its own, all equally good. The hardest case.
- *spread*: configs of all sizes, of which many are truly worse than the best: by 0.10 in accuracy, or by 25 % in loss.
- *wild*: the same, and three configs whose scores jump from fold to fold.

Before: pairwise tests against the best, each at 5 %, or within one standard error. After: `compare_to_best`. All pairs:
the same differences and variances, but J. W. Tukey's studentized range of all trials decides (1953).

    python -m benchmarks.ties [--studies 200] [--write docs/trust.md]
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import put_as_measured
from hpsearch.analysis.best import compare_to_best
from hpsearch.analysis.statistics import ALPHA, corrected_t_tests

CONFIGS, INPUTS, FRESH = 20, 8, 500
WORSE_ACCURACY, WORSE_LOSS = 0.10, 1.25
FOLDS = (3, 5, 10)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """One simulated study.

    Attributes:
        folds: Score of each config on each fold.
        truth: Its score on fresh rows; empty where all are equal.
        sizes: Number of its weights.
        maximize: Whether higher is better.
    """

    folds: Floats
    truth: Floats
    sizes: NDArray[np.intp]
    maximize: bool

    @property
    def best(self) -> int:
        means = self.folds.mean(axis=1)
        return int(means.argmax() if self.maximize else means.argmin())

    @property
    def top(self) -> float:
        return float(self.truth.max() if self.maximize else self.truth.min())

    @property
    def truly_worse(self) -> Flags:
        return self.truth < self.top - WORSE_ACCURACY if self.maximize else self.truth > self.top * WORSE_LOSS


def before(study: Scores) -> Flags:
    """Which configs were called worse by pairwise tests."""
    folds, best = study.folds, study.best
    k = folds.shape[1]
    tests = corrected_t_tests(folds[best].tolist(), folds, ratio=1 / (k - 1))
    gap = np.abs(folds.mean(axis=1) - folds[best].mean())
    close = gap <= folds[best].std(ddof=1) / np.sqrt(k)
    called: Flags = np.array([test.p < ALPHA for test in tests]) & ~close
    return called


def after(study: Scores) -> tuple[Flags, Flags, bool]:
    """Which configs are called worse, which would be by all pairs, and whether the folds are said to be too few."""
    found = compare_to_best(study.folds, study.best, maximize=study.maximize, ratio=1 / (study.folds.shape[1] - 1))
    means = study.folds.mean(axis=1)
    gap = abs(means[study.best] - np.median(np.delete(means, study.best)))
    pairs = np.array([test.t for test in found.tests]) > of_all_pairs(len(means), round(found.degrees))
    return np.array([test.p < ALPHA for test in found.tests]), pairs, found.visible > float(gap)


@cache
def of_all_pairs(n: int, degrees: int) -> float:
    """The t that the largest difference of n equals exceeds in 5 % of studies."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - ALPHA, n, degrees)) / float(np.sqrt(2))


def identical(rng: np.random.Generator, rows: int, k: int, *, maximize: bool) -> Scores:
    return _trained(rng, rows, k, [_Config(16, 1.0, np.full(INPUTS, 0.5))] * CONFIGS, maximize=maximize, truth=False)


def spread(rng: np.random.Generator, rows: int, k: int, *, maximize: bool) -> Scores:
    configs = [
        _Config(
            int(np.exp(rng.uniform(np.log(2), np.log(48)))),
            float(np.exp(rng.uniform(-3, 3))),
            np.where(rng.random(INPUTS) < rng.uniform(0.3, 1), 0.4, 0.0),
        )
        for _ in range(CONFIGS)
    ]
    return _trained(rng, rows, k, configs, maximize=maximize)


def wild(rng: np.random.Generator, rows: int, k: int, *, maximize: bool) -> Scores:
    study = spread(rng, rows, k, maximize=maximize)
    sign = -1 if maximize else 1
    jump = np.abs(rng.normal(0, 0.3 if maximize else study.top, size=(3, k)))
    study.folds[:3] += sign * jump
    study.truth[:3] += sign * jump.mean(axis=1)
    return study


def equal(rng: np.random.Generator, rows: int, k: int, *, maximize: bool) -> Scores:
    """Three columns for each config, all equally useful."""
    x = rng.normal(size=(CONFIGS, rows, 3))
    y = x.sum(axis=(0, 2)) / np.sqrt(3 * CONFIGS) + 0.3 * rng.normal(size=rows)
    y = np.sign(y) if maximize else y
    folds = np.empty((CONFIGS, k))
    for fold, held in enumerate(np.array_split(rng.permutation(rows), k)):
        rest = np.delete(np.arange(rows), held)
        normal = np.swapaxes(x[:, rest], 1, 2) @ x[:, rest] + 0.1 * np.eye(3)
        weights = np.linalg.solve(normal, np.swapaxes(x[:, rest], 1, 2) @ y[rest][:, None])
        said = (x[:, held] @ weights)[..., 0]
        folds[:, fold] = (np.sign(said) == y[held]).mean(axis=1) if maximize else ((said - y[held]) ** 2).mean(axis=1)
    return Scores(folds, np.empty(0), np.full(CONFIGS, 3), maximize)


@dataclass(frozen=True)
class _Config:
    units: int
    penalty: float
    scales: Floats


def _trained(
    rng: np.random.Generator, rows: int, k: int, configs: list[_Config], *, maximize: bool, truth: bool = True
) -> Scores:
    slope = rng.normal(size=INPUTS) * 2 / np.sqrt(INPUTS)

    def draw(n: int) -> tuple[Floats, Floats]:
        x = rng.normal(size=(n, INPUTS))
        y = x @ slope + x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=n)
        return x, np.sign(y) if maximize else y

    def score(said: Floats, y: Floats) -> float:
        return float((np.sign(said) == y).mean() if maximize else ((said - y) ** 2).mean())

    (x, y), (new_x, new_y) = draw(rows), draw(FRESH if truth else 1)
    parts = np.array_split(rng.permutation(rows), k)
    folds, fresh = np.empty((len(configs), k)), np.empty((len(configs), k))
    for i, config in enumerate(configs):
        for fold, held in enumerate(parts):
            weights, levels = (
                rng.normal(size=(INPUTS, config.units)) * config.scales[:, None],
                rng.normal(size=config.units),
            )
            inside = np.tanh(x @ weights + levels)
            known = np.delete(inside, held, axis=0)
            normal = known.T @ known + config.penalty * np.eye(config.units)
            out = np.linalg.solve(normal, known.T @ np.delete(y, held))
            folds[i, fold] = score(inside[held] @ out, y[held])
            fresh[i, fold] = score(np.tanh(new_x @ weights + levels) @ out, new_y)
    sizes = np.array([config.units for config in configs])
    return Scores(folds, fresh.mean(axis=1) if truth else np.empty(0), sizes, maximize)


def simplest(study: Scores) -> int:
    """The smallest within one standard error of the best."""
    means, best = study.folds.mean(axis=1), study.best
    error = study.folds[best].std(ddof=1) / np.sqrt(study.folds.shape[1])
    close = np.flatnonzero(np.abs(means - means[best]) <= error)
    return int(close[study.sizes[close].argmin()])


World = Callable[..., Scores]


def of_equals(world: World, k: int, studies: int, *, maximize: bool) -> dict[str, float]:
    """Share of studies in which at least one of the equals is called worse."""
    rng = np.random.default_rng(1000 + k)
    calls = []
    for _ in range(studies):
        study = world(rng, 150, k, maximize=maximize)
        called, pairs, few = after(study)
        calls.append([float(one) for one in (before(study).any(), called.any(), called.mean(), pairs.any(), few)])
    return dict(zip(("before", "after", "each", "pairs", "few"), np.mean(calls, axis=0).tolist(), strict=True))


def of_worse(world: World, rows: int, k: int, studies: int, *, maximize: bool) -> dict[str, float]:
    """Share of the truly worse that is called so, and of studies in which the truly best is called worse."""
    rng = np.random.default_rng(1000 + k)
    found = defaultdict[str, list[float]](list)
    for _ in range(studies):
        study = world(rng, rows, k, maximize=maximize)
        old, (new, pairs, few), worse = before(study), after(study), study.truly_worse
        top = int(study.truth.argmax() if maximize else study.truth.argmin())
        found["before"] += old[worse].tolist()
        found["after"] += new[worse].tolist()
        found["pairs"] += pairs[worse].tolist()
        found["lost_before"].append(old[top])
        found["lost"].append(new[top])
        found["few"].append(few)
        found["cost"].append((study.truth[study.best] - study.truth[simplest(study)]) * (1 if maximize else -1))
    return {name: float(np.mean(values)) for name, values in found.items()}


def table_of_equals(studies: int) -> Iterator[str]:
    """In Markdown, line by line."""
    yield (
        f"{studies:,} studies per row, 20 configs each. *One called worse*: the share of studies in which at least one "
        "of 20 equally good configs is not called a tie. *Each*: how often that befalls one config."
    )
    yield ""
    yield (
        "| equally good configs | score | folds | one called worse: pairwise tests, before | now | each | all pairs | "
        "told that folds are too few |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for world, maximize in itertools.product((identical, equal), (True, False)):
        for k in FOLDS:
            got = of_equals(world, k, studies, maximize=maximize)
            row = (
                f"{got['before']:.2f} | {got['after']:.3f} | {got['each']:.3f} | {got['pairs']:.3f} | {got['few']:.2f}"
            )
            yield f"| {world.__name__} | {_kind(maximize)} | {k} | {row} |"


def table_of_worse(studies: int) -> Iterator[str]:
    """In Markdown, line by line."""
    yield (
        f"*Power*: the share of configs truly worse by {WORSE_ACCURACY:.2f} accuracy, or with a loss "
        f"{WORSE_LOSS - 1:.0%} higher, that is called worse. *Best lost*: how often the truly best is called worse."
    )
    yield ""
    yield (
        "| configs | score | rows | folds | power: pairwise tests, before | now | all pairs | best lost, before | "
        "now | told that folds are too few | cost of the simplest within one standard error |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for world, maximize, rows in (
        (spread, True, 200),
        (spread, True, 400),
        (spread, False, 200),
        (wild, True, 400),
        (wild, False, 200),
    ):
        for k in FOLDS:
            got = of_worse(world, rows, k, studies, maximize=maximize)
            power = f"{got['before']:.2f} | {got['after']:.2f} | {got['pairs']:.2f}"
            row = f"{power} | {got['lost_before']:.3f} | {got['lost']:.3f} | {got['few']:.2f} | {got['cost']:.3f}"
            yield f"| {world.__name__} | {_kind(maximize)} | {rows} | {k} | {row} |"


def _kind(maximize: bool) -> str:
    return "accuracy" if maximize else "loss"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    lines = itertools.chain(table_of_equals(args.studies), [""], table_of_worse(args.studies))
    put_as_measured(args.write, "ties", lines)


if __name__ == "__main__":
    main()
