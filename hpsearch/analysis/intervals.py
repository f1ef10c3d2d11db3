"""Intervals for a metric of test rows, from its values per row, or from its values with some rows left out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis import words
from hpsearch.analysis.statistics import Floats

CONFIDENCE = 0.95
_TAIL = (1 + CONFIDENCE) / 2
_RESAMPLES = 2000
_MOST_UNITS = 1000
"""More rows are put together at random: nothing is gained by resampling them one by one."""

_LEAST_BLOCKS = 8
_LEAST_RESAMPLED = 8
"""Draws of fewer units are often all alike, and then have no standard error."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval that covers the true value in so many of all tests.

    Attributes:
        low: Lower end.
        high: Upper end, always above the lower one.
        confidence: From 0 to 1.
        method: How it was computed, with its source.
    """

    low: float
    high: float
    confidence: float
    method: str


@dataclass(frozen=True, slots=True)
class Units:
    """What was drawn independently: rows, groups, or blocks of time.

    Attributes:
        sums: Sum of the metric's values over the rows of each unit.
        sizes: Number of rows of each unit.
        name: What a unit is, in the plural.
    """

    sums: Floats
    sizes: Floats
    name: str = "rows"

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def error(self) -> float:
        """Standard error of the mean over all rows, linearised."""
        off = self.sums - self.mean * self.sizes
        n = len(off)
        return float(np.sqrt(n / (n - 1) * (off**2).sum()) / self.sizes.sum())

    @property
    def is_level(self) -> bool:
        """Whether the units do not differ."""
        return self.error < 1e-12 * max(1.0, abs(self.mean))

    def merged(self, place: NDArray[np.intp], name: str) -> "Units":
        """Units put together: `place` is the number of the new unit of each."""
        sums, sizes = (np.bincount(place, weights=one) for one in (self.sums, self.sizes))
        return Units(sums.astype(float), sizes.astype(float), name)


def units_of(values: Floats, *, groups: NDArray[np.generic] | None, time: NDArray[np.generic] | None) -> Units:
    """Values of rows as independent units: groups if there are any, else blocks of time, else the rows.

    Args:
        values: One per row.
        groups: Group of each row.
        time: Time of each row, in any unit that sorts.
    """
    if groups is not None:
        place = np.unique(groups, return_inverse=True)[1]
        return Units(values, np.ones(len(values))).merged(place, "groups")
    if time is not None:
        return in_blocks(Units(values[np.argsort(time, kind="stable")], np.ones(len(values))))
    return Units(values, np.ones(len(values)))


def in_blocks(ordered: Units) -> Units:
    """Blocks of neighbours in time, three times as long as the correlation of their values suggests.

    The length is that of D. N. Politis, H. White, "Automatic Block-Length Selection for the Dependent Bootstrap",
    Econometric Reviews 23, 2004. Blocks are treated as independent, so they must be longer than for their bootstrap,
    and never shorter than 2 n^(1/3), because short series hide their correlation.
    """
    n = len(ordered.sums)
    length = max(3 * _block_length(ordered.sums / ordered.sizes), math.ceil(2 * n ** (1 / 3)))
    blocks = int(np.clip(n // length, min(_LEAST_BLOCKS, n), n))
    return ordered.merged(np.arange(n) * blocks // n, "blocks of time")


def _block_length(series: Floats) -> int:
    n = len(series)
    centred = series - series.mean()
    most = min(n - 1, int(math.sqrt(n)) + 10)
    covariances = np.array([centred[: n - lag] @ centred[lag:] / n for lag in range(most + 1)])
    if covariances[0] <= 0:
        return 1
    negligible = np.abs(covariances[1:] / covariances[0]) < 2 * math.sqrt(math.log10(max(n, 2)) / n)
    run = max(5, int(math.sqrt(math.log10(max(n, 2)))))
    last = next((lag for lag in range(most) if negligible[lag : lag + run].all()), most)
    lags = np.arange(1, min(2 * last, most) + 1)
    if not len(lags):
        return 1
    taper = np.minimum(1.0, 2 * (1 - lags / (2 * last)))
    bent = 2 * float((taper * lags * covariances[lags]).sum())
    spectrum = covariances[0] + 2 * float((taper * covariances[lags]).sum())
    if spectrum <= 0 or bent == 0:
        return 1
    return max(1, math.ceil(float((1.5 * (bent / spectrum) ** 2 * n) ** (1 / 3))))


def share_interval(units: Units) -> Interval:
    """For a share of rows, such as accuracy: E. B. Wilson, JASA 22, 1927.

    Where units hold several rows, with the effective number of rows (E. L. Korn, B. I. Graubard, Survey Methodology 24,
    1998): as many independent rows as would give the same standard error.
    """
    from scipy.special import ndtri, stdtrit

    share, rows, n = units.mean, float(units.sizes.sum()), len(units.sums)
    z = float(ndtri(_TAIL))
    method = "Wilson's score interval (1927)"
    if n < rows:
        method += f" with the effective number of rows of {n} {units.name} (Korn & Graubard 1998)"
        plain = share * (1 - share) / rows
        rows = rows / max(units.error**2 / plain, 1.0) if plain > 0 and n > 1 else float(n)
        rows *= (z / float(stdtrit(max(n - 1, 1), _TAIL))) ** 2
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    # At an end, both halves are equal but for rounding.
    return Interval(0.0 if share <= 0 else low, 1.0 if share >= 1 else high, CONFIDENCE, method)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a metric's values lie."""

    low: float = -math.inf
    high: float = math.inf

    def stretched(self, value: Floats) -> Floats:
        """On a scale without ends, where distributions are less skewed: log, or logit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if math.isfinite(self.low) and math.isfinite(self.high):
                return np.log((value - self.low) / (self.high - value))
            if math.isfinite(self.low):
                return np.log(value - self.low)
            return -np.log(self.high - value) if math.isfinite(self.high) else np.asarray(value)

    def slope(self, value: Floats) -> Floats:
        """Of :meth:`stretched`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if math.isfinite(self.low) and math.isfinite(self.high):
                return 1 / (value - self.low) + 1 / (self.high - value)
            if math.isfinite(self.low):
                return 1 / (value - self.low)
            return 1 / (self.high - value) if math.isfinite(self.high) else np.ones_like(value)

    def back(self, value: Floats) -> Floats:
        """From that scale."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) / (1 + np.exp(-value))
        if math.isfinite(self.low):
            return self.low + np.exp(value)
        return self.high - np.exp(-value) if math.isfinite(self.high) else np.asarray(value)


def error_interval(units: Units, *, seed: int) -> Interval | None:
    """For an error that is a mean over rows and never below 0: bootstrap-t (B. Efron, R. Tibshirani, "An Introduction
    to the Bootstrap", 1993, chapter 12) over units, on the log scale.

    Args:
        units: What is drawn with replacement.
        seed: Decides the draws.

    Returns:
        None if the units do not differ: nothing says how far the truth may be away.
    """
    if len(units.sums) < _LEAST_RESAMPLED:
        return jackknife_interval(units, Bounds(low=0.0), value=units.mean)
    rng = np.random.default_rng(seed)
    if len(units.sums) > _MOST_UNITS:
        order = rng.permutation(len(units.sums))
        place = np.empty_like(order)
        place[order] = np.arange(len(order)) % _MOST_UNITS
        units = units.merged(place, units.name)
    if units.is_level:
        return None
    n, here = len(units.sums), units.mean
    means, errors = _resampled(units, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.log(means / here) * means / errors
    t = np.nan_to_num(t[~np.isnan(t)], posinf=1e6, neginf=-1e6)
    least, most = np.quantile(t, [1 - _TAIL, _TAIL])
    low, high = here * np.exp(-np.array([most, least]) * units.error / here)
    method = f"bootstrap-t over {n} {units.name} (Efron & Tibshirani 1993){_of_heavy_tails(units)}"
    return Interval(float(low), float(high), CONFIDENCE, method)


def jackknife_interval(units: Units, bounds: Bounds, *, value: float) -> Interval | None:
    """For a metric that is no mean over rows: Student's t with the jackknife's standard error (J. W. Tukey, Annals of
    Mathematical Statistics 29, 1958), on a scale on which the metric has no ends.

    Pseudo-values are not resampled: how skewed they are follows from the metric's curvature near its bound, for which
    the scale makes up already. ``python -m benchmarks.intervals`` measures it.

    Args:
        units: Jackknife pseudo-values.
        bounds: Of the metric.
        value: The metric's value.

    Returns:
        None if the units do not differ, or if the metric is at its bound.
    """
    from scipy.special import stdtrit

    n = len(units.sums)
    if n < 2 or units.is_level or value in (bounds.low, bounds.high):
        return None
    centre, slope = bounds.stretched(np.array(value)), bounds.slope(np.array(value))
    reach = float(stdtrit(n - 1, _TAIL)) * slope * units.error
    with np.errstate(over="ignore"):  # the end is then at the bound
        low, high = bounds.back(np.array([centre - reach, centre + reach]))
    return Interval(float(low), float(high), CONFIDENCE, f"jackknife over {n} {units.name} (Tukey 1958)")


def bound_interval(rows: int, bounds: Bounds, *, value: float) -> Interval | None:
    """Of a metric at one of its bounds: at most 3.7 in so many rows are otherwise (E. B. Wilson, JASA 22, 1927), each
    by no more than the whole range.

    Args:
        rows: How many could have been otherwise.
        bounds: Of the metric; None is returned unless it has both.
        value: The bound that the metric has reached.
    """
    span = bounds.high - bounds.low
    if not math.isfinite(span) or rows < 1:
        return None
    share = share_interval(Units(np.full(rows, (value - bounds.low) / span), np.ones(rows)))
    low, high = bounds.low + span * share.low, bounds.low + span * share.high
    return Interval(low, high, CONFIDENCE, f"{share.method}, as if {words.several(rows, 'row')} decided")


def _resampled(units: Units, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Means and their standard errors of units drawn with replacement."""
    n = len(units.sums)
    draws = rng.integers(0, n, size=(_RESAMPLES, n)) + n * np.arange(_RESAMPLES)[:, None]
    counts = np.bincount(draws.ravel(), minlength=n * _RESAMPLES).reshape(_RESAMPLES, n).astype(float)
    off, sizes = units.sums - units.mean * units.sizes, units.sizes
    moments = counts @ np.stack([off, sizes, off**2, off * sizes, sizes**2], axis=1)
    shifts = moments[:, 0] / moments[:, 1]
    squares = moments[:, 2] - 2 * shifts * moments[:, 3] + shifts**2 * moments[:, 4]
    return units.mean + shifts, np.sqrt(n / (n - 1) * np.maximum(squares, 0.0)) / moments[:, 1]


def _of_heavy_tails(units: Units) -> str:
    """Words if a single unit makes up so much that no method can tell what others like it would add.

    Without bounds on the tails, no interval of a mean holds its promise (R. R. Bahadur, L. J. Savage, Annals of
    Mathematical Statistics 27, 1956). The largest of n squared normal errors is about 2 ln n times the mean.
    """
    n, largest = len(units.sums), float(np.abs(units.sums).max() / np.abs(units.sums).sum())
    if largest < 5 * math.log(n) / n:
        return ""
    return f"; one of them makes up {words.percent(largest)} of it, so the tails are heavy and it covers less often"
