"""hpsearch's own tuner: a space-filling design, then a Gaussian process and expected improvement.

It is made for small studies of wide bundles. Trials whose results a suggestion may not know count as if they had scored
what the process expects of them, so that suggestions made together differ (the "kriging believer" of Ginsbourger et al.
2010). In a study with limits, an improvement counts as much as it is likely that a config keeps them
(:mod:`~hpsearch.tuners.feasibility`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.space import Config
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.distinct import Algorithm, Seen
from hpsearch.tuners.feasibility import Feasibility
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
        known, limits = surrogate.known(history), surrogate.feasibility(history)
        if number < self._startup or surrogate.is_flat or (len(known) < 2 and limits is None):
            return self._design.propose(history, seen, attempt)
        configs, points, merit = self._judged(history, known, limits)
        apart = surrogate.apart(points, history)
        order = np.argsort(np.where(apart < _APART, merit - 1e6, merit))[::-1].tolist()
        new = next((configs[i] for i in order if configs[i] not in seen), None)
        return self._design.propose(history, seen, attempt) if new is None else new

    def _judged(
        self, history: Sequence[Trial], known: Sequence[Trial], limits: Feasibility | None
    ) -> tuple[Sequence[Config], Floats, Floats]:
        """Candidates, their points, and what a trial of each is worth."""
        number, surrogate = len(history), self._surrogate
        kept = [trial.state is not TrialState.INFEASIBLE for trial in known]
        if limits is not None and (len(known) < 2 or not any(kept)):
            # Nothing keeps the limits so far: where they are likely to be kept.
            configs, points = surrogate.candidates(number, [trial.config for trial in self._nearest(history)])
            return configs, points, limits.log_probability(points)
        fitted = surrogate.fit(known)
        process, y = fitted.process, fitted.y
        if pending := [trial.config for trial in surrogate.inside(history) if not trial.state.finished]:
            waiting = surrogate.points(pending)
            process = process.with_observations(waiting, process.predict(waiting)[0])
        best = [i for i in np.argsort(-y).tolist() if kept[i]]
        configs, points = surrogate.candidates(number, [known[i].config for i in best[:5]])
        mean, deviation = process.predict(points)
        # The best that is believed, not the best that was seen: of noisy scores the largest is the luckiest.
        believed = fitted.best(known, process)
        if believed is None or (number % 2 and _stale(y[kept]) >= _STALE):
            merit = np.log(deviation)
        else:
            merit = log_expected_improvement(mean, deviation, believed)
        return configs, points, merit if limits is None else merit + limits.log_probability(points)

    def _nearest(self, history: Sequence[Trial]) -> Sequence[Trial]:
        """The trials that break the limits least."""
        constraints = self._settings.constraints
        measured = [trial for trial in self._surrogate.inside(history) if trial.measured and trial.state.finished]
        return sorted(measured, key=lambda trial: constraints.violation(trial.measured))[:5]


def _stale(y: Floats) -> int:
    """For how many trials none has been better than the best before by more than little."""
    good = y >= y.max() - 0.05 * (y.max() - np.median(y))
    return len(y) - 1 - int(np.argmax(good))
