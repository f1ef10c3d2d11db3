"""Many trials against the best, on simulated studies whose truth is known. Seeds are fixed; bounds leave room for a
fresh seed."""

import numpy as np
import pytest
from scipy import stats

from hpsearch.analysis.best import _Family, compare_to_best
from hpsearch.analysis.statistics import ALPHA

K, RATIO = 5, 0.25


def called_worse(scores, *, maximize=True, ratio=RATIO):
    means = scores.mean(axis=1)
    found = compare_to_best(scores, int(means.argmax() if maximize else means.argmin()), maximize=maximize, ratio=ratio)
    return np.array([test.p < ALPHA for test in found.tests])


def study(rng, truth, *, noise=1.0):
    """Scores whose means vary as the overlap of training rows makes them: their variance is (1/K + ratio) noise²."""
    errors = rng.normal(size=(len(truth), K))
    errors -= errors.mean(axis=1, keepdims=True)
    means = rng.normal(size=(len(truth), 1)) * np.sqrt(1 / K + RATIO)
    return np.asarray(truth)[:, None] + noise * (errors + means)


def test_equals_are_rarely_called_worse():
    """20 identical configs whose folds are independent: one of them was called worse in a third of studies and more."""
    rng = np.random.default_rng(2)
    assert np.mean([called_worse(rng.normal(size=(20, K))).any() for _ in range(300)]) <= 0.05


@pytest.mark.parametrize("worse", [[0.5] * 19, [3.0] * 19, list(np.linspace(0.2, 4, 19)), [0.0] + [3.0] * 18])
def test_the_truly_best_is_called_worse_in_one_of_twenty_studies_at_most(worse):
    rng = np.random.default_rng(3)
    lost = np.mean([called_worse(study(rng, [0.0, *(-gap for gap in worse)]))[0] for _ in range(200)])
    assert lost <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 200)


def test_far_worse_trials_are_found():
    rng = np.random.default_rng(4)
    found = [called_worse(study(rng, [0.0] * 10 + [-5.0] * 10))[10:].mean() for _ in range(60)]
    assert np.mean(found) > 0.9


def test_a_wild_trial_hides_no_other():
    rng = np.random.default_rng(5)
    noise = np.array([1.0] * 19 + [30.0])[:, None]
    found = [called_worse(study(rng, [0.0] * 9 + [-6.0] * 10 + [-99.0], noise=noise))[9:19].mean() for _ in range(40)]
    assert np.mean(found) > 0.8


def test_losses_whose_spread_grows_with_them_are_compared_by_their_logarithms():
    rng = np.random.default_rng(6)
    worth = np.geomspace(0.01, 10, 12)
    scores = worth[:, None] * np.exp(0.1 * rng.normal(size=(12, K)))
    found = compare_to_best(scores, int(scores.mean(axis=1).argmin()), maximize=False, ratio=RATIO)
    assert found.logarithmic
    assert called_worse(scores, maximize=False).sum() == 11
    shifted = 5 + rng.normal(size=(12, 1)) + 0.1 * rng.normal(size=(12, K))
    assert called_worse(shifted, maximize=False).sum() == called_worse(-shifted).sum()


def test_two_trials_are_tested_as_a_pair_is():
    """With two trials and no overlap, it is Student's paired test, two-sided because the data pick the better one."""
    a, b = np.random.default_rng(7).normal(size=(2, 8))
    a += 0.9
    best = int(b.mean() > a.mean())
    found = compare_to_best(np.array([a, b]), best, maximize=True, ratio=0.0)
    assert found.tests[1 - best].p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=0.02)


def test_the_critical_value_is_dunnetts():
    """Against 40,000 simulated families of 9 comparisons with 40 degrees of freedom."""
    rng = np.random.default_rng(8)
    differences = rng.normal(size=(40_000, 9)) - rng.normal(size=(40_000, 1))
    largest = (differences / np.sqrt(2 * rng.chisquare(40, size=(40_000, 1)) / 40)).max(axis=1)
    family = _Family(np.ones(10), control=1.0, degrees=40.0, pooled=True)
    assert family.critical(0) == pytest.approx(np.quantile(largest, 0.95), rel=0.015)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_scores_without_any_spread_leave_no_doubt(n):
    scores = np.linspace(0.9, 0.7, n)[:, None] + np.array([[0.0, 0.01, 0.02]])
    assert called_worse(scores, ratio=0.5).tolist() == [False] + [True] * (n - 1)
    assert not called_worse(np.full((n, 3), 0.8), ratio=0.5).any()
