"""Leases: which of several drivers trains which trial of a study. For drivers that are joined, on PostgreSQL only.

A lease is a row of a table of our own, ``hpsearch_leases``, beside Optuna's. Its driver renews it; one that has run out
may be taken by any other driver. All times are those of the database's clock.

Whatever a joined driver enters of a trial is entered in one transaction with its lease: a driver that has lost a trial
while it was suspended or cut off enters nothing more of it.
"""

import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from optuna.trial import TrialState
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    event,
    func,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hpsearch.core.addresses import Uri
from hpsearch.core.locks import taking_turns
from hpsearch.core.space import Space
from hpsearch.core.trial import Trial
from hpsearch.errors import LedgerError
from hpsearch.ledger.connection import explained
from hpsearch.ledger.fast_writer import FastWriter
from hpsearch.ledger.optuna_tables import STUDIES, TRIALS
from hpsearch.ledger.trial_writer import TrialWriter

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.sql import ColumnElement

LEASE_SECONDS = 60.0
"""After which a silent driver's trials may be taken over. A living one renews its leases three times in this time."""

_METADATA = MetaData()

_STUDIES = Table(STUDIES.name, _METADATA, Column("study_id", Integer, primary_key=True))

LEASES = Table(
    "hpsearch_leases",
    _METADATA,
    # Optuna's id of the trial; less than 0 for the study's champion.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("study_id", Integer, ForeignKey(_STUDIES.c.study_id, ondelete="CASCADE"), nullable=False, index=True),
    Column("driver", String(200), nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
)

_OPEN = (TrialState.RUNNING, TrialState.WAITING)


class LeaseLostError(LedgerError):
    """Another driver has the trial by now."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the trials of a study shows of one.

    Attributes:
        number: Its number.
        ended: Whether it has ended.
        free: Whether no driver has a lease on it.
    """

    number: int
    ended: bool
    free: bool


class Leases:
    """One driver's leases on trials of one study.

    Args:
        engine: Of the ledger, on PostgreSQL. The heartbeat uses it from a thread of its own.
        uri: The ledger's address. The table is made if it is missing.
        study_id: Optuna's id of the study.
        seconds: How long a lease lasts without being renewed.

    Attributes:
        driver: Names this driver: host, process, and a random part.
    """

    def __init__(self, engine: Engine, uri: Uri, study_id: int, *, seconds: float | None = None) -> None:
        self._engine, self._uri, self._study_id = engine, uri, study_id
        self._seconds = LEASE_SECONDS if seconds is None else seconds
        self.driver = f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._changing = threading.Lock()
        self._held: set[int] = set()
        self._lost: set[int] = set()
        self._renewed = time.monotonic()
        self._ending = threading.Event()
        _limit_transactions(engine, self._seconds)
        with explained(uri), taking_turns(uri.reveal()):
            LEASES.create(engine, checkfirst=True)

    @property
    def seconds(self) -> float:
        """How long a lease lasts without being renewed."""
        return self._seconds

    # Taking and giving back

    def claim(self, trial_id: int) -> bool:
        """Take a trial that has not ended and that no other driver has; whether it is this driver's now."""
        if trial_id in self._held:
            return True
        with self._begin() as connection:
            if _is_locked(connection, trial_id):
                return False
            taken = self._take(connection, trial_id)
            # Only now: a driver that was about to end it has held its lease until then.
            state = connection.scalar(select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id))
            if taken and state not in _OPEN:
                connection.execute(delete(LEASES).where(LEASES.c.id == trial_id))
                taken = False
        if taken:
            self._hold(trial_id)
        return taken

    def claim_champion(self) -> bool:
        """Take the making of the champion, unless another driver has it."""
        with self._begin() as connection:
            taken = self._take(connection, -self._study_id)
        if taken:
            self._hold(-self._study_id)
        return taken

    def champion_until(self) -> datetime | None:
        """Until when whoever makes the champion has it; None if nobody has."""
        with self._begin() as connection:
            until: datetime | None = connection.scalar(select(LEASES.c.until).where(LEASES.c.id == -self._study_id))
        return until

    def holder_of(self, trial_id: int) -> str:
        """The driver that has a trial, or has had it last; empty if there is none."""
        with self._begin() as connection:
            return str(connection.scalar(select(LEASES.c.driver).where(LEASES.c.id == trial_id)) or "")

    def enter(self, connection: Connection, trial_id: int) -> None:
        """Take a trial that this transaction makes. Call :meth:`entered` once it is made."""
        assert self._take(connection, trial_id), "nobody can have what is not there yet"

    def entered(self, trial_id: int) -> None:
        """The transaction that made the trial is through."""
        self._hold(trial_id)

    def check(self, connection: Connection, trial_id: int, *, ends: bool = False) -> bool:
        """Renew a lease, or give it back, within the transaction that needs it.

        The row stays locked until then, so that nobody takes the trial over before.

        Returns:
            Whether this driver still has it.
        """
        mine = LEASES.c.id == trial_id, LEASES.c.driver == self.driver
        change = delete(LEASES).where(*mine) if ends else update(LEASES).where(*mine).values(until=self._until())
        return bool(connection.execute(change).rowcount)

    def keeps(self, trial_id: int) -> bool:
        """Whether a trial is still this driver's, by the database. Renews the lease."""
        with self._begin() as connection:
            return self.check(connection, trial_id)

    def forget(self, trial_id: int) -> None:
        """The trial has ended, or another driver has it."""
        with self._changing:
            self._held.discard(trial_id)
            self._lost.discard(trial_id)

    def holds(self, trial_id: int) -> bool:
        """Whether this driver has a trial, as far as it knows."""
        return trial_id in self._held

    def keeps_champion(self) -> bool:
        """Whether the making of the champion is still this driver's."""
        return self.keeps(-self._study_id)

    def close(self) -> None:
        """Give everything back and renew nothing any more."""
        self._ending.set()
        self.release()

    def release(self) -> None:
        """Give everything back at once, so that others can go on with it."""
        with self._changing:
            self._held.clear()
        with self._begin() as connection:
            connection.execute(delete(LEASES).where(LEASES.c.driver == self.driver))

    # Looking

    def look(self, first: int, numbers: Collection[int]) -> Sequence[Seen]:
        """The study's trials from number `first` on, and those of these numbers, as they are now."""
        row = TRIALS.outerjoin(LEASES, LEASES.c.id == TRIALS.c.trial_id)
        free = or_(LEASES.c.until.is_(None), LEASES.c.until < func.clock_timestamp())
        asked = or_(TRIALS.c.number >= first, TRIALS.c.number.in_(list(numbers)))
        query = select(TRIALS.c.number, TRIALS.c.state, free).select_from(row)
        query = query.where(TRIALS.c.study_id == self._study_id, asked).order_by(TRIALS.c.number)
        with self._begin() as connection:
            return [Seen(number, state not in _OPEN, free) for number, state, free in connection.execute(query)]

    # The heartbeat

    def keep(self) -> None:
        """Renew all leases from now on, in a thread."""
        threading.Thread(target=self._beat, name="hpsearch-leases", daemon=True).start()

    def lost(self) -> frozenset[int]:
        """Ids of trials that this driver has lost since the last call. Asks the database after it was suspended."""
        if self._held and time.monotonic() - self._renewed > self._seconds:
            self._renew()
        with self._changing:
            found = frozenset(self._lost)
            self._lost.clear()
        return found

    def _beat(self) -> None:
        while not self._ending.wait(self._seconds / 3):
            # Whatever the database has: the driver finds out by itself, and leases run out by themselves.
            try:
                self._renew()
            except LedgerError:
                continue

    def _renew(self) -> None:
        with self._changing:
            before = frozenset(self._held)
        mine = update(LEASES).where(LEASES.c.driver == self.driver).values(until=self._until())
        asked = time.monotonic()
        with self._begin() as connection:
            kept = frozenset(connection.scalars(mine.returning(LEASES.c.id)))
        with self._changing:
            self._lost |= (before - kept) & self._held
            self._renewed = asked

    # Parts of statements

    def _take(self, connection: Connection, key: int) -> bool:
        row = {"id": key, "study_id": self._study_id, "driver": self.driver, "until": self._until()}
        given = insert(LEASES).values(row)
        free = or_(LEASES.c.until < func.clock_timestamp(), LEASES.c.driver == self.driver)
        new = {"driver": given.excluded.driver, "until": given.excluded.until}
        taken = given.on_conflict_do_update(index_elements=[LEASES.c.id], set_=new, where=free)
        return connection.execute(taken.returning(LEASES.c.id)).first() is not None

    def _hold(self, key: int) -> None:
        with self._changing:
            self._held.add(key)

    def _until(self) -> "ColumnElement[object]":
        return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, self._seconds)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with explained(self._uri), self._engine.begin() as connection:
            yield connection


class LeasedWriter(FastWriter):
    """Writes rows of trials on which this driver has a lease.

    Args:
        engine: As for :class:`~hpsearch.ledger.fast_writer.FastWriter`.
        leases: This driver's.
    """

    def __init__(self, engine: Engine, leases: Leases) -> None:
        super().__init__(engine)
        self._leases = leases

    def start(self, study_id: int, trial: Trial, space: Space) -> int:
        trial_id = super().start(study_id, trial, space)
        self._leases.entered(trial_id)
        return trial_id

    def _added(self, connection: Connection, trial_id: int) -> None:
        self._leases.enter(connection, trial_id)

    @contextmanager
    def _changing(self, trial_id: int, *, ends: bool = False) -> Iterator[Connection]:
        with super()._changing(trial_id) as connection:
            if not self._leases.check(connection, trial_id, ends=ends):
                number = connection.scalar(select(TRIALS.c.number).where(TRIALS.c.trial_id == trial_id))
                raise _lease_lost(number, self._leases.seconds)
            yield connection
        if ends:
            self._leases.forget(trial_id)


def _is_locked(connection: Connection, key: int) -> bool:
    """Whether a transaction has a lease at this moment. To wait for it might take as long as its driver sleeps."""
    row = select(LEASES.c.id).where(LEASES.c.id == key)
    there = connection.execute(row).first() is not None
    return there and connection.execute(row.with_for_update(skip_locked=True)).first() is None


def _limit_transactions(engine: Engine, seconds: float) -> None:
    """Let the server end a transaction that its driver does not go on with.

    A driver that is suspended within one would keep its locks, and all other drivers waiting, for as long as it sleeps.
    """
    limit = f"SET idle_in_transaction_session_timeout = {math.ceil(1000 * seconds)}"

    @event.listens_for(engine, "connect")
    def _limit(connection: "DBAPIConnection", _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(limit)
        cursor.close()
        connection.commit()

    engine.dispose()  # connections from before have no such limit


def check_writer(writer: TrialWriter, uri: Uri, remarks: Sequence[str]) -> None:
    """Refuse a database in which a trial cannot be entered in one transaction with its lease.

    Raises:
        LedgerError: Optuna's tables are not those that hpsearch knows; `remarks` say so.
    """
    if not isinstance(writer, FastWriter):
        raise LedgerError(
            f"the ledger {uri} cannot have several drivers on a study: {'; '.join(remarks)}",
            code="cannot-join-tables",
            hint="leave out --join, or install the version of Optuna that hpsearch was tested with",
            ledger=str(uri),
        )


def clear(engine: Engine, study_id: int) -> None:
    """Remove all leases on a study. Call it while the study's lock keeps out every other driver."""
    if engine.dialect.name == "postgresql" and inspect(engine).has_table(LEASES.name):
        with engine.begin() as connection:
            connection.execute(delete(LEASES).where(LEASES.c.study_id == study_id))


def _lease_lost(number: int | None, seconds: float) -> LeaseLostError:
    return LeaseLostError(
        f"another driver has trial {number} by now: this one has not been heard of for {seconds:g} s",
        code="lease-lost",
        hint="it was suspended or cut off from the database; it goes on with other trials",
        trial=number,
        seconds=seconds,
    )
