"""Which results a suggestion may know. That depends on its number, never on timing."""

from dataclasses import dataclass

from hpsearch.core.wire import Wire


@dataclass(frozen=True, slots=True)
class Schedule(Wire):
    """Part of a study from its beginning, because its suggestions depend on it.

    Attributes:
        startup: The first trials: their suggestions depend on no result, so all of them may train at once.
        batch: After them, trials are suggested in batches of this size. All of a batch know the results of all trials
            before it.
        lag: Trials before the batch whose results are not known either, so that workers need not wait for each other.
    """

    startup: int = 0
    batch: int = 1
    lag: int = 0

    def known(self, number: int) -> int:
        """How many of the first trials must have ended before trial `number` is suggested: it knows their results."""
        if number < self.startup:
            return 0
        return max(0, number - (number - self.startup) % self.batch - self.lag)
