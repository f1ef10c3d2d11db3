"""Ctrl-C: the first one asks the search to stop, the second one stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StopRequest:
    """Whether the user wants to stop.

    Attributes:
        asked: Set by the first signal.
        at_once: The next signal raises KeyboardInterrupt. Set by the first signal, or by code for which one is enough.
    """

    asked: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a :class:`StopRequest` while the block runs. In other threads nothing is caught."""
    stop = StopRequest()

    def handle(*_: object) -> None:
        if stop.at_once.is_set():
            raise KeyboardInterrupt
        stop.asked.set()
        stop.at_once.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
