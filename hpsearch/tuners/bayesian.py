"""hpsearch's own tuner: a space-filling design, then a Gaussian process and expected improvement.

It is made for small studies of wide bundles. Trials whose results a suggestion may not know count as if they had scored
what the process expects of them, so that suggestions made together differ (the "kriging believer" of Ginsbourger et al.
2010).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.space import Config
from hpsearch.core.trial import Trial
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.distinct import Algorithm, Seen
from hpsearch.tuners.gaussian_process import log_expected_improvement
from hpsearch.tuners.optuna import QuasiRandom
from hpsearch.tuners.surrogate import Surrogate

Floats = NDArray[np.float64]

STARTUP_TRIALS = 6
"""Trials of the design, unless the study file says otherwise."""

_APART = 0.04
"""Share of a range by which a suggestion differs from all trials, in one hyperparameter at least, as long as it can.

What differs less teaches less than the folds' noise hides.
"""

_STALE = 6
"""After so many trials without a better one, every other suggestion goes where the process knows least.

It is then wrong about where the best is, or has found it.
"""


class Bayesian(Algorithm):
    """See the module.

    Args:
        settings: The study's.
    """

    redraws = 0

    def __init__(self, settings: TunerSettings) -> None:
        self._settings = settings
        self._startup = STARTUP_TRIALS if settings.startup_trials is None else settings.startup_trials
        self._design = QuasiRandom(settings)
        self._surrogate = Surrogate(settings)

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """The config with the largest expected improvement; a point of the design as long as nothing is known."""
        with self._surrogate.one_thread():
            return self._propose(history, seen, attempt)

    def _propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        number, surrogate = len(history), self._surrogate
        known = surrogate.known(history)
        if number < self._startup or surrogate.is_flat or len(known) < 2:
            return self._design.propose(history, seen, attempt)
        fitted = surrogate.fit(known)
        process, y = fitted.process, fitted.y
        if pending := [trial.config for trial in surrogate.inside(history) if not trial.state.finished]:
            waiting = surrogate.points(pending)
            process = process.with_observations(waiting, process.predict(waiting)[0])
        configs, points = surrogate.candidates(number, [known[i].config for i in np.argsort(-y)[:5]])
        mean, deviation = process.predict(points)
        if number % 2 and _stale(y) >= _STALE:
            merit = deviation
        else:
            # The best that is believed, not the best that was seen: of noisy scores the largest is the luckiest.
            merit = log_expected_improvement(mean, deviation, float(process.predict(process.x)[0].max()))
        apart = surrogate.apart(points, history)
        order = np.argsort(np.where(apart < _APART, merit - 1e6, merit))[::-1].tolist()
        new = next((configs[i] for i in order if configs[i] not in seen), None)
        return self._design.propose(history, seen, attempt) if new is None else new


def _stale(y: Floats) -> int:
    """For how many trials none has been better than the best before by more than little."""
    good = y >= y.max() - 0.05 * (y.max() - np.median(y))
    return len(y) - 1 - int(np.argmax(good))
