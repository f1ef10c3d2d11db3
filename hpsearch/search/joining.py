"""Several drivers on one study: what a joined driver claims of it, and how it comes and goes.

Drivers agree through the ledger's PostgreSQL alone. The study's lock, in its shared form, says who is there; leases say
who trains what (:mod:`hpsearch.ledger.leases`); and a turn, which one process has at a time, makes of "am I the first?"
and "am I the last?" one step with what follows from the answer.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace

from hpsearch.core.addresses import AnyUri, Uri, sqlite_path
from hpsearch.core.facts import Stopped
from hpsearch.core.locks import lock_study, study_holders, turn
from hpsearch.core.space import Space
from hpsearch.core.trial import Trial
from hpsearch.core.words import listed
from hpsearch.errors import LedgerError
from hpsearch.ledger.connection import explained
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.changes import differing_keys
from hpsearch.search.claims import Claims
from hpsearch.search.observer import Observer
from hpsearch.search.stopping import StopRule
from hpsearch.spec import StudySpec

JOINED_NOTE = (
    "several drivers may have searched this study (--join): which configs were suggested depends on timing, so the "
    "same study file may search others next time"
)
"""A study's note from its first joined driver on."""

_LOOK_S = 0.1
"""Between two looks at other drivers' trials, at least, while no worker waits for a suggestion."""

_POLL_S = 0.25
"""Waited at a time by a driver that has nothing to train."""

_LEAVE_S = 60.0
"""How long the driver that ends a study waits for others to have written what they know."""

_EVERY = 4
"""After so many more results, a driver looks whether ``[search] stop`` has ended the search for another one."""

_ALL = 2**31

_OWN = ("resources.", "tracking.ledger")
"""Keys that may differ between drivers, as prefixes: the same database may have several names."""


class Seat:
    """A joined driver's place at a study, from before it knows the study until it leaves.

    Args:
        uri: The ledger.
        name: The study.
        observer: Told who is waited for.
    """

    def __init__(self, uri: AnyUri, name: str, observer: Observer) -> None:
        self._uri, self._name, self._observer = Uri(uri), name, observer
        self._turn, self._lock = ExitStack(), ExitStack()

    def take(self) -> None:
        """Come: from now on until :meth:`pass_on`, no other driver comes or goes.

        Raises:
            LedgerError: A driver without ``--join`` has the study.
        """
        self.have_turn(2.0**31)
        self._lock.enter_context(lock_study(self._uri.reveal(), self._name, joined=True))

    def have_turn(self, wait_s: float = _LEAVE_S) -> None:
        """Wait until no other driver comes or goes."""

        def waiting(holder: str) -> None:
            self._observer.note(f"waiting for {holder}, which begins or ends study {self._name!r}")

        with explained(self._uri):
            doing = f"beginning or ending study {self._name!r}"
            self._turn.enter_context(
                turn(self._uri.reveal(), f"{self._name}/turn", doing, wait_s=wait_s, waiting=waiting)
            )

    def pass_on(self) -> None:
        """Other drivers may come and go."""
        self._turn.close()

    def leave(self) -> None:
        """This driver has nothing more to do with the study."""
        self._lock.close()
        self._turn.close()

    @property
    def others(self) -> int:
        """How many other drivers are there."""
        with explained(self._uri):
            return len(study_holders(self._uri.reveal(), self._name)) - 1

    def tracker_turn(self) -> AbstractContextManager[None]:
        """For what a tracker must not make twice."""
        return turn(self._uri.reveal(), f"{self._name}/tracker", f"writing study {self._name!r} to MLflow")


@contextmanager
def taking_a_seat(uri: AnyUri, name: str, observer: Observer) -> Iterator[Seat]:
    """A joined driver's place at a study; see :class:`Seat`.

    Raises:
        LedgerError: The ledger is no PostgreSQL database, or a driver without ``--join`` has the study.
    """
    uri = Uri(uri)
    if uri.dialect != "postgresql":
        kind = "a SQLite file" if sqlite_path(uri) is not None else f"on {uri.dialect}"
        raise LedgerError(
            f"--join needs a PostgreSQL ledger, but {uri} is {kind}",
            code="cannot-join",
            hint='set ledger = "postgresql+psycopg://user@host/name" in [tracking] (pip install '
            "'hpsearch[postgresql]'), or leave out --join",
            ledger=str(uri),
        )
    seat = Seat(uri, name, observer)
    try:
        with explained(uri):
            seat.take()
        yield seat
    finally:
        seat.leave()


class JoinedClaims(Claims):
    """What a joined driver has of a study: the trials that it has leases on.

    Args:
        record: The study.
        ledger: Its ledger, which enters only what this driver may from now on.
        seat: This driver's.
        observer: Told what is taken over.
        first: Whether this driver has begun the study.
        seconds: How long a lease lasts; by default, a minute.
    """

    joined = True

    def __init__(
        self,
        record: StudyRecord,
        ledger: Ledger,
        seat: Seat,
        observer: Observer,
        *,
        first: bool = False,
        seconds: float | None = None,
    ) -> None:
        super().__init__(record, ledger)
        self._seat, self._observer, self._first = seat, observer, first
        self._leases = ledger.join(record.name, seconds=seconds)
        self._ids: dict[int, int] = {}
        self._others: set[int] = set()
        self._looked = 0.0
        self._crowned = False
        self._may_stop, self._ended = record.spec.search.stop != "none" and record.facts.stopped is None, 0
        self._leases.keep()

    def is_first(self, record: StudyRecord) -> bool:
        return self._first

    @property
    def tracker_turn(self) -> Callable[[], AbstractContextManager[None]]:
        """See :meth:`Seat.tracker_turn`."""
        return self._seat.tracker_turn

    # The driver's side

    def take(self, trial: Trial, space: Space) -> Trial | None:
        number, key = trial.number, self._id(trial.number)
        if self._leases.holds(key):
            self._others.discard(number)
            return trial
        before = self._leases.holder_of(key)
        self._others.add(number)
        if not self._leases.claim(key):
            return None
        self._others.discard(number)
        if before:
            silent = f"driver {before} has not been heard of for {self._leases.seconds:g} s"
            self._observer.note(f"trial {number} is taken over: {silent}")
        # Only now: until then its driver may have entered more of it.
        return self._ledger.load_trial(self._name, number, space)

    def news(self, begun: int, space: Space, *, at_once: bool) -> Sequence[Trial]:
        if not at_once and time.monotonic() < self._looked + _LOOK_S:
            return ()
        self._looked = time.monotonic()
        found = []
        for seen in self._leases.look(begun, self._others):
            if seen.number >= begun or seen.ended or seen.free:
                trial = self._ledger.load_trial(self._name, seen.number, space)
                if trial.state.finished:
                    self._others.discard(seen.number)
                found.append(trial)
        return found

    def lost(self) -> Collection[int]:
        keys = self._leases.lost()
        found = [number for number, key in self._ids.items() if key in keys] if keys else ()
        self._others.update(found)
        return found

    def enter(self, number: int, write: Callable[[], None]) -> bool:
        try:
            write()
        except LedgerError as error:
            # One that was suspended within a transaction finds that the server has ended it.
            if error.code != "ledger.lease-lost" and self._leases.keeps(self._id(number)):
                raise
            self._leases.forget(self._id(number))
            self._others.add(number)
            return False
        return True

    def _id(self, number: int) -> int:
        if number not in self._ids:
            self._ids[number] = self._ledger.trial_id(self._name, number)
        return self._ids[number]

    def await_others(self) -> bool:
        if self._others:
            time.sleep(_POLL_S)
        return bool(self._others)

    # What a suggestion knows

    def awaited(self, number: int) -> int:
        return 0  # a batch of the schedule would leave most workers of many drivers idle

    def known(self, number: int) -> int:
        return _ALL

    def enough(self, rule: StopRule, trials: Sequence[Trial], space: Space) -> Stopped | None:
        if not self._may_stop:
            return None
        ended = [trial for trial in trials if trial.state.finished]
        if len(ended) >= self._ended + _EVERY:
            self._ended = len(ended)
            if (stopped := self._ledger.load(self._name).facts.stopped) is not None:
                return stopped  # for another driver, these results were enough
        return rule.among(ended, len(trials), space)

    def overtaken(self, error: LedgerError, number: int, space: Space) -> Sequence[Trial]:
        others = self.news(number, space, at_once=True)
        if not others:
            raise error
        return others

    # The study's end

    def begin(self) -> None:
        """It runs already: this was entered while no other driver could come or go."""

    def release(self) -> None:
        self._leases.release()

    def close(self) -> None:
        with suppress(LedgerError):  # leases run out by themselves
            self._leases.close()

    def crown(self) -> bool:
        before = self._leases.champion_until()
        while not self._leases.claim_champion():
            now = self._leases.champion_until()
            if before is not None and now is not None and now > before:  # so its driver is alive
                self._observer.note("the search is over; another driver makes the champion")
                return False
            before = before or now
            time.sleep(_POLL_S)
        self._crowned = self._ledger.load(self._name).state is not StudyState.FINISHED
        if not self._crowned:
            self._observer.note("the search is over; another driver has made the champion")
        return self._crowned

    def check_crown(self) -> None:
        if not self._leases.keeps_champion():
            raise LedgerError(
                f"another driver makes the champion of study {self._name!r} by now: this one was suspended or cut off",
                code="champion-taken",
                hint="what it has made is not entered; `hpsearch show` shows the study",
                study=self._name,
            )

    def end(self, state: StudyState, written: Callable[[], object]) -> StudyState | None:
        makes_the_end = self._crowned and state is StudyState.FINISHED
        if not makes_the_end:
            self._leases.close()
        written()
        if makes_the_end:
            self._see_off()
        self._seat.have_turn()
        if not makes_the_end:
            if self._seat.others or self._ledger.load(self._name).state is StudyState.FINISHED:
                self._seat.leave()
                return None
            state = StudyState.INTERRUPTED if state is StudyState.FINISHED else state
        self._ledger.set_state(self._name, state)
        self._leases.close()
        return state

    def _see_off(self) -> None:
        """Wait until the others have gone: what they know of their trials is in the tracker then."""
        until = time.monotonic() + _LEAVE_S
        while self._seat.others and time.monotonic() < until:
            time.sleep(_POLL_S)


def as_driven(record: StudyRecord, changed: StudySpec | None, trials: int | None) -> StudyRecord:
    """The study for a driver that comes to others: with its own ``[resources]``, and all else as the others have it.

    Args:
        record: The study.
        changed: The study file, if keys have changed in it.
        trials: The number of trials that is asked for; None keeps it.

    Raises:
        LedgerError: It asks for anything else than the others do.
    """
    keys = [] if changed is None else differing_keys(record.spec, changed)
    refused = [key for key in keys if not key.startswith(_OWN)]
    if trials is not None and trials != record.spec.search.trials:
        refused.append("search.trials")
    if refused:
        raise LedgerError(
            f"other drivers run study {record.name!r} with other values of {listed(dict.fromkeys(refused))}",
            code="cannot-change-while-joined",
            hint="put these back, or wait until the others have ended: [resources] alone may differ between drivers",
            study=record.name,
            changed=tuple(refused),
        )
    return record if changed is None else replace(record, spec=changed)
