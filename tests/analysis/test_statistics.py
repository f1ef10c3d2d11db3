"""The formulas against independent computations and simulations. Seeds are fixed; the odds are those of a correct
program failing with a fresh seed."""

import math
from statistics import fmean, variance

import numpy as np
import pytest
from scipy import stats

from hpsearch.analysis.statistics import corrected_t_test, corrected_t_tests, selection_optimism

A = (0.93, 0.95, 0.91, 0.96, 0.94)
B = (0.90, 0.94, 0.905, 0.92, 0.935)


def test_without_correction_it_is_the_paired_t_test():
    ours = corrected_t_test(A, B, ratio=0.0)
    theirs = stats.ttest_rel(A, B)
    assert ours.t == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_corrected_formula_written_out_by_hand():
    # Nadeau & Bengio 2003: t = mean(d) / sqrt((1/J + n2/n1) s²), J - 1 degrees of freedom; 5 folds of 100 rows.
    differences = [a - b for a, b in zip(A, B, strict=True)]
    t = fmean(differences) / math.sqrt((1 / 5 + 20 / 80) * variance(differences))
    ours = corrected_t_test(A, B, ratio=20 / 80)
    assert ours.t == pytest.approx(t)
    # Student's t with 4 degrees of freedom has a closed form of its distribution function.
    x = t / math.sqrt(4 + t * t)
    cdf = 0.5 + 0.75 * (x - x**3 / 3)
    assert ours.p == pytest.approx(2 * (1 - cdf))
    assert ours.degrees == 4
    assert ours.difference == pytest.approx(fmean(differences))


def test_equal_differences_leave_no_doubt_either_way():
    same, shifted = corrected_t_tests(A, np.array([A, [a - 0.1 for a in A]]), ratio=0.25)
    assert (same.t, same.p) == (0.0, 1.0)
    assert shifted.t == -math.inf
    assert shifted.p == 0.0


def test_one_fold_cannot_be_tested():
    with pytest.raises(ValueError, match="a paired test needs at least 2 folds, but got 1"):
        corrected_t_test([0.9], [0.8], ratio=0.25)


def test_error_rate_of_the_corrected_test():
    """Two equally useless regressions on 300 data sets, ten random splits of 90 + 10 rows each.

    The plain paired t-test finds far too many of them different; the corrected one keeps to its 5 %. A test with a true
    rate of 5 % exceeds 10 % of 300 with odds of 1 in 5,000.
    """
    rng = np.random.default_rng(11)
    plain = corrected = 0
    for _ in range(300):
        x, y = rng.normal(size=(2, 100)), rng.normal(size=100)
        losses = np.empty((2, 10))
        for split in range(10):
            order = rng.permutation(100)
            train, test = order[:90], order[90:]
            for learner in range(2):
                slope, level = np.polyfit(x[learner, train], y[train], 1)
                losses[learner, split] = np.mean((y[test] - slope * x[learner, test] - level) ** 2)
        plain += corrected_t_test(losses[0], losses[1], ratio=0.0).p < 0.05
        corrected += corrected_t_test(losses[0], losses[1], ratio=10 / 90).p < 0.05
    assert corrected <= 30
    assert plain > 2 * max(corrected, 10)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_optimism_is_near_the_truth(spread):
    """20 trials × 5 folds, noise 1 per fold: the estimate against the known excess, averaged over 150 studies.

    The estimator is conservative by up to a third, as Tsamardinos and others find too. The average has a standard error
    of about 0.035, so a correct program leaves the bounds with odds below 1 in 1,000.
    """
    rng = np.random.default_rng(5)
    truth, estimate = [], []
    for study in range(150):
        worth = -spread * rng.exponential(size=20)
        scores = worth[:, None] + rng.normal(size=(1, 5)) + rng.normal(size=(20, 5))
        means = scores.mean(axis=1)
        best = means.argmax()
        truth.append(means[best] - worth[best] - (scores - worth[:, None]).mean())
        estimate.append(selection_optimism(scores, seed=study, resamples=200))
    assert fmean(truth) - 0.12 < fmean(estimate) < 1.4 * fmean(truth) + 0.12


def test_optimism_vanishes_where_one_trial_is_clearly_best():
    scores = np.random.default_rng(0).normal(size=(10, 5))
    scores[3] += 100
    assert selection_optimism(scores, seed=1) == 0.0


def test_optimism_needs_something_to_pick_from():
    with pytest.raises(ValueError, match="at least 2 trials and 2 folds, but got 1 and 5"):
        selection_optimism(np.zeros((1, 5)), seed=0)
