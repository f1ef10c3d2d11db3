"""What a column explains of a score, and how much pure chance would explain: smooth fits and permutations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.statistics import Floats

PERMUTATIONS = 400
MAIN_ERROR, PAIR_ERROR = 0.03, 0.01
"""How often a study of pure noise shows a column, or a pair of columns, above its floor. The rest of 5 % is a reserve:
permutations are exact for random search, but not where a search follows the scores of its earlier trials."""

COSINES = 6
LEVELS = 12
MAIN_FREEDOM, PAIR_FREEDOM = 2.0, 3.0
"""Degrees of freedom of the smooth fits: a slope and a bend; for pairs, one of each in either direction and more."""

MIN_ROWS, MIN_PAIR_ROWS = 8, 16
"""With fewer rows, beyond those that the columns above have used up, nothing can be told."""

MAX_PAIRED = 10
"""Number of columns, the strongest first, of which all pairs are tested."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values.

    Attributes:
        rows: Whether each row has a value. The column is judged among these rows only.
        features: A basis for its effect, one line per row; zero where there is no value.
        removed: How many of the features, at most, stand for the column once it is known to matter.
    """

    rows: NDArray[np.bool_]
    features: Floats
    removed: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What one column, or one pair of columns, explains beyond the effects found before it.

    Attributes:
        columns: One index or two.
        share: Part of the score's variance over all rows, less what chance explains on average.
        floor: What chance alone reaches; NaN if there are too few rows to tell.
        found: Whether the share is above the floor.
        rows: Number of rows with a value.
    """

    columns: tuple[int, ...]
    share: float
    floor: float
    found: bool
    rows: int


def number_column(values: Floats) -> Column:
    """A column of numbers, NaN where there is none.

    The basis is that of a cubic smoothing spline (G. Wahba, "Spline Models for Observational Data", SIAM 1990), as
    cosines of the values' ranks: the resolution is where the values are, however a search has spread them.
    """
    rows = np.isfinite(values)
    count = int(rows.sum())
    place = (_ranks(values[rows]) - 0.5) / max(count, 1)
    order = np.arange(1, COSINES + 1)
    features = np.zeros((len(values), COSINES))
    features[rows] = np.cos(np.pi * np.outer(place, order)) / order**2
    return Column(rows, features, min(COSINES, max(2, count // 6)))


def level_column(values: Sequence[str | None]) -> Column:
    """A column of unordered values, None where there is none. The rarest of many levels count as one."""
    rows = np.array([value is not None for value in values])
    present = [value for value in values if value is not None]
    names, counts = np.unique(np.array(present, dtype=object).astype(str), return_counts=True)
    kept = names[np.argsort(-counts, kind="stable")][:LEVELS]
    features = np.array([[float(value == name) for name in kept] for value in values]).reshape(len(values), len(kept))
    return Column(rows, features, len(kept))


def effects(scores: Floats, columns: Sequence[Column], *, seed: int) -> list[Effect]:
    """What each column explains by itself, then which pairs explain more than their columns do.

    The scores are replaced by normal scores of their ranks, so one failed run decides nothing. Each column explains
    what a smooth fit with two degrees of freedom explains among the rows that have a value. Its *floor* comes from
    refits to permuted scores (A. Altmann et al., "Permutation importance: a corrected feature importance measure",
    Bioinformatics 26, 2010), with one level for all columns, so that the largest of them exceeds its floor in 3 % of
    all studies in which nothing matters (P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", 1993).

    A search makes columns depend on each other: it tries good values of all of them at the same time. So the clearest
    effect is found first and taken out of scores and columns, and only then the others are judged on what is left, by
    permuted residuals (D. Freedman, D. Lane, J. Business & Economic Statistics 1, 1983), until none exceeds its floor.
    Pairs follow in the same way, at 1 %.

    Args:
        scores: One per row, higher or lower is better.
        columns: At least one.
        seed: Of the permutations.

    Returns:
        One effect per column, those found first, in the order found, then the others by share; then the pairs found.
    """
    y = _normal_scores(scores)
    search = _Search(y, np.random.default_rng(seed))
    singles, bases = [(i,) for i in range(len(columns))], [_single(column) for column in columns]
    mains = search.run(singles, bases, error=MAIN_ERROR, freedom=MAIN_FREEDOM, least=MIN_ROWS)
    strongest = [effect.columns[0] for effect in mains[:MAX_PAIRED]]
    pairs = [(a, b) for place, a in enumerate(strongest) for b in strongest[place + 1 :]]
    products = [_product(columns[a], columns[b]) for a, b in pairs]
    together = search.run(pairs, products, error=PAIR_ERROR, freedom=PAIR_FREEDOM, least=MIN_PAIR_ROWS)
    return mains + [pair for pair in together if pair.found]


def _normal_scores(scores: Floats) -> Floats:
    from scipy.special import ndtri  # takes 0.2 s, too long for the import of this module

    normal: Floats = ndtri((_ranks(scores) - 0.5) / len(scores))
    return np.asarray(normal - normal.mean())


@dataclass(frozen=True, slots=True)
class _Basis:
    """What is judged: features over rows, and what must be taken out of both sides first."""

    rows: NDArray[np.bool_]
    features: Floats
    before: tuple[Floats, ...]
    removed: int


def _single(column: Column) -> _Basis:
    return _Basis(column.rows, column.features, (), column.removed)


def _product(a: Column, b: Column) -> _Basis:
    rows = a.rows & b.rows
    left, right = (one.features[:, :3] if one.removed <= COSINES else one.features for one in (a, b))
    features = (left[:, :, None] * right[:, None, :]).reshape(len(rows), -1)
    before = (a.features[:, : a.removed], b.features[:, : b.removed])
    return _Basis(rows, features, before, max(2, int(rows.sum()) // 10))


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left to explain, among the rows that have a value.

    Attributes:
        taken: Orthonormal columns that have been taken out.
        samples: The scores without them, then permutations of these without them, one per column, all of length 1.
        scale: Their variance, of the variance of all scores.
    """

    taken: Floats
    samples: Floats
    scale: float

    @property
    def freedom(self) -> int:
        return int(len(self.taken) - self.taken.shape[1])


@dataclass(frozen=True, slots=True)
class _Judged:
    """The part of the variance that a fit explains: of the scores, and of their permutations.

    Attributes:
        value: For the scores.
        permuted: For each permutation.
        chance: The mean over all permutations, exactly.
        scale: The variance that was left to explain, of the variance over all rows.
    """

    value: float
    permuted: Floats
    chance: float
    scale: float

    def share(self, value: float) -> float:
        return (value - self.chance) / (1 - self.chance) * self.scale


class _Search:
    """Finds one effect after the other. What has been found is taken out of all that follows."""

    def __init__(self, y: Floats, rng: np.random.Generator) -> None:
        self._y, self._rng = y, rng
        self._found: list[Floats] = []

    def run(
        self, labels: Sequence[tuple[int, ...]], bases: Sequence[_Basis], *, error: float, freedom: float, least: int
    ) -> list[Effect]:
        found: list[Effect] = []
        waiting = list(range(len(labels)))
        while waiting:
            left = self._left()
            judged = {i: self._judge(bases[i], left(bases[i].rows), freedom=freedom, least=least) for i in waiting}
            known = [i for i in waiting if judged[i] is not None]
            floors, excess = _floors([one for i in known if (one := judged[i])], error=error)
            best = int(np.argmax(excess)) if known else -1
            if known and excess[best] > 0:
                chosen = known[best]
                found.append(_effect(labels[chosen], bases[chosen], judged[chosen], floors[best]))
                self._found.append(bases[chosen].features[:, : bases[chosen].removed])
                waiting.remove(chosen)
                continue
            level = dict(zip(known, floors, strict=True))
            rest = [_effect(labels[i], bases[i], judged[i], level.get(i)) for i in waiting]
            return found + sorted(rest, key=lambda effect: -effect.share)
        return found

    def _left(self) -> Callable[[NDArray[np.bool_]], _Left]:
        """What is left after all that has been found.

        Columns that share rows share permutations, so that the largest value of a permutation is that of one study.
        """
        keys = self._rng.random((len(self._y), PERMUTATIONS))
        known: dict[bytes, _Left] = {}

        def left(rows: NDArray[np.bool_]) -> _Left:
            if rows.tobytes() not in known:
                count = int(rows.sum())
                taken = _orthonormal(np.hstack([np.ones((count, 1)), *(one[rows] for one in self._found)]))
                y = _without(taken, self._y[rows, None])
                samples = np.hstack([y, _without(taken, y[np.argsort(keys[rows], axis=0), 0])])
                samples /= np.sqrt((samples**2).sum(axis=0)) + 1e-300
                known[rows.tobytes()] = _Left(taken, samples, float((y**2).sum() / (self._y**2).sum()))
            return known[rows.tobytes()]

        return left

    def _judge(self, basis: _Basis, left: _Left, *, freedom: float, least: int) -> _Judged | None:
        rows = basis.rows
        if left.freedom < least - 1 or not left.scale > 1e-9:
            return None
        features = _without(left.taken, basis.features[rows])
        if basis.before:
            features = _without(
                _orthonormal(_without(left.taken, np.hstack([b[rows] for b in basis.before]))), features
            )
        directions, weights = _smooth(features, freedom=freedom, size=float(np.abs(basis.features[rows]).max()))
        if not len(weights):
            return None
        values = weights @ (directions.T @ left.samples) ** 2
        return _Judged(float(values[0]), values[1:], float(weights.sum()) / left.freedom, left.scale)


def _without(taken: Floats, columns: Floats) -> Floats:
    return columns - taken @ (taken.T @ columns)


def _orthonormal(columns: Floats) -> Floats:
    directions, power = _directions(columns, size=float(np.abs(columns).max(initial=0.0)))
    return directions[:, power > 0]


def _directions(columns: Floats, *, size: float) -> tuple[Floats, Floats]:
    """Orthonormal columns that span the same space, and the squared size of `columns` along each."""
    power, axes = np.linalg.eigh(columns.T @ columns)
    kept = power > 1e-9 * size**2 * len(columns)
    return columns @ (axes[:, kept] / np.sqrt(power[kept])), power[kept]


def _smooth(features: Floats, *, freedom: float, size: float) -> tuple[Floats, Floats]:
    """Directions of a ridge fit with this many degrees of freedom, and how much of each the fit explains."""
    directions, power = _directions(features, size=size)
    if not len(power):
        return directions, power
    low, high = np.log(power.min()) - 20, np.log(power.max()) + 20
    for _ in range(60):
        middle = (low + high) / 2
        too_free = (power / (power + np.exp(middle))).sum() > min(freedom, 0.9 * len(power))
        low, high = (middle, high) if too_free else (low, middle)
    shrink = power / (power + np.exp(low))
    return directions, 2 * shrink - shrink**2


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the average of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _floors(judged: Sequence[_Judged], *, error: float) -> tuple[Floats, Floats]:
    """Each one's floor, so that the largest of all exceeds its own with the probability `error`; and the excess.

    The cube root makes sums of squares nearly normal (E. B. Wilson, M. M. Hilferty, PNAS 17, 1931), and thereby
    comparable between columns with different rows.
    """
    if not judged:
        return np.zeros(0), np.zeros(0)
    permuted = np.cbrt(np.stack([one.permuted for one in judged]))
    centre, spread = permuted.mean(axis=1), permuted.std(axis=1) + 1e-12
    own = (np.cbrt([one.value for one in judged]) - centre) / spread
    # The study itself is one of its permutations; without it, the promise would be broken by a quarter of a per cent.
    largest = np.append(((permuted - centre[:, None]) / spread[:, None]).max(axis=0), own.max())
    level = float(np.quantile(largest, 1 - error, method="higher"))
    return (centre + level * spread) ** 3, own - level


def _effect(label: tuple[int, ...], basis: _Basis, judged: _Judged | None, floor: float | None) -> Effect:
    rows = int(basis.rows.sum())
    if judged is None or floor is None:
        return Effect(label, 0.0, float("nan"), False, rows)
    return Effect(label, judged.share(judged.value), judged.share(float(floor)), bool(judged.value > floor), rows)
