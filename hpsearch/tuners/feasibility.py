"""How likely a config is to keep a study's limits: a Gaussian process on every constraint.

Expected improvement times this probability is what a trial is worth (Gardner et al. 2014, "Bayesian optimization with
inequality constraints").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from hpsearch.core.constraints import Constraint, Constraints
from hpsearch.tuners.gaussian_process import TREND, GaussianProcess

Floats = NDArray[np.float64]

_FEWEST = 2
"""Trials that a process needs."""


@dataclass(frozen=True)
class _Limit:
    """A process on one constraint: negative where it is kept, in units of its deviation.

    Attributes:
        process: On standardised values.
        zero: Where the limit lies among these.
    """

    process: GaussianProcess
    zero: float


@dataclass(frozen=True)
class Feasibility:
    """What is known of the limits after some trials."""

    limits: tuple[_Limit, ...]
    groups: NDArray[np.intp]

    @classmethod
    def fit(
        cls,
        points: Floats,
        measured: Sequence[Mapping[str, float]],
        constraints: Constraints,
        groups: NDArray[np.intp],
    ) -> "Feasibility | None":
        """The processes after some trials; None if no constraint is known of two of them.

        Args:
            points: Shape ``(trials, columns)``.
            measured: What each of them has been measured to be, as far as it is known.
            constraints: The study's.
            groups: Of the columns. What another study expects of the score says nothing of a limit.
        """
        own = groups != TREND
        found = [_fitted(points[:, own], measured, one, groups[own]) for one in constraints.each]
        limits = tuple(one for one in found if one is not None)
        return cls(limits, groups) if limits else None

    def log_probability(self, points: Floats) -> Floats:
        """The logarithm of the probability that points keep all limits, as if these were independent."""
        total: Floats = np.zeros(len(points))
        for one in self.limits:
            mean, deviation = one.process.predict(points[:, self.groups != TREND])
            total = total + log_ndtr((one.zero - mean) / deviation)
        return total


def _fitted(
    points: Floats, measured: Sequence[Mapping[str, float]], constraint: Constraint, groups: NDArray[np.intp]
) -> _Limit | None:
    places = [place for place, one in enumerate(measured) if constraint.quantity in one]
    if len(places) < _FEWEST:
        return None
    margins = np.array([constraint.margin(measured[place][constraint.quantity]) for place in places])
    # Sizes differ by powers of ten. This keeps the limit at 0, and models that are far too large from hiding it.
    values = np.sign(margins) * np.log1p(np.abs(margins))
    middle, unit = float(values.mean()), max(float(values.std()), 1e-6)
    process = GaussianProcess.fit(points[places], (values - middle) / unit, groups)
    return _Limit(process, -middle / unit)
