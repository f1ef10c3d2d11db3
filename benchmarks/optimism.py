"""How far a study's best score is from what its winner scores on new rows, raw and corrected.

Simulated studies with known truth: 5 folds, 20 or 200 trials, 10 epochs. The best trial at its best epoch is picked. A
row's difficulty is shared by all models (correlation 0.5), and an epoch redraws three rows in ten.

- *noise*: all configs guess between two classes.
- *equal*: all configs are right in 80 % of the rows.
- *spread*: configs between 60 % and 85 %.

``python -m benchmarks.optimism --write docs/trust.md`` takes some minutes.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.pages import put_as_measured
from hpsearch.analysis.statistics import rows_optimism, selection_optimism
from hpsearch.core.out_of_fold import BEST

Floats = NDArray[np.float64]
FOLDS, EPOCHS = 5, 10

WORLDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "noise": lambda _, trials: np.full(trials, 0.5),
    "equal": lambda _, trials: np.full(trials, 0.8),
    "spread": lambda rng, trials: rng.uniform(0.6, 0.85, trials),
}

CASES = ((20, 20, 100), (20, 20, 200), (20, 20, 1000), (200, 200, 200), (200, BEST, 200))
"""Trials, those of them whose predictions are kept, and rows."""


def study(shares: Floats, rows: int, rng: np.random.Generator) -> Floats:
    """Whether each row is predicted right, of shape ``(trials, epochs, rows)``."""
    trials = len(shares)
    difficulty, own = rng.normal(size=rows), rng.normal(size=(trials, rows))
    right = np.empty((trials, EPOCHS, rows))
    for epoch in range(EPOCHS):
        redrawn = rng.random((trials, rows)) < 0.3
        own = np.where(redrawn, rng.normal(size=(trials, rows)), own)
        right[:, epoch] = ndtr(np.sqrt(0.5) * (difficulty + own)) < shares[:, None]
    return right


def measured(world: str, trials: int, kept: int, rows: int, studies: int) -> tuple[float, float, float, float]:
    """Mean difference from the truth: raw, corrected over folds, over rows; and how often the range has the truth."""
    found = np.empty((studies, 4))
    for number in range(studies):
        rng = np.random.default_rng([3, number])
        shares = WORLDS[world](rng, trials)
        right = study(shares, rows, rng)
        curves = right.mean(axis=2)
        trial, epoch = np.unravel_index(curves.argmax(), curves.shape)
        best_epochs = curves.argmax(axis=1)
        by_fold = right[np.arange(trials), best_epochs].reshape(trials, FOLDS, -1).mean(axis=2)
        raw, truth = curves[trial, epoch], shares[trial]
        over_folds = raw - selection_optimism(by_fold, seed=number)
        values = right[np.argsort(-curves.max(axis=1))[:kept]].reshape(-1, rows)
        over_rows, low, high = rows_optimism(values, np.full(rows, 1 / rows), np.arange(rows), seed=number)
        found[number] = raw - truth, over_folds - truth, min(raw, over_rows) - truth, low <= truth <= high
    raw, over_folds, over_rows, covered = found.mean(axis=0).tolist()
    return raw, over_folds, over_rows, covered


def table(studies: int) -> Iterator[str]:
    """In Markdown, line by line."""
    yield f"{studies:,} simulated studies per row, each with the best of all trials and 10 epochs; mean differences."
    yield ""
    yield "| configs | trials | kept | rows | raw − truth | over folds − truth | over rows − truth | its range covers |"
    yield "|---|---|---|---|---|---|---|---|"
    for world in WORLDS:
        for case in CASES:
            raw, over_folds, over_rows, covered = measured(world, *case, studies)
            about = " | ".join(f"{one:,}" for one in case)
            yield f"| {world} | {about} | {raw:+.3f} | {over_folds:+.3f} | {over_rows:+.3f} | {covered:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    put_as_measured(args.write, "optimism", table(args.studies))


if __name__ == "__main__":
    main()
