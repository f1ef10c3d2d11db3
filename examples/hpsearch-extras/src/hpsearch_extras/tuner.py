"""A tuner: change one hyperparameter of the best trial so far."""

import random
from collections.abc import Sequence

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Trial
from hpsearch.tuners.base import Tuner, TunerProvider, TunerSettings
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.distinct import Algorithm, DistinctTuner, Seen
from hpsearch.tuners.outcome import score_of


class ClimbTuners(TunerProvider):
    """What ``[search] tuner = "climb"`` names."""

    algorithms = ("one-at-a-time",)

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        # DistinctTuner replaces proposals that the history already has, and ends a finite space with None.
        return DistinctTuner(settings, OneAtATime(settings))


class OneAtATime(Algorithm):
    """Draws one hyperparameter of the best trial anew and keeps the others.

    The first ``[search] startup_trials`` configs (5 by default) are random.
    """

    redraws = 20

    def __init__(self, settings: TunerSettings) -> None:
        self._settings = settings
        self._dimensions = Dimensions(settings.space)

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        # The seed is a function of its purpose, the trial and the attempt, so the same history gives the same config.
        rng = random.Random(derive(self._settings.seed, "climb", len(history), attempt))
        best = self._best(history)
        if best is None or not self._dimensions.searched:
            return self._dimensions.build(lambda dimension: dimension.uniform(rng))
        kept = dict(best)
        kept.pop(rng.choice(self._dimensions.searched).name, None)
        # A hyperparameter that the change activates has no value to keep: it is drawn, too.
        return self._dimensions.build(lambda one: kept[one.name] if one.name in kept else one.uniform(rng))

    def _best(self, history: Sequence[Trial]) -> dict[str, int | float] | None:
        """The best config in plain numbers, once there are enough scores."""
        space, choose = self._settings.space, max if self._settings.direction == "maximize" else min
        scores = {number: score_of(trial) for number, trial in enumerate(history) if space.contains(trial.config)}
        known = {number: score for number, score in scores.items() if score is not None}
        if len(known) < (self._settings.startup_trials or 5):
            return None
        return self._dimensions.encode(history[choose(known, key=known.__getitem__)].config)
