"""Ctrl-C: the first one asks the search to stop, the second one stops at once.

The search answers the first one between two events of its workers. Where the driver itself is caught in user code,
as with ``executor = "inline"``, or waits for a worker's answer to a call, an alarm of the system ends that.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_MARGIN_S = 10.0
"""What the alarm gives a search beyond its patience: it ends by itself if it can."""


@dataclass
class StopRequest:
    """Whether the user wants to stop.

    Attributes:
        asked: Set by the first signal.
        at_once: The next signal raises KeyboardInterrupt. Set by the first signal, or by :meth:`no_more_patience`.
        patience: Seconds that the search needs to stop by itself.
        alarmed: Whether an alarm is set.
    """

    asked: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Event = field(default_factory=threading.Event)
    patience: Callable[[], float] = lambda: 0.0
    alarmed: bool = False

    def heard(self) -> None:
        """A signal has come.

        Raises:
            KeyboardInterrupt: Not the first one.
        """
        if self.at_once.is_set():
            raise KeyboardInterrupt
        self.asked.set()
        self.at_once.set()
        self.alarmed = True
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, self.patience() + _MARGIN_S)

    def no_more_patience(self) -> None:
        """The search has ended. What follows is not continued but repeated: one Ctrl-C is enough from here."""
        self.at_once.set()
        if self.alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and a closed terminal into a :class:`StopRequest` while the block runs.

    What is ignored stays so: a closed terminal does not end what ``nohup`` has started. In other threads nothing is
    caught.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    heard = [signal.SIGINT, signal.SIGTERM]
    heard += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    previous = {number: signal.getsignal(number) for number in (*heard, signal.SIGALRM)}
    for number in heard:
        signal.signal(number, lambda *_: stop.heard())
    try:
        yield stop
    finally:
        stop.no_more_patience()
        for number, handler in previous.items():
            if handler is not None and (stop.alarmed or number != signal.SIGALRM):
                signal.signal(number, handler)
