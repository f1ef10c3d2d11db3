"""Measures how often the interval of a test score covers the truth, and how wide it is.

Each case draws test rows again and again from a population whose score is known. Before: the percentile bootstrap over
rows. After: what a study's report says.

    python -m benchmarks.intervals [--tests 1000] [--write docs/trust.md]
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import put
from hpsearch.analysis.intervals import Bounds, Interval, mean_interval, share_interval, units_of
from hpsearch.analysis.tested import bounds_of, units_from_left_out

Floats = NDArray[np.float64]
_PARTS = 100
"""As many parts as :mod:`hpsearch.training.left_out` leaves out."""


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
    draw: Callable[[np.random.Generator], Floats]
    groups: NDArray[np.intp] | None = None
    time: NDArray[np.intp] | None = None
    share: bool = False
    root: bool = False

    def after(self, values: Floats, seed: int) -> Interval | None:
        units = units_of(values, groups=self.groups, time=self.time)
        found = share_interval(units) if self.share else mean_interval(units, Bounds(low=0.0), seed=seed)
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


def _right(share: float, rows: int) -> Callable[[np.random.Generator], Floats]:
    return lambda rng: (rng.random(rows) < share).astype(float)


def _grouped(rng: np.random.Generator) -> Floats:
    """40 groups of 9 rows, 0.9 right, with an intraclass correlation of 0.3."""
    shares = rng.beta(0.9 * (1 / 0.3 - 1), 0.1 * (1 / 0.3 - 1), size=(40, 1))
    return (rng.random((40, 9)) < shares).astype(float).ravel()


def _correlated(rows: int, phi: float) -> Callable[[np.random.Generator], Floats]:
    """A stationary autoregression of order 1 with variance 1."""

    def draw(rng: np.random.Generator) -> Floats:
        found = rng.normal(size=rows)
        for i in range(1, rows):
            found[i] = phi * found[i - 1] + math.sqrt(1 - phi * phi) * found[i]
        return found

    return draw


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
                lambda rng, errors=errors, rows=rows: errors(rng, rows) ** 2,  # type: ignore[misc]
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
                lambda rng, series=series: (series(rng) < 1.2815515655).astype(float),  # type: ignore[misc]
                time=time,
                share=True,
            )
            yield Case(
                f"RMSE, in time, correlation {phi}, {rows} rows",
                1.0,
                lambda rng, series=series: series(rng) ** 2,  # type: ignore[misc]
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
    from scipy.stats import rankdata

    positive = int(y.sum())
    return float((rankdata(said)[y == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive)))


def f1(y: Floats, said: Floats) -> float:
    called = said > 0
    return float(2 * (called & (y == 1)).sum() / (called.sum() + y.sum()))


def r2(y: Floats, said: Floats) -> float:
    return float(1 - ((said - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def others() -> Iterator[tuple[str, str, Callable[[Floats, Floats], float], Callable[..., tuple[Floats, Floats]], int]]:
    """Metrics that are no means over rows."""

    def classes(rng: np.random.Generator, rows: int, *, apart: float = 1.6) -> tuple[Floats, Floats]:
        y = (rng.random(rows) < 0.4).astype(float)
        return y, rng.normal(size=rows) + apart * (y - 0.5)

    def values(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
        said = rng.normal(size=rows)
        return said + 0.6 * rng.normal(size=rows), said

    for rows in (36, 114, 400):
        yield f"AUC 0.87, {rows} rows", "auc", auc, classes, rows
        yield f"F1, {rows} rows", "f1_score", f1, classes, rows
        yield f"R², {rows} rows", "r2_score", r2, values, rows
    yield (
        "AUC 0.98, 114 rows",
        "auc",
        auc,
        lambda rng, rows: classes(rng, rows, apart=2.9),
        114,
    )


def row_of_other(
    name: str,
    metric: str,
    score: Callable[[Floats, Floats], float],
    draw: Callable[..., tuple[Floats, Floats]],
    rows: int,
    tests: int,
) -> str:
    rng = np.random.default_rng(7)
    truth = score(*draw(rng, 1_000_000))
    hits, widths = np.zeros((2, tests)), np.zeros((2, tests))
    for test in range(tests):
        y, said = draw(rng, rows)
        whole = score(y, said)
        parts = np.arange(rows) % _PARTS
        without = np.array([score(y[parts != part], said[parts != part]) for part in range(min(_PARTS, rows))])
        units = units_from_left_out(whole, without, parts)
        found = mean_interval(units, bounds_of(metric, [whole, *without.tolist()]), seed=test, value=whole)
        if found is not None:
            hits[1, test] = found.low <= truth <= found.high
            widths[1, test] = found.high - found.low
    return _row(name, hits, widths).replace("| 0.000 | 1.00 |", "| none | |", 1).replace("0 → ", "", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    lines = [
        f"{args.tests:,} simulated tests per row; the nominal coverage is 0.95.",
        "",
        "| test | coverage before | zero width | coverage now | zero width | median width |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases():
        lines.append(row(case, args.tests))
        print(lines[-1], flush=True)
    for other in others():
        lines.append(row_of_other(*other, args.tests))
        print(lines[-1], flush=True)
    if args.write:
        put(args.write, "intervals", lines)


if __name__ == "__main__":
    main()
