"""What a suggestion may know of the trials so far."""

from collections.abc import Sequence

from hpsearch.core.trial import Trial


class Visible:
    """Trials as a suggestion sees them. Those whose results it may not know count as running.

    A trial is the same object each time, until its result becomes known: tuners need not read again what they know.
    """

    def __init__(self) -> None:
        self._shown: list[Trial] = []
        self._final = 0  # so many of the first trials have ended and are shown as they are
        self._masks: dict[int, Trial] = {}

    def to(self, known: int, trials: Sequence[Trial]) -> list[Trial]:
        """All trials, as far as a suggestion may know them.

        Args:
            known: Of so many of the first trials it may know the results.
            trials: All so far, in order of their numbers. One that has ended never changes.
        """
        final = min(self._final, known)
        while final < min(known, len(trials)) and trials[final].state.finished:
            self._show(final, trials[final])
            self._masks.pop(final, None)
            final += 1
        self._final = final
        for place in range(final, len(trials)):
            trial = trials[place]
            self._show(place, trial if place < known or not trial.state.finished else self._masked(trial))
        return self._shown[: len(trials)]

    def _show(self, place: int, trial: Trial) -> None:
        if place < len(self._shown):
            self._shown[place] = trial
        else:
            self._shown.append(trial)

    def _masked(self, trial: Trial) -> Trial:
        if trial.number not in self._masks:
            self._masks[trial.number] = Trial(trial.number, trial.config)
        return self._masks[trial.number]
