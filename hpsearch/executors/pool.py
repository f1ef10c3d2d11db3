"""What all executors with worker processes have in common: slots, bundles and calls, wherever the processes run."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import ClassVar, cast

from hpsearch.core.events import Bundle, BundleFinished, Event, LaneFailed, WorkerDied
from hpsearch.core.trial import Failure, FailureKind
from hpsearch.errors import ExecutorError
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.executors.messages import Answer, Call, FromWorker, Lost, Raised, Request, Returned, Stop, Train

GROWTH_LIMIT = 1.25
"""A worker whose memory exceeds this multiple of what it had after its first bundles is replaced between bundles."""

SETTLED = 3
"""Bundles after which a worker's memory counts as its normal size."""

_NO_VERDICT = {FailureKind.OUT_OF_MEMORY: "out of memory", FailureKind.WORKER: "its device failed"}
"""Failures of a lane that say nothing about its trial: a fresh worker may have the memory, or another device."""

_HEARS_S = 0.25
"""How long a Ctrl-C may go unheard while a call is answered."""

_GONE_S = 20.0
"""How long the end of a worker that was told to end may take to be heard of."""


class Seat(ABC):
    """A place for one worker process, near or far: the way to it, and what its pool knows of it.

    Attributes:
        bundle: What it trains.
        asked: Whether it is answering a call.
        finished: Bundles that its process has trained.
        normal_bytes: Memory of its process after the first of them.
        starved: A failure of its bundle for lack of memory, or of its device.
    """

    def __init__(self) -> None:
        self.bundle: Bundle | None = None
        self.asked = False
        self.fresh()

    def fresh(self) -> None:
        """Forget the process before."""
        self.finished = 0
        self.normal_bytes = 0
        self.starved: Failure | None = None

    @abstractmethod
    def send(self, request: Request) -> None:
        """Hand a request to the process, started for it if there is none. Raises nothing: if it cannot be reached, a
        ``Lost`` follows."""

    @abstractmethod
    def end(self, reason: str) -> None:
        """End the process now, whatever it does. What it had reported follows, then a ``Lost`` that is ``ended``."""

    @abstractmethod
    def renew(self) -> None:
        """Let the next request find a fresh process. No ``Lost`` follows."""

    def last(self, lost: Lost) -> Lost:
        """The end of its process, as it is to be told: the place may have gone with it."""
        return lost

    @abstractmethod
    def close(self) -> None:
        """End the process and give up the place."""


class PoolExecutor(Executor):
    """Seats, and one bundle or call at a time in each. Subclasses open the seats and hear what comes from them."""

    ends_workers: ClassVar[bool] = True
    _retries = 0
    """How often a call is asked again whose worker was lost."""

    def __init__(self) -> None:
        self._seats: list[Seat] = []
        self._events: deque[Event] = deque()
        self._answers: dict[Seat, Answer | Lost] = {}

    @abstractmethod
    def _arrivals(self, timeout_s: float) -> Iterable[tuple[Seat, FromWorker]]:
        """What has come from the seats, in order. Waits up to `timeout_s` seconds for the first."""

    @property
    def slots(self) -> int:
        return len(self._seats)

    @property
    def idle(self) -> int:
        return sum(map(_is_idle, self._seats))

    def _idle_seat(self) -> Seat:
        return next(filter(_is_idle, self._seats))

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = Call(method.__name__, args, kwargs)
        answer = self._asked(call)
        for _ in range(self._retries):
            if isinstance(answer, Lost) and not answer.ended:
                self.note(f"{answer.reason} during {call.method!r}: asked again")
                answer = self._asked(call)
        match answer:
            case Returned():
                return cast("T", answer.value)  # what the protocol's method returns
            case Raised():
                raise answer.error
        again = "raise [resources] trial_timeout" if answer.ended else "give it more memory or lower data.max_rows"
        again = "see why in the worker's own output" if answer.gone else again
        raise ExecutorError(
            f"{answer.reason} during {method.__name__!r}",
            code="worker-died",
            hint=f"run the same command again; if the worker ends again, {again}",
            method=method.__name__,
        )

    def _asked(self, call: Call) -> Answer | Lost:
        """What an idle worker answers, or how it was lost."""
        seat = self._idle_seat()
        seat.asked = True
        try:
            return self._answer(seat, call)
        finally:
            seat.asked = False

    def _answer(self, seat: Seat, call: Call) -> Answer | Lost:
        until, ended = time.monotonic() + self.patience_s, False
        seat.send(call)
        while (answer := self._answers.pop(seat, None)) is None:
            # Not by one wait: a library, such as Polars, may have a handler of its own for Ctrl-C, after which the
            # system goes on waiting and Python hears nothing of it.
            self._listen(_HEARS_S)
            if time.monotonic() > until and not ended:
                ended = True
                seat.end(f"the worker was ended after {self.patience_s:g} s")
        return answer

    def submit(self, bundle: Bundle) -> None:
        seat = self._idle_seat()
        seat.bundle = bundle
        seat.send(Train(bundle))

    def stop(self, trials: frozenset[int]) -> None:
        for seat in self._seats:
            if seat.bundle is not None and trials & set(seat.bundle.trials):
                seat.send(Stop(trials))

    def end(self, bundle: int, reason: str) -> None:
        for seat in tuple(self._seats):
            if seat.bundle is None or seat.bundle.id != bundle:
                continue
            seat.end(reason)
            until = time.monotonic() + _GONE_S
            while seat.bundle is not None and time.monotonic() < until:
                self._listen(_HEARS_S)
            if seat.bundle is not None:
                self._lose(seat, Lost(reason, ended=True, gone=True))

    def events(self, timeout_s: float) -> Sequence[Event]:
        if not self._events:
            busy = any(seat.bundle is not None for seat in self._seats)
            self._listen(timeout_s if busy else min(timeout_s, 0.05))
        found = tuple(self._events)
        self._events.clear()
        return found

    def _listen(self, timeout_s: float) -> None:
        for seat, message in self._arrivals(timeout_s):
            self._hear(seat, message)

    def _hear(self, seat: Seat, message: FromWorker) -> None:
        match message:
            case Returned() | Raised():
                self._answers[seat] = message
            case Lost():
                self._lose(seat, message)
            case _ if seat.bundle is None:
                pass  # of a bundle that was given up
            case LaneFailed() if message.failure.kind in _NO_VERDICT:
                seat.starved = message.failure
            case BundleFinished():
                self._events.append(message)
                if seat.starved is not None:
                    starved = seat.starved
                    seat.renew()
                    reason = f"{_NO_VERDICT[starved.kind]}: {starved.message}"
                    self._lose(seat, seat.last(Lost(reason, stack=starved.traceback)))
                else:
                    seat.bundle = None
                    seat.finished += 1
                    self._watch_memory(seat, message.rss_bytes)
            case _:
                self._events.append(message)

    def _watch_memory(self, seat: Seat, rss_bytes: int) -> None:
        if seat.finished <= SETTLED:
            seat.normal_bytes = max(seat.normal_bytes, rss_bytes)
        elif rss_bytes > GROWTH_LIMIT * seat.normal_bytes:
            seat.renew()
            seat.fresh()

    def _lose(self, seat: Seat, lost: Lost) -> None:
        """Its process has ended: whoever waits for it hears of it, and the next request gets a fresh one."""
        bundle, seat.bundle = seat.bundle, None
        seat.fresh()
        if lost.gone:
            if seat in self._seats:
                self._seats.remove(seat)
            seat.close()
        if seat.asked:
            self._answers[seat] = lost
        elif bundle is not None:
            self._events.append(WorkerDied(bundle, lost.reason, ended=lost.ended, traceback=lost.stack))

    def close(self) -> None:
        for seat in self._seats:
            seat.close()


def _is_idle(seat: Seat) -> bool:
    return seat.bundle is None and not seat.asked
