"""The statistics behind the reports, on plain numbers, each with the source of its formula."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Two results differ if the p-value of the paired test is below this."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Outcome of the corrected resampled t-test.

    Attributes:
        difference: Mean of the paired differences, first minus second.
        standard_error: Corrected standard error of that mean.
        t: The statistic; infinite if all differences are equal and not zero.
        degrees: Degrees of freedom, number of pairs - 1.
        p: Two-sided p-value.
    """

    difference: float
    standard_error: float
    t: float
    degrees: int
    p: float

    def interval(self) -> tuple[float, float]:
        """Ends of the difference's 95 % interval."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.degrees, 1 - ALPHA / 2)) * self.standard_error
        return self.difference - reach, self.difference + reach


def corrected_t_tests(reference: Sequence[float], others: Floats, *, ratio: float) -> tuple[PairedTest, ...]:
    """Paired tests of many trials against one, over the same folds.

    The corrected resampled t-test (C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
    2003, pp. 239-281, section 4.2). The training rows of the folds overlap, so the variance of the mean difference
    exceeds s²/J. With d_j the difference on fold j, s² their sample variance (J - 1) and J folds,
    ``t = mean(d) / sqrt((1/J + n_validation / n_train) * s²)``, compared with Student's t with J - 1 degrees of
    freedom. For repeated K-fold see R. R. Bouckaert, E. Frank, PAKDD 2004.

    Args:
        reference: The reference's score on each fold, J values.
        others: Scores to compare, shape ``(n, J)``.
        ratio: See :attr:`hpsearch.core.facts.DataFacts.validation_ratio`.

    Returns:
        One test per row of `others`: that row minus the reference.

    Raises:
        ValueError: There are fewer than two folds.
    """
    n_folds = len(reference)
    if n_folds < 2:
        raise ValueError(f"a paired test needs at least 2 folds, but got {n_folds}")
    from scipy.special import stdtr  # takes 0.2 s, too long for the import of this module

    differences = np.asarray(others, dtype=float) - np.asarray(reference, dtype=float)
    means = differences.mean(axis=1)
    errors = np.sqrt((1 / n_folds + ratio) * differences.var(axis=1, ddof=1))
    # Differences such as 0.9 - 0.8 and 0.8 - 0.7 differ in the last bit only, which is no spread to divide by.
    errors[errors < 1e-12 * np.maximum(1.0, np.abs(means))] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(means == 0, 0.0, means / errors)
    p = 2 * stdtr(n_folds - 1, -np.abs(t))
    rows = zip(means.tolist(), errors.tolist(), t.tolist(), p.tolist(), strict=True)
    return tuple(PairedTest(mean, error, t_one, n_folds - 1, p_one) for mean, error, t_one, p_one in rows)


def corrected_t_test(a: Sequence[float], b: Sequence[float], *, ratio: float) -> PairedTest:
    """One paired test, `a` minus `b`; see :func:`corrected_t_tests`."""
    return corrected_t_tests(b, np.asarray([a], dtype=float), ratio=ratio)[0]


def selection_optimism(scores: Floats, *, seed: int, resamples: int = 1000) -> float:
    """How much the score of the best of N trials overstates it, because it was picked for its score.

    Bootstrap bias correction for cross-validated model selection (I. Tsamardinos, E. Greasidou, G. Borboudakis,
    "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation", Machine Learning 107,
    2018, pp. 1895-1922), here over folds: draw the folds with replacement, pick the trial with the best mean on the
    drawn folds, and compare it on the other folds with the trial that won on all folds.

    Args:
        scores: Shape ``(n_trials, n_folds)``, higher is better.
        seed: Decides the resamples.
        resamples: Number of times that the folds are drawn.

    Returns:
        The estimated difference between the winner's score and its true performance; never below 0.

    Raises:
        ValueError: There are fewer than two folds or two trials.
    """
    n_trials, n_folds = scores.shape
    if n_trials < 2 or n_folds < 2:
        raise ValueError(f"needs at least 2 trials and 2 folds, but got {n_trials} and {n_folds}")
    rng = np.random.default_rng(seed)
    winner = int(scores.mean(axis=1).argmax())
    gaps: list[float] = []
    for _ in range(math.ceil(resamples / 100)):
        drawn = rng.integers(0, n_folds, size=(100, n_folds))
        counts = (drawn[:, :, None] == np.arange(n_folds)).sum(axis=1)  # (100, n_folds)
        picked = (scores @ counts.T).argmax(axis=0)
        left_out = counts == 0
        usable = left_out.any(axis=1)
        gap = ((scores[winner] - scores[picked]) * left_out).sum(axis=1)[usable] / left_out.sum(axis=1)[usable]
        gaps.extend(gap.tolist())
    return max(0.0, float(np.mean(gaps)))


def rows_optimism(
    values: Floats, weights: Floats, units: NDArray[np.intp], *, seed: int, resamples: int = 500
) -> tuple[float, float, float]:
    """The score to expect of the config that is best on some rows, on other rows.

    Bootstrap bias correction for cross-validated model selection (I. Tsamardinos, E. Greasidou, G. Borboudakis,
    "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation", Machine Learning 107,
    2018, algorithm 5): draw rows with replacement, pick the config that is best on them, and score it on the rows that
    were not drawn.

    Args:
        values: ``(n_configs, n_rows)``, higher is better; a config may be a trial at one of its epochs.
        weights: What each row counts in a score, ``(n_rows,)``.
        units: What is drawn together, ``(n_rows,)``: the row's number, or its group's.
        seed: Decides the draws.
        resamples: Number of draws.

    Returns:
        The mean over the draws, and a range of 95 % for all rows.
    """
    rng = np.random.default_rng(seed)
    n_units = int(units.max()) + 1
    values = np.ascontiguousarray(values, dtype=np.float32)
    found: list[float] = []
    for begin in range(0, resamples, 50):
        drawn = rng.integers(0, n_units, size=(min(50, resamples - begin), n_units))
        counts = np.stack([np.bincount(one, minlength=n_units) for one in drawn])[:, units]
        inside = (counts * weights).astype(np.float32)
        picked = (values @ (inside / inside.sum(axis=1, keepdims=True)).T).argmax(axis=0)
        outside = (counts == 0) * weights
        sums = outside.sum(axis=1)
        usable = sums > 0
        scored = (values[picked[usable]] * outside[usable]).sum(axis=1) / sums[usable]
        found.extend(scored.tolist())
    mean = float(np.mean(found))
    # Of n rows, n/e are not drawn. As a part of the n, their mean has the variance (e - 1) s²/n, that of all rows s²/n.
    low, high = mean + (np.quantile(found, [0.025, 0.975]) - mean) / math.sqrt(math.e - 1)
    return mean, float(low), float(high)
