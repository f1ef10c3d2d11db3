"""Measures how often the interval of a test score covers the truth, and how wide it is.

Each case draws test rows again and again from a population whose score is known. Before: the percentile bootstrap over
rows. After: what a study's report says.

    python -m benchmarks.intervals [--tests 1000] [--write docs/trust.md]
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import put_as_measured
from hpsearch.analysis import LeftOut, Predictions, test_intervals
from hpsearch.analysis.intervals import Interval, error_interval, share_interval, units_of
from hpsearch.testing.searched import make_searched

Floats = NDArray[np.float64]
_PARTS = 100
"""As many parts as :mod:`hpsearch.training.left_out` leaves out."""

Draw = Callable[[np.random.Generator], Floats]


@dataclass(frozen=True)
class Case:
    """One population.

    Attributes:
        name: In the table.
        truth: Its score.
        draw: Draws the values of test rows.
        groups: Group of each row; None without groups.
        time: Place in time of each row; None without order.
        share: Whether the values are 0 or 1.
        root: Whether the score is the root of the mean.
    """

    name: str
    truth: float
    draw: Draw
    groups: NDArray[np.intp] | None = None
    time: NDArray[np.intp] | None = None
    share: bool = False
    root: bool = False

    def after(self, values: Floats, seed: int) -> Interval | None:
        units = units_of(values, groups=self.groups, time=self.time)
        found = share_interval(units) if self.share else error_interval(units, seed=seed)
        return _rooted(found) if found and self.root else found

    def before(self, values: Floats, rng: np.random.Generator) -> Interval:
        low, high = _percentiles(values[rng.integers(0, len(values), (500, len(values)))].mean(axis=1))
        found = Interval(low, high, 0.95, "")
        return _rooted(found) if self.root else found


def _rooted(found: Interval) -> Interval:
    return Interval(math.sqrt(found.low), math.sqrt(found.high), found.confidence, found.method)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _right(share: float, rows: int) -> Draw:
    return lambda rng: (rng.random(rows) < share).astype(float)


def _grouped(rng: np.random.Generator) -> Floats:
    """40 groups of 9 rows, 0.9 right, with an intraclass correlation of 0.3."""
    shares = rng.beta(0.9 * (1 / 0.3 - 1), 0.1 * (1 / 0.3 - 1), size=(40, 1))
    return (rng.random((40, 9)) < shares).astype(float).ravel()


def _correlated(rows: int, phi: float) -> Draw:
    """A stationary autoregression of order 1 with variance 1."""
    from scipy.signal import lfilter

    scale = np.r_[1.0, np.full(rows - 1, math.sqrt(1 - phi * phi))]
    return lambda rng: np.asarray(lfilter([1.0], [1.0, -phi], scale * rng.normal(size=rows)))


def _squared(errors: Callable[[np.random.Generator, int], Floats], rows: int) -> Draw:
    return lambda rng: errors(rng, rows) ** 2


def _in_order(series: Draw, change: Callable[[Floats], Floats]) -> Draw:
    return lambda rng: change(series(rng))


def cases() -> Iterator[Case]:
    yield Case("accuracy 0.97, 36 rows", 0.97, _right(0.97, 36), share=True)
    for share in (0.97, 0.90):
        yield Case(f"accuracy {share:.2f}, 114 rows", share, _right(share, 114), share=True)
    yield Case("accuracy 0.90, 40 groups of 9 rows", 0.9, _grouped, groups=np.repeat(np.arange(40), 9), share=True)
    tails: list[tuple[str, float, Callable[[np.random.Generator, int], Floats]]] = [
        ("normal", 1.0, lambda rng, n: rng.normal(size=n)),
        ("Laplace", 2.0, lambda rng, n: rng.laplace(size=n)),
        ("Student's t, 5 degrees", 5 / 3, lambda rng, n: rng.standard_t(5, size=n)),
        ("Student's t, 3 degrees", 3.0, lambda rng, n: rng.standard_t(3, size=n)),
        ("lognormal", math.exp(2), lambda rng, n: np.exp(rng.normal(size=n))),
    ]
    for name, squared, errors in tails:
        for rows in (36, 114, 400):
            yield Case(
                f"RMSE, {name} errors, {rows} rows",
                math.sqrt(squared),
                _squared(errors, rows),
                root=True,
            )
    yield Case(
        "MAE, Student's t, 3 degrees, 114 rows",
        2 * math.sqrt(3) / math.pi,
        lambda rng: np.abs(rng.standard_t(3, size=114)),
    )
    for phi in (0.5, 0.8):
        for rows in (114, 360):
            series, time = _correlated(rows, phi), np.arange(rows)
            yield Case(
                f"accuracy 0.90, in time, correlation {phi}, {rows} rows",
                0.9,
                _in_order(series, lambda found: (found < 1.2815515655).astype(float)),
                time=time,
                share=True,
            )
            yield Case(
                f"RMSE, in time, correlation {phi}, {rows} rows",
                1.0,
                _in_order(series, np.square),
                time=time,
                root=True,
            )


def row(case: Case, tests: int) -> str:
    rng = np.random.default_rng(7)
    hits, widths = np.zeros((2, tests)), np.zeros((2, tests))
    for test in range(tests):
        values = case.draw(rng)
        for place, found in enumerate((case.before(values, rng), case.after(values, test))):
            if found is not None:
                hits[place, test] = found.low <= case.truth <= found.high
                widths[place, test] = found.high - found.low
    return _row(case.name, hits, widths)


def _row(name: str, hits: Floats, widths: Floats) -> str:
    covered, zero, wide = hits.mean(axis=1), (widths <= 0).mean(axis=1), np.median(widths, axis=1)
    rates = " | ".join(f"{covered[i]:.3f} | {zero[i]:.2f}" for i in range(2))
    return f"| {name} | {rates} | {wide[0]:.3g} → {wide[1]:.3g} |"


def auc(y: Floats, said: Floats) -> float:
    below = np.searchsorted(np.sort(said[y == 0]), said[y == 1])
    return float(below.mean() / (y == 0).sum()) if (y == 0).any() and y.any() else math.nan


def f1(y: Floats, said: Floats) -> float:
    called = said > 0
    return float(2 * (called & (y == 1)).sum() / max(called.sum() + y.sum(), 1))


def recall(y: Floats, said: Floats) -> float:
    return float((said[y == 1] > 0).mean()) if y.any() else 0.0


def r2(y: Floats, said: Floats) -> float:
    return float(1 - ((said - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def median_error(y: Floats, said: Floats) -> float:
    return float(np.median(np.abs(said - y)))


@dataclass(frozen=True)
class Other:
    """A metric that is no mean over rows.

    Attributes:
        name: In the table.
        metric: As a study would name it.
        score: The metric of targets and predictions.
        draw: Draws both for so many rows.
        classes: Whether the targets are classes.
    """

    name: str
    metric: str
    score: Callable[[Floats, Floats], float]
    draw: Callable[[np.random.Generator, int], tuple[Floats, Floats]]
    classes: bool = True


def _classes(apart: float, share: float) -> Callable[[np.random.Generator, int], tuple[Floats, Floats]]:
    def draw(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
        y = (rng.random(rows) < share).astype(float)
        return y, rng.normal(size=rows) + apart * (y - 0.5)

    return draw


def _values(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    said = rng.normal(size=rows)
    return said + 0.6 * rng.normal(size=rows), said


OTHERS = (
    Other("AUC 0.87", "auc", auc, _classes(1.6, 0.4)),
    Other("AUC 0.98", "auc", auc, _classes(2.9, 0.4)),
    Other("F1", "f1_score", f1, _classes(1.6, 0.4)),
    Other("F1, one row in 7", "f1_score", f1, _classes(2.2, 0.15)),
    Other("recall 0.86, one row in 7", "recall", recall, _classes(2.2, 0.15)),
    Other("R²", "r2_score", r2, _values, classes=False),
    Other("median error, not told by its name", "typical_error", median_error, _values, classes=False),
)


def row_of_other(other: Other, rows: int, tests: int) -> str:
    """Through what a report does: each of as many parts as a refit stores is left out."""
    rng = np.random.default_rng(7)
    truth = other.score(*other.draw(rng, 1_000_000))
    record = make_searched(12, regression=not other.classes)
    assert record.champion is not None
    every, parts = np.arange(rows), np.arange(rows) % _PARTS
    hits, widths = np.zeros((2, tests)), np.zeros((2, tests))
    for test in range(tests):
        y, said = other.draw(rng, rows)
        whole = other.score(y, said)
        without = np.array([other.score(y[parts != part], said[parts != part]) for part in range(parts.max() + 1)])
        left = {other.metric: LeftOut(whole, without)}
        given = Predictions(y.astype(int) if other.classes else y, said, every, parts=parts, left_out=left)
        champion = replace(record.champion, test={other.metric: whole})
        found = test_intervals(replace(record, champion=champion), given).get(other.metric)
        if found is not None:
            hits[1, test] = found.low <= truth <= found.high
            widths[1, test] = found.high - found.low
    row = _row(f"{other.name}, {rows} rows", hits, widths)
    return row.replace("| 0.000 | 1.00 |", "| none | |", 1).replace("0 → ", "", 1)


def table(tests: int) -> Iterator[str]:
    """In Markdown, line by line."""
    yield f"{tests:,} simulated tests per row; the nominal coverage is 0.95."
    yield ""
    yield "| test | coverage before | zero width | coverage now | zero width | median width |"
    yield "|---|---|---|---|---|---|"
    for case in cases():
        yield row(case, tests)
    for other in OTHERS:
        for rows in (36, 114, 400):
            yield row_of_other(other, rows, tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    put_as_measured(args.write, "intervals", table(args.tests))


if __name__ == "__main__":
    main()
