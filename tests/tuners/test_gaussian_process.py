"""The Gaussian process against scikit-learn's and against plain formulas."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hpsearch.tuners import gaussian_process as module
from hpsearch.tuners.gaussian_process import GaussianProcess, log_expected_improvement

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
