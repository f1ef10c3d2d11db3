"""When no trial is suggested any more, or not yet."""

import math
import time
from collections.abc import Callable, Sequence

from hpsearch.core.space import Space
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.claims import Claims
from hpsearch.search.entering import Entering
from hpsearch.search.stopping import StopRule


class Limits:
    """``trials``, ``max_hours`` and ``stop`` of ``[search]``, and the results that a suggestion has to wait for.

    Args:
        record: The study.
        claims: Which trials are this driver's.
        entering: Told if ``stop`` ends the search.
        note: Told what the user should know.
    """

    def __init__(self, record: StudyRecord, claims: Claims, entering: Entering, note: Callable[[str], None]) -> None:
        self._search, self._claims, self._entering, self._note = record.spec.search, claims, entering, note
        self._stop = StopRule(record)
        self._over = self._stop.has_stopped
        self._first_unfinished = 0
        self._deadline = time.monotonic() + 3600 * (self._search.max_hours or math.inf)

    def exhausted(self, number: int) -> None:
        """All configs of the space have been tried, in so many trials."""
        self._over = True
        self._note(f"space exhausted: all {number} configs have been tried")

    def allow(self, trials: Sequence[Trial], space: Space) -> bool:
        """Whether the next trial may be suggested now.

        Args:
            trials: All so far.
            space: The space as far as it is known.
        """
        number = len(trials)
        if self._over or number >= self._search.trials:
            return False
        if time.monotonic() > self._deadline:
            self._over = True
            self._note(f"max_hours = {self._search.max_hours:g} reached after {number} trials")
            return False
        while self._first_unfinished < number and trials[self._first_unfinished].state.finished:
            self._first_unfinished += 1
        if self._first_unfinished < self._claims.awaited(number):
            return False
        stopped = self._claims.enough(self._stop, trials, space)
        if stopped is not None:
            self._over = True
            self._entering.end(stopped)
        return not self._over
