"""Coverage of test intervals in the cases that percentile bootstraps of rows miss. Seeds are fixed; the bounds leave
room for a fresh seed."""

import numpy as np
import pytest

from hpsearch.analysis.intervals import Bounds, error_interval, jackknife_interval, share_interval, units_of
from hpsearch.analysis.tested import bounds_of, deciding_rows

RNG = np.random.default_rng(12)


def rows(values):
    return units_of(np.asarray(values, dtype=float), groups=None, time=None)


def coverage(intervals, truth):
    return np.mean([one.low <= truth <= one.high for one in intervals])


@pytest.mark.parametrize(("share", "n"), [(0.97, 36), (0.97, 114), (0.9, 114)])
def test_shares_are_covered_and_never_without_width(share, n):
    found = [share_interval(rows(RNG.random(n) < share)) for _ in range(500)]
    assert coverage(found, share) >= 0.92
    assert all(0 <= one.low < one.high <= 1 for one in found)


def test_all_right_or_all_wrong_leaves_a_width():
    right, wrong = share_interval(rows(np.ones(36))), share_interval(rows(np.zeros(36)))
    assert right.high == 1
    assert 0.88 < right.low < 0.92
    assert (wrong.low, wrong.high) == pytest.approx((1 - right.high, 1 - right.low))


def test_groups_are_drawn_whole():
    groups = np.repeat(np.arange(40), 9)
    single, grouped = [], []
    for _ in range(400):
        shares = RNG.beta(2.1, 0.2333, size=(40, 1))  # 0.9 on average, intraclass correlation 0.3
        values = (RNG.random((40, 9)) < shares).astype(float).ravel()
        single.append(share_interval(rows(values)))
        grouped.append(share_interval(units_of(values, groups=groups, time=None)))
    assert coverage(single, 0.9) < 0.85
    assert coverage(grouped, 0.9) >= 0.90
    assert "40 groups" in grouped[0].method


def test_neighbours_in_time_are_drawn_together():
    single, blocks = [], []
    for _ in range(200):
        series = RNG.normal(size=300)
        for i in range(1, 300):
            series[i] = 0.7 * series[i - 1] + np.sqrt(1 - 0.49) * series[i]
        shuffled = RNG.permutation(300)  # the rows need not come in order
        values = (series**2)[shuffled]
        single.append(error_interval(rows(values), seed=1))
        blocks.append(error_interval(units_of(values, groups=None, time=shuffled), seed=1))
    assert coverage(single, 1.0) < 0.87
    assert coverage(blocks, 1.0) >= 0.89


def test_skewed_errors_are_covered_better_than_by_percentiles():
    found, percentiles = [], 0
    for seed in range(200):
        values = RNG.laplace(size=40) ** 2
        found.append(error_interval(rows(values), seed=seed))
        means = values[RNG.integers(0, 40, (500, 40))].mean(axis=1)
        percentiles += np.quantile(means, 0.025) <= 2.0 <= np.quantile(means, 0.975)
    assert coverage(found, 2.0) >= 0.88 > percentiles / 200


@pytest.mark.parametrize(
    ("metric", "values", "bounds"),
    [
        ("auc_1", [0.9, 1.0], Bounds(0.0, 1.0)),
        ("f1_score", [0.0], Bounds(0.0, 1.0)),
        ("r2_score", [-3.0], Bounds(high=1.0)),
        ("cosine_similarity", [-0.2], Bounds(-1.0, 1.0)),
        ("huber_loss", [0.3], Bounds(low=0.0)),
        ("loss", [-4.0], Bounds()),
        ("profit", [0.5], Bounds()),
        ("accuracy_in_percent", [97.0], Bounds()),
    ],
)
def test_bounds_are_told_by_the_name_if_the_values_fit(metric, values, bounds):
    assert bounds_of(metric, values) == bounds


@pytest.mark.parametrize("bounds", [Bounds(0.0, 1.0), Bounds(-1.0, 1.0), Bounds(high=1.0), Bounds(low=0.0), Bounds()])
def test_bounded_metrics_stay_in_bounds(bounds):
    for _ in range(20):
        values = np.clip(RNG.beta(8, 1, size=4), 0.01, 0.999)
        one = jackknife_interval(rows(values), bounds, value=values.mean())
        assert bounds.low <= one.low < values.mean() < one.high <= bounds.high


def test_equal_errors_and_single_rows_have_no_interval():
    for values in (np.zeros(50), np.full(50, 0.2), np.zeros(3), [0.3]):
        assert error_interval(rows(values), seed=1) is None
    assert jackknife_interval(rows(np.ones(9)), Bounds(0.0, 1.0), value=1.0) is None


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_few_units_have_wide_intervals_with_ends(n):
    found = [error_interval(rows(RNG.exponential(size=n)), seed=seed) for seed in range(200)]
    assert all(0 <= one.low < one.high < np.inf for one in found)
    assert coverage(found, 1.0) >= 0.80


def test_rows_of_the_rarest_class_decide_how_far_a_metric_at_its_bound_may_be_away():
    classes, groups = np.array([0] * 30 + [1] * 6), np.arange(36) // 3
    assert deciding_rows(classes, 36, groups=None) == 6
    assert deciding_rows(classes, 36, groups=groups) == 2
    assert deciding_rows(None, 36, groups=groups) == 12


def test_many_rows_are_put_together():
    values = RNG.exponential(size=200_000)
    one = error_interval(rows(values), seed=1)
    assert one.high - one.low == pytest.approx(2 * 1.96 / np.sqrt(200_000), rel=0.15)
