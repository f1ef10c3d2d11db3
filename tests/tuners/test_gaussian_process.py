"""The Gaussian process against scikit-learn's and against plain formulas."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hpsearch.tuners import gaussian_process as module
from hpsearch.tuners.gaussian_process import TREND, GaussianProcess, log_expected_improvement

RNG = np.random.default_rng(0)
X = RNG.random((30, 3))
Y = np.sin(5 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * RNG.normal(size=30)
Y = (Y - Y.mean()) / Y.std()
ONE_EACH = np.arange(3)


def test_predictions_are_those_of_scikit_learn():
    process = GaussianProcess.fit(X, Y, ONE_EACH)
    lengths, signal, noise = np.exp(process.settings[:-2]), *np.exp(process.settings[-2:])
    kernel = ConstantKernel(signal) * Matern(lengths, nu=2.5) + WhiteKernel(noise)
    other = GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None).fit(X, Y)
    points = RNG.random((50, 3))
    mean, deviation = process.predict(points)
    wanted, with_noise = other.predict(points, return_std=True)
    np.testing.assert_allclose(mean, wanted, atol=1e-6)
    np.testing.assert_allclose(deviation**2 + noise, with_noise**2, rtol=1e-4)


def test_the_gradient_is_that_of_the_misfit():
    groups = np.array([0, 1, 1])
    apart = module._squares(X, X, groups, 2)
    for settings in RNG.normal(size=(3, 4)) * 0.5:
        wanted = approx_fprime(settings, lambda s: module._misfit(apart, Y, s)[0], 1e-6)
        np.testing.assert_allclose(module._misfit(apart, Y, settings)[1], wanted, atol=1e-3)


def test_the_gradient_with_a_trend_is_that_of_the_misfit():
    along = np.outer(Y, Y)
    apart = module._squares(X, X, ONE_EACH, 3)
    settings = np.array([-0.3, 0.2, 0.4, -0.1, -2.0])
    wanted = approx_fprime(settings, lambda s: module._misfit(apart, Y, s, along)[0], 1e-6)
    np.testing.assert_allclose(module._misfit(apart, Y, settings, along)[1], wanted, atol=1e-3)


def test_what_matters_gets_a_short_length():
    y = np.sin(7 * X[:, 0])
    lengths = np.exp(GaussianProcess.fit(X, (y - y.mean()) / y.std(), ONE_EACH).settings[:3])
    assert lengths[0] < 0.5 * min(lengths[1:])


@pytest.mark.parametrize(("mean", "deviation"), [(0.3, 0.5), (-1.0, 0.4), (-4.0, 1.0), (1.0, 0.1)])
def test_expected_improvement_is_the_integral_of_what_is_gained(mean, deviation):
    gained, _ = (
        quad(lambda v: v * norm.pdf(v, mean, deviation), 0, mean + 12 * deviation, points=[mean], limit=200)
        if (mean + 12 * deviation > 0)
        else (0.0, 0.0)
    )
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), 0.0)[0]
    assert found == pytest.approx(np.log(gained), abs=1e-3)


def test_hopeless_points_are_still_ranked():
    found = log_expected_improvement(np.array([-5.9, -6.1, -40.0, -50.0]), np.ones(4), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


# A trend


def with_trend(x, trend):
    return np.column_stack([x, trend])


TRUTH = np.sin(5 * X[:, 0]) + X[:, 1] ** 2
TRUTH = (TRUTH - TRUTH.mean()) / TRUTH.std()
AND_TREND = np.append(ONE_EACH, TREND)


def error(x, y, groups, count):
    """Of the predictions at the points that the process was not told about."""
    process = GaussianProcess.fit(x[:count], y[:count], groups)
    return np.sqrt(np.mean((process.predict(x[count:])[0] - (TRUTH[count:] - y[:count].mean())) ** 2))


def test_without_a_trend_all_is_as_it_was():
    zeros = with_trend(X, np.zeros(30))
    one, other = GaussianProcess.fit(X, Y, ONE_EACH), GaussianProcess.fit(zeros, Y, AND_TREND)
    np.testing.assert_allclose(one.settings, other.settings)
    np.testing.assert_allclose(one.predict(X)[0], other.predict(zeros)[0])


def test_a_trend_is_integrated_out():
    """The same process with its trend as an unknown factor of normal prior, written out as a linear kernel."""
    trend = RNG.normal(size=30)
    process = GaussianProcess.fit(with_trend(X, trend), Y, AND_TREND)
    lengths, signal, noise = np.exp(process.settings[:-2]), *np.exp(process.settings[-2:])
    points, there = RNG.random((5, 3)), RNG.normal(size=5)
    kernel = ConstantKernel(signal) * Matern(lengths, nu=2.5)
    a, b = trend - trend.mean(), there - trend.mean()
    inner = kernel(X) + 0.25 * np.outer(a, a) + (noise + 1e-8) * np.eye(30)
    across = kernel(X, points) + 0.25 * np.outer(a, b)
    mean, deviation = process.predict(with_trend(points, there))
    np.testing.assert_allclose(mean, 0.5 * b + across.T @ np.linalg.solve(inner, Y - 0.5 * a), atol=1e-8)
    variance = signal + 0.25 * b**2 - np.einsum("ij,ij->j", across, np.linalg.solve(inner, across))
    np.testing.assert_allclose(deviation**2, variance, atol=1e-8)


def test_a_trend_that_holds_helps_and_one_that_is_upside_down_too():
    alone = error(X, TRUTH, ONE_EACH, 6)
    assert error(with_trend(X, TRUTH), TRUTH, AND_TREND, 6) < 0.6 * alone
    assert error(with_trend(X, 3 * TRUTH + 5), TRUTH, AND_TREND, 6) < 0.6 * alone
    assert error(with_trend(X, -TRUTH), TRUTH, AND_TREND, 12) < error(X, TRUTH, ONE_EACH, 12)


def test_a_trend_that_says_nothing_does_little_harm():
    alone, errors = error(X, TRUTH, ONE_EACH, 12), []
    for seed in range(20):
        trend = np.random.default_rng(seed).normal(size=30)
        errors.append(error(with_trend(X, trend), TRUTH, AND_TREND, 12))
    assert np.mean(errors) < 1.4 * alone
