"""How much better than the best trial so far the next one is expected to be."""

from collections.abc import Sequence

import numpy as np

from hpsearch.core.space import config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.gaussian_process import log_expected_improvement
from hpsearch.tuners.surrogate import Surrogate


class ExpectedGain:
    """A Gaussian process on a study's trials, whichever tuner has suggested them.

    Args:
        settings: The study's.
    """

    def __init__(self, settings: TunerSettings) -> None:
        self._surrogate = Surrogate(settings)

    def after(self, history: Sequence[Trial]) -> float | None:
        """The largest expected improvement of any untried config over the best one, in the metric's units.

        The best one is the one that the process believes to be the best: of noisy scores the largest is the luckiest.

        Args:
            history: The trials so far. Running ones teach nothing, and count as tried.

        Returns:
            Never below 0; None if too little is known.
        """
        with self._surrogate.one_thread():
            known = self._surrogate.known(history)
            if len(known) < 2 or self._surrogate.is_flat:
                return None
            fitted = self._surrogate.fit(known)
            process, limits = fitted.process, self._surrogate.feasibility(history)
            believed = fitted.best(known, process)
            if believed is None:  # nothing keeps the limits so far
                return None
            kept = [i for i in np.argsort(-fitted.y).tolist() if known[i].state is not TrialState.INFEASIBLE]
            best = [known[i].config for i in kept[:5]]
            configs, points = self._surrogate.candidates(len(history), best)
            tried = {config_key(trial.config) for trial in history}
            new = [i for i, config in enumerate(configs) if config_key(config) not in tried]
            if not new:
                return 0.0
            mean, deviation = process.predict(points[new])
            gains = log_expected_improvement(mean, deviation, believed)
            gains = gains if limits is None else gains + limits.log_probability(points[new])
            return float(np.exp(gains.max())) * fitted.unit
