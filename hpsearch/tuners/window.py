"""The part of a long history that a model reads, so that a suggestion costs the same after 600 trials and after 10,000.

Optuna's TPE reads every trial for every suggestion, some microseconds each. Its good group has at most 25 trials, and
in the other group a trial counts the less the older it is. So the best of the old trials and all later ones tell it
nearly what all would.
"""

from collections.abc import Sequence
from heapq import nsmallest

from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.history import replaced
from hpsearch.tuners.outcome import score_of

KEPT = 500
"""Trials that are read at least, if there are so many: the latest of those that have ended one after the other."""

BLOCK = 125
"""The window moves by so many trials at a time: a mirror of it must be made anew each time."""

BEST = 25
"""Of the trials before the window, so many are read as well: those of the largest good group."""


class Window:
    """Chooses trials by the history alone. All of a history of up to ``KEPT + BLOCK`` trials.

    Args:
        direction: ``"minimize"`` or ``"maximize"``.
    """

    def __init__(self, direction: str) -> None:
        self._sign = -1.0 if direction == "maximize" else 1.0
        self._history: list[Trial] = []
        self._start = 0
        self._best: list[Trial] = []

    def of(self, history: Sequence[Trial]) -> list[Trial]:
        """The best trials before the window and those in it, in order of their numbers.

        The window begins so that `KEPT` to ``KEPT + BLOCK`` trials of it come before the first one that has not ended.
        """
        changed = replaced(self._history, history)
        if len(history) < len(self._history) or (changed and changed[0] < self._start + KEPT):
            self._start, self._best = 0, []
        self._history, start = list(history), self._start
        while len(history) >= (end := start + BLOCK + KEPT) and _have_ended(history[start:end]):
            start += BLOCK
        if start != self._start:
            self._start, self._best = start, self._best_of(history[:start])
        return [*self._best, *history[start:]]

    def _best_of(self, trials: Sequence[Trial]) -> list[Trial]:
        scored = [
            (self._sign * score, trial.number, trial)
            for trial in trials
            if trial.state is TrialState.COMPLETE and (score := score_of(trial)) is not None
        ]
        return sorted((trial for _, _, trial in nsmallest(BEST, scored)), key=lambda trial: trial.number)


def _have_ended(trials: Sequence[Trial]) -> bool:
    return all(trial.state.finished for trial in trials)
