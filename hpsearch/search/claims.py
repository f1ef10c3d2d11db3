"""Which trials are this driver's. Usually all; :mod:`~hpsearch.search.joining` has what joined drivers claim."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from hpsearch.core.facts import Stopped
from hpsearch.core.space import Space
from hpsearch.core.trial import Origin, Trial
from hpsearch.errors import LedgerError
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.stopping import StopRule


class Claims:
    """What the only driver of a study may do: everything.

    Args:
        record: The study.
        ledger: Its ledger.
    """

    joined = False
    """Whether other drivers may work at the same study."""

    def __init__(self, record: StudyRecord, ledger: Ledger) -> None:
        self._name, self._ledger, self._schedule = record.name, ledger, record.facts.schedule

    def is_first(self, record: StudyRecord) -> bool:
        """Whether nobody has trained anything for the study before."""
        return not record.trials

    # The driver's side

    def take(self, trial: Trial, space: Space) -> Trial | None:
        """Take a trial that has not ended; `space` is the space as far as it is known.

        Returns:
            The trial as the ledger now has it; None if it is another driver's.
        """
        return trial

    def news(self, begun: int, space: Space, *, at_once: bool) -> Sequence[Trial]:
        """Trials of other drivers that have begun or ended since the last call, or that have lost their drivers.

        Args:
            begun: How many trials this driver knows. New ones follow them, in order.
            space: The space as far as it is known.
            at_once: Whether the driver is about to suggest; else it may hear of them a moment later.
        """
        return ()

    def lost(self) -> Collection[int]:
        """Trials that other drivers have taken over since the last call."""
        return ()

    def enter(self, number: int, write: Callable[[], None]) -> bool:
        """Enter something of a trial; whether it is still this driver's."""
        write()
        return True

    def await_others(self) -> bool:
        """Wait a moment for other drivers' trials to end; False if all have ended."""
        return False

    # What a suggestion knows

    def awaited(self, number: int) -> int:
        """How many of the first trials must have ended before trial `number` is suggested."""
        return self._schedule.known(number)

    def known(self, number: int) -> int:
        """Of how many of the first trials a suggestion of trial `number` knows the results, as far as there are any."""
        return self._schedule.known(number)

    def enough(self, rule: StopRule, trials: Sequence[Trial], space: Space) -> Stopped | None:
        """Whether ``[search] stop`` ends the search here."""
        return rule.before(len(trials), trials, space)

    def overtaken(self, error: LedgerError, number: int, space: Space) -> Sequence[Trial]:
        """What others have entered as trial `number` and after it, while this driver was about to.

        Raises:
            LedgerError: `error`, if that must not be.
        """
        others = self._ledger.load(self._name).trials[number:]
        if not others or any(one.origin is Origin.SEARCH for one in others):
            raise error
        return others

    # The study's beginning and end

    def begin(self) -> None:
        """Enter that the study runs."""
        self._ledger.set_state(self._name, StudyState.RUNNING)

    @property
    def tracker_turn(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Waits until no other driver is in such a block; None if there cannot be another one."""
        return None

    def release(self) -> None:
        """This driver trains no more."""

    def close(self) -> None:
        """This driver has ended, whichever way."""

    def crown(self) -> bool:
        """Whether it is for this driver to make the champion."""
        return True

    def check_crown(self) -> None:
        """See that it still is, before anything is entered.

        Raises:
            LedgerError: Another driver makes the champion by now.
        """

    def end(self, state: StudyState, written: Callable[[], object]) -> StudyState | None:
        """Enter how the study has ended, unless others go on with it.

        Args:
            state: How it has ended for this driver.
            written: Waits until the tracker has what this driver has told it.

        Returns:
            What was entered; None if others go on, or have ended it already.
        """
        self._ledger.set_state(self._name, state)
        return state
