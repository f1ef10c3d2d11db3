"""A small Gaussian process: a Matérn-5/2 kernel with one length for every hyperparameter, and noise.

Its settings are those of the largest posterior probability. The priors are wide, and centred where inputs between 0 and
1 put a smooth function (Hvarfner et al. 2024, "Vanilla Bayesian optimization performs great in high dimensions", on why
the prior of the lengths matters).

One column may be a trend: what another model expects there. The process follows it times a factor that it learns. The
factor has a normal prior, so it is integrated out: a trend that holds is followed, one that does not gets a factor near
0, and one that is upside down a negative one (Kennedy & O'Hagan 2000, "Predicting the output from a complex computer
code when fast approximations are available").
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

_LENGTH, _SIGNAL, _NOISE = (np.log(0.6), 0.8), (0.0, 0.7), (np.log(0.03), 1.2)
"""Mean and deviation of the logarithm of a length, of the signal's variance, and of the noise's."""

_BOUNDS = ((np.log(0.05), np.log(20.0)), (np.log(0.05), np.log(20.0)), (np.log(1e-4), np.log(2.0)))

TREND = -1
"""The group of the column that is a trend, standardised like the observations."""

_FACTOR, _FACTOR_DEVIATION = 0.5, 0.5
"""Prior of the trend's factor: another model is likely to be of use, and may be of none."""

_ROOT5 = np.sqrt(5.0)


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on observations.

    Args:
        x: Shape ``(n, columns)``, between 0 and 1.
        y: Shape ``(n,)``, standardised.
        groups: Number of the length that each column has; columns of one hyperparameter share one. Or :data:`TREND`.
        settings: Logarithms of the lengths, of the signal's variance and of the noise's.
        middle: The trend's mean at the observations, where theirs is 0.
    """

    x: Floats
    y: Floats
    groups: NDArray[np.intp]
    settings: Floats
    middle: float = 0.0

    @classmethod
    def fit(cls, x: Floats, y: Floats, groups: NDArray[np.intp]) -> "GaussianProcess":
        """The process with the most probable settings. The arguments are those of the class."""
        count = int(groups.max()) + 1
        apart = _squares(x, x, groups, count)
        trend, middle = _trend(x, groups), float(_trend(x, groups).mean())
        rest = y - _FACTOR * (trend - middle)
        along = _FACTOR_DEVIATION**2 * np.outer(trend - middle, trend - middle)
        means = np.array([_LENGTH[0]] * count + [_SIGNAL[0], _NOISE[0]])
        deviations = np.array([_LENGTH[1]] * count + [_SIGNAL[1], _NOISE[1]])
        bounds = [_BOUNDS[0]] * count + list(_BOUNDS[1:])

        def loss(settings: Floats) -> tuple[float, Floats]:
            value, gradient = _misfit(apart, rest, settings, along)
            off = (settings - means) / deviations
            return value + 0.5 * float(off @ off), gradient + off / deviations

        found = [
            minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
            for start in (means, means + np.array([1.2] * count + [0.0, -1.5]))
        ]
        best = min(found, key=lambda one: float(one.fun))
        return cls(x, y, groups, np.asarray(best.x), middle)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function, without noise, at some points."""
        lengths, signal, noise = _read(self.settings)
        here, there = (_trend(one, self.groups) - self.middle for one in (self.x, points))
        kernel = _kernel(_squares(self.x, self.x, self.groups, len(lengths)), lengths, signal)
        kernel += _FACTOR_DEVIATION**2 * np.outer(here, here)
        lower = cholesky(kernel + (noise + 1e-8) * np.eye(len(self.y)), lower=True)
        across = _kernel(_squares(self.x, points, self.groups, len(lengths)), lengths, signal)
        across += _FACTOR_DEVIATION**2 * np.outer(here, there)
        mean = _FACTOR * there + across.T @ cho_solve((lower, True), self.y - _FACTOR * here)
        explained = solve_triangular(lower, across, lower=True)
        before = signal + _FACTOR_DEVIATION**2 * there**2
        variance = np.maximum(before - (explained**2).sum(axis=0), 1e-12)
        return mean, np.sqrt(variance)

    def with_observations(self, x: Floats, y: Floats) -> "GaussianProcess":
        """The same settings, and some more observations."""
        return replace(self, x=np.vstack([self.x, x]), y=np.concatenate([self.y, y]))


def log_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """The logarithm of how far, on average, a normal variable lies above `best`, at least 0.

    In logarithms, points that are hopeless are still ranked (Ament et al. 2023, "Unexpected improvements to expected
    improvement for Bayesian optimization").
    """
    z = (mean - best) / deviation
    near = np.maximum(z, -25.0)
    density = np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi)
    plain = density + near * np.exp(log_ndtr(near))
    # phi(z) + z Phi(z) is about phi(z) / z**2 far below, where the sum cancels.
    far = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(np.maximum(-z, 1.0))
    found: Floats = np.log(deviation) + np.where(z > -6.0, np.log(np.maximum(plain, 1e-300)), far)
    return found


def _read(settings: Floats) -> tuple[Floats, float, float]:
    values = np.exp(settings)
    return values[:-2], float(values[-2]), float(values[-1])


def _squares(one: Floats, other: Floats, groups: NDArray[np.intp], count: int) -> Floats:
    """Squared distances in every group, shape ``(count, n, m)``."""
    found = np.zeros((count, len(one), len(other)))
    for column, group in enumerate(groups):
        if group != TREND:
            found[group] += (one[:, column, None] - other[None, :, column]) ** 2
    return found


def _trend(points: Floats, groups: NDArray[np.intp]) -> Floats:
    """The column that is a trend; zeros if there is none."""
    found: Floats = points[:, groups == TREND].sum(axis=1)
    return found


def _kernel(apart: Floats, lengths: Floats, signal: float) -> Floats:
    r = np.sqrt(np.tensordot(1 / lengths**2, apart, axes=1))
    found: Floats = signal * (1 + _ROOT5 * r + 5 / 3 * r**2) * np.exp(-_ROOT5 * r)
    return found


def _misfit(apart: Floats, y: Floats, settings: Floats, along: Floats | float = 0.0) -> tuple[float, Floats]:
    """Minus the logarithm of the probability of the observations, and its gradient.

    `along` is the covariance that the trend adds.
    """
    lengths, signal, noise = _read(settings)
    r = np.sqrt(np.tensordot(1 / lengths**2, apart, axes=1))
    decay = np.exp(-_ROOT5 * r)
    kernel = signal * (1 + _ROOT5 * r + 5 / 3 * r**2) * decay
    n = len(y)
    try:
        lower = cholesky(kernel + along + (noise + 1e-8) * np.eye(n), lower=True)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(settings)
    weights = cho_solve((lower, True), y)
    value = 0.5 * float(y @ weights) + float(np.log(np.diag(lower)).sum())
    inner = cho_solve((lower, True), np.eye(n)) - np.outer(weights, weights)
    slope = inner * (signal * 5 / 3 * (1 + _ROOT5 * r) * decay)
    by_length = 0.5 * np.einsum("ij,gij->g", slope, apart) / lengths**2
    gradient = [*by_length, 0.5 * float((inner * kernel).sum()), 0.5 * noise * float(np.trace(inner))]
    return value, np.array(gradient)
