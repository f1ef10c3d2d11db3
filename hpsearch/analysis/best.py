"""Many trials against the best of them: which are worse by more than chance, without losing the truly best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.statistics import ALPHA, Floats

SPREADS_FROM = 5
"""Fewer trials say too little about how much their spreads differ: their variance is pooled."""

Flags = NDArray[np.bool_]

_WILD = 0.01
"""How often a study is thought to have a wild trial although it has none."""

_CLASSES = 16
"""Spreads are put into so many classes where a trial counts by its spread only: 2,000 trials cost what 200 do."""


@dataclass(frozen=True, slots=True)
class BestTest:
    """One trial against the best.

    Attributes:
        difference: By how much its mean is worse, on the scale of the comparison; below 0 if it is better there.
        standard_error: Of that difference, corrected for training rows that folds share.
        t: Their quotient; infinite if the folds leave no doubt.
        p: The chance that a trial as good as the best looks this much worse, or that any other of those not yet told
            apart does, with the observed best as the control: see :func:`compare_to_best` for what that leaves out.
    """

    difference: float
    standard_error: float
    t: float
    p: float


@dataclass(frozen=True, slots=True)
class BestComparison:
    """All trials against the best.

    Attributes:
        tests: One per trial, in the order given.
        degrees: Degrees of freedom of a standard error.
        shared: Weight of the pooled variance in a trial's own, from 0 to 1; 1 if the spreads do not differ by more
            than chance.
        logarithmic: Whether logarithms are compared, as of losses whose spread grows with their size.
        visible: The smallest difference from the best score that is told, for a trial of the usual spread.
    """

    tests: tuple[BestTest, ...]
    degrees: float
    shared: float
    logarithmic: bool
    visible: float


def compare_to_best(scores: Floats, best: int, *, maximize: bool, ratio: float) -> BestComparison:
    """Compare trials with the best of them, over the same folds.

    *Variance.* Of the residuals of a two-way layout, trials by folds: what all trials find hard in a fold is no noise.
    It is pooled over trials. Where their spreads differ by more than chance, a trial's variance is a weighted mean of
    its own and the pooled one, with the weight that the spreads suggest (G. K. Smyth, "Linear Models and Empirical
    Bayes Methods for Assessing Differential Expression in Microarray Experiments", Statistical Applications in
    Genetics and Molecular Biology 3, 2004). Trials that jump from fold to fold unlike all others are left out of the
    pool, so that they hide no other, and keep their own variance. Losses are compared by their logarithms if the
    spreads differ less there.

    *Overlap.* Folds share training rows, so the variance of a mean is ``(1/K + ratio) * s²`` and not ``s²/K``
    (C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003).

    *Many to best.* The observed best is the control of one-sided comparisons (J. C. Hsu, "Simultaneous Confidence
    Intervals for All Distances from the Best", Annals of Statistics 9, 1981; C. W. Dunnett, JASA 50, 1955), from the
    worst trial upwards, each time among those that are left (U. D. Naik, Communications in Statistics 4, 1975). So the
    truly best trial is called worse in at most 5 % of studies. No p-value is below Student's two-sided one, because the
    data have picked the control. ``python -m benchmarks.ties`` measures error rates and power.

    Not covered: if several trials are equally and truly best, each of them has these 5 %.

    Args:
        scores: Shape ``(n_trials, n_folds)``, at least 2 of both, all finite.
        best: The row of the observed best.
        maximize: Whether higher is better.
        ratio: See :attr:`hpsearch.core.facts.DataFacts.validation_ratio`.
    """
    k = scores.shape[1]
    logarithmic = not maximize and bool((scores > 0).all()) and _unevenness(np.log(scores)) < _unevenness(scores)
    winner = float(scores[best].mean())
    scores = scores if maximize else -np.log(scores) if logarithmic else -scores
    variances, degrees, shared, wild = _variances(scores)
    differences, errors, t = _behind(scores.mean(axis=1), variances, best, 1 / k + ratio)
    usual = float(np.sqrt((1 / k + ratio) * (np.median(variances) + variances[best])))
    family = _Family(np.sqrt(variances), float(np.sqrt(variances[best])), degrees, pooled=shared == 1)
    p = np.maximum(family.p_values(t, best), _at_least(t, wild, best, k))
    rows = zip(differences.tolist(), errors.tolist(), t.tolist(), p.tolist(), strict=True)
    visible = usual * family.critical(best)
    return BestComparison(
        tests=tuple(BestTest(*row) if i != best else BestTest(0.0, 0.0, 0.0, 1.0) for i, row in enumerate(rows)),
        degrees=degrees,
        shared=shared,
        logarithmic=logarithmic,
        visible=winner * float(np.expm1(visible)) if logarithmic else visible,
    )


def _behind(means: Floats, variances: Floats, best: int, share: float) -> tuple[Floats, Floats, Floats]:
    """(how far each trial is behind the best, the standard error of that, their ratio)."""
    differences = means[best] - means
    errors = np.sqrt(share * (variances + variances[best]))
    # Scores such as 0.9 and 0.7 + 0.2 differ in the last bit only, which is no spread to divide by.
    errors[errors < 1e-12 * np.maximum(1.0, np.abs(means))] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(differences == 0, 0.0, differences / errors)
    t[best] = -np.inf
    return differences, errors, t


def _at_least(t: Floats, wild: Flags, best: int, k: int) -> Floats:
    """The p-value of a comparison with a wild trial is no smaller than its own few folds allow, for all trials alike:
    C. E. Bonferroni's bound.
    """
    from scipy.special import stdtr

    alone = 2 * stdtr(k - 1, -np.abs(t))
    floor: Floats = np.where(wild, np.minimum(1.0, alone / 2 * (len(t) - 1)), alone if wild[best] else 0.0)
    return floor


def _unevenness(scores: Floats) -> float:
    """How much the trials' spreads over the folds differ: the variance of their logarithms."""
    own, wild = _own_variances(scores)
    spreads = own[~wild]
    return float(np.log(np.maximum(spreads, _least(spreads))).var(ddof=1))


def _own_variances(scores: Floats) -> tuple[Floats, Flags]:
    """(each trial's variance over the folds, which trials are wild).

    What is hard for all trials in a fold is taken out: what is hard for the tame ones, because a wild trial would
    look like a hard fold.
    """
    from scipy.special import chdtri, fdtri

    n, k = scores.shape
    centred = scores - scores.mean(axis=1, keepdims=True)
    tame = np.ones(n, dtype=bool)
    if n >= SPREADS_FROM:
        rough = ((centred - np.median(centred, axis=0)) ** 2).sum(axis=1) / (k - 1)
        usual = np.median(rough) * (k - 1) / chdtri(k - 1, 0.5)
        tame = rough <= usual * fdtri(k - 1, (n - 1) * (k - 1), 1 - _WILD / n)
    if tame.sum() < SPREADS_FROM:
        tame[:] = True
    m = int(tame.sum())
    own = ((centred - centred[tame].mean(axis=0)) ** 2).sum(axis=1) / (k - 1)
    return own * np.where(tame, m / (m - 1), m / (m + 1)), ~tame


def _least(spreads: Floats) -> float:
    """A trial with hardly any spread, by luck, counts as one with this variance: its logarithm would be endless."""
    return max(1e-3 * float(np.median(spreads)), 1e-300)


def _variances(scores: Floats) -> tuple[Floats, float, float, Flags]:
    """(variance of each trial, degrees of freedom, weight of the pooled variance, which trials are wild)."""
    own, wild = _own_variances(scores)
    n, k = int((~wild).sum()), scores.shape[1]
    half, most = (k - 1) / 2, float((n - 1) * (k - 1))
    prior, centre = _prior(own[~wild], half) if n >= SPREADS_FROM and own.any() else (np.inf, 0.0)
    if 2 * prior > 10 * most:
        return np.where(wild, own, own[~wild].mean()), most, 1.0, wild
    weight = prior / (prior + half)
    return weight * centre + (1 - weight) * own, min(2 * (prior + half), most), float(weight), wild


def _prior(own: Floats, half: float) -> tuple[float, float]:
    """Smyth's prior of variances: (half of its degrees of freedom, its centre)."""
    from scipy.special import digamma, polygamma

    logs = np.log(np.maximum(own, _least(own))) - digamma(half) + np.log(half)
    beyond_chance = float(logs.var(ddof=1) - polygamma(1, half))
    if beyond_chance <= 0:
        return np.inf, 0.0
    prior = _inverse_trigamma(beyond_chance)
    return prior, float(np.exp(logs.mean() + digamma(prior) - np.log(prior)))


def _inverse_trigamma(value: float) -> float:
    """Where the trigamma function has a value, by Newton's method (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(50):
        there = float(polygamma(1, x))
        step = there * (1 - there / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def _upper(degrees: float, tail: float) -> float:
    """Student's t that is exceeded with a probability of `tail`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - tail))


@dataclass(frozen=True)
class _Family:
    """The distribution of the largest of many comparisons with one control.

    Attributes:
        spreads: Standard deviation of each trial.
        control: Of the control.
        degrees: Degrees of freedom of the variances.
        pooled: Whether all share one variance. Otherwise each has its own, and the mean of a trial is Student's.
    """

    spreads: Floats
    control: float
    degrees: float
    pooled: bool

    def p_values(self, t: Floats, best: int) -> Floats:
        """Step-down p-values, from the largest t; 1 for the best itself."""
        from scipy.special import stdtr

        n = len(t)
        order = np.argsort(-t, kind="stable")[: n - 1]
        p = np.ones(n)
        alone = 2 * stdtr(self.degrees, -np.abs(t))
        reached = 0.0
        for place, trial in enumerate(order):
            if t[trial] <= 0:
                break
            largest = 0.0 if np.isinf(t[trial]) else self._exceeding(float(t[trial]), order[place:])
            reached = max(reached, largest, float(alone[trial]))
            p[trial] = min(reached, 1.0)
        return p

    def critical(self, best: int) -> float:
        """The t from which the first comparison tells two trials apart."""
        others = np.delete(np.arange(len(self.spreads)), best)
        low, high = _upper(self.degrees, ALPHA / 2), 1e2
        if self._exceeding(low, others) <= ALPHA:
            return low
        for _ in range(24):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self._exceeding(middle, others) > ALPHA else (low, middle)
        return high

    def _exceeding(self, t: float, among: NDArray[np.intp]) -> float:
        """The chance that at least one of these comparisons exceeds t although all trials are equally good."""
        from scipy.special import gammaincinv, ndtr, ndtri, stdtr, stdtrit

        # The middles of equally likely slices: of the control's luck, and of the luck of a shared variance.
        slices = (np.arange(160) + 0.5) / 160
        if self.pooled or not self.control:
            some = (np.arange(40) + 0.5) / 40
            scale = np.sqrt(2 * gammaincinv(self.degrees / 2, some) / self.degrees)
            inside = ndtr(ndtri(slices)[:, None] + np.sqrt(2) * t * scale)
            return float(1 - (inside ** len(among)).mean())
        edges = np.quantile(self.spreads[among], np.linspace(0, 1, _CLASSES + 1))
        place = np.clip(np.searchsorted(edges, self.spreads[among], side="right") - 1, 0, _CLASSES - 1)
        counts = np.bincount(place, minlength=_CLASSES)
        sums = np.bincount(place, weights=self.spreads[among], minlength=_CLASSES)
        usual = sums[counts > 0] / counts[counts > 0]
        luck = stdtrit(self.degrees, slices)[:, None] * self.control
        inside = stdtr(self.degrees, (t * np.hypot(usual, self.control) + luck) / usual)
        return float(1 - np.prod(inside ** counts[counts > 0], axis=1).mean())
