"""``[search] stop = "auto"``: the search ends when what it can still gain is less than its folds can tell.

The idea is that of A. Makarova and others, "Automatic Termination for Hyperparameter Optimization" (AutoML 2022): a
score over folds is known up to its noise, so an improvement that is smaller is none. Two things are different here.
The noise is that of the residuals of trials by folds, because what all trials find hard in a fold does not decide
between them. And the gain is the largest expected improvement, not a bound on the regret.
``python -m benchmarks.stopping`` measures how often it stops too early, and the rule as published beside it.
"""

from collections.abc import Sequence

import numpy as np

from hpsearch.core.facts import DataFacts, Stopped
from hpsearch.core.rehearsed import Undefined
from hpsearch.core.space import Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import StudySpec
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.gain import ExpectedGain

SHARE = 1 / 5
"""The search ends once the gain is below this share of the noise. Larger ones stopped too early, on other seeds of the
tables than those that ``benchmarks.stopping`` reports."""

FEWEST = 10
"""Results that are needed. A process on fewer trials can be sure of what is not so."""

_EVERY = 4
"""The rule is asked after so many more results."""


def check_folds(spec: StudySpec, data: DataFacts, undefined: Sequence[Undefined]) -> None:
    """Refuse the rule where folds cannot say how noisy they are.

    Raises:
        SpecError: The objective has a value in one fold only.
    """
    left_out = next((one.folds for one in undefined if one.metric == spec.objective.metric), ())
    if spec.search.stop == "auto" and data.n_folds - len(left_out) < 2:
        raise SpecError(
            'search.stop: "auto" compares folds, but the score comes from one fold only',
            code="one-fold",
            hint="remove `stop`, or validate on several folds",
            key="search.stop",
        )


class StopRule:
    """Says when a study's search is over. A function of the study and of the trials that it is shown, never of timing.

    Args:
        record: The study.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._spec, self._objective = record.spec, record.objective
        self._schedule = record.facts.schedule
        self._ratio = record.facts.validation_ratio(record.objective.metric)
        self._stopped, self._guide = record.facts.stopped, record.facts.guide
        self._space: Space | None = None
        self._gain: ExpectedGain | None = None
        self._asked = -1

    @property
    def has_stopped(self) -> bool:
        """Whether the study was stopped before, and nobody has asked it to go on since."""
        return self._stopped is not None and not self._stopped.overruled

    def before(self, number: int, trials: Sequence[Trial], space: Space) -> Stopped | None:
        """Whether to stop before trial `number` is suggested.

        Args:
            number: Of the next trial.
            trials: All trials so far.
            space: The space as far as it is known.
        """
        known, before = self._schedule.known(number), self._schedule.known(number - 1)
        due = known >= FEWEST and known // _EVERY > before // _EVERY and number != self._asked
        if self._spec.search.stop == "none" or self._stopped is not None or not due:
            return None
        self._asked = number
        return self.after(trials[:known], len(trials), space)

    def among(self, ended: Sequence[Trial], begun: int, space: Space) -> Stopped | None:
        """Whether to stop where trials end in any order, because several drivers train them.

        Args:
            ended: Those that have ended.
            begun: How many have begun.
            space: The space as far as it is known.
        """
        due = len(ended) >= FEWEST and len(ended) // _EVERY > self._asked // _EVERY
        if self._spec.search.stop == "none" or self._stopped is not None or not due:
            return None
        self._asked = len(ended)
        return self.after(ended, begun, space)

    def after(self, known: Sequence[Trial], begun: int, space: Space) -> Stopped | None:
        """Whether these results are enough."""
        noise = self._noise(known)
        if noise is None:
            return None
        if self._gain is None or space is not self._space:
            self._space, self._gain = space, ExpectedGain(self._settings(space))
        gain = self._gain.after(known)
        if gain is None or gain >= SHARE * noise:
            return None
        return Stopped(begun, self._spec.search.trials, gain, noise)

    def _settings(self, space: Space) -> TunerSettings:
        direction, constraints = self._objective.direction, self._objective.constraints
        return TunerSettings(space, direction, self._spec.seed, taken=self._guide, constraints=constraints)

    def _noise(self, known: Sequence[Trial]) -> float | None:
        """The noise of a good trial's score over the folds; None if nobody can say.

        Of the residuals of a two-way layout, the better half of the trials by folds. Folds share training rows, so the
        variance of a mean is ``(1/K + ratio) * s²`` (C. Nadeau, Y. Bengio, "Inference for the Generalization Error",
        Machine Learning 52, 2003).
        """
        complete = [one for one in known if one.state is TrialState.COMPLETE]
        ranked = sorted(complete, key=self._objective.rank_key)
        folds = len(ranked[0].fold_scores) if ranked else 0
        alike = [one.fold_scores for one in ranked[: max(4, len(ranked) // 2)] if len(one.fold_scores) == folds]
        scores = np.array(alike)
        if folds < 2 or len(alike) < 2 or not np.isfinite(scores).all():
            return None
        residuals = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
        variance = (residuals**2).sum() / ((len(scores) - 1) * (folds - 1))
        return float(np.sqrt((1 / folds + self._ratio) * variance)) or None
