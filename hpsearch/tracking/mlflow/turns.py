"""Whose turn it is: the driver's, or that of the thread that writes MLflow. One interpreter runs one of them at a time.

Where trials take seconds, the driver waits nearly always, and the thread writes at once. Where dozens of workers finish
trials all the time, both together have more to do than one core can. Then the driver goes first, because workers wait
for it: the thread takes the time in which the driver waits for them, and catches up after the search.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SAVED_S = 1.0
"""Most time that can be saved up."""

_PATIENCE_S = 0.5
"""For which the thread waits for its turn at most, so that MLflow never stands still."""


class Turns:
    """Counts the time that the driver leaves and the thread takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._saved = _SAVED_S
        self._hurried = 0

    def leave(self, seconds: float) -> None:
        """The driver has waited for so long."""
        with self._changed:
            self._saved = min(_SAVED_S, self._saved + seconds)
            self._changed.notify_all()

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """In the block, the driver waits for the thread."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._hurried -= 1

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn; the CPU time of this thread in the block is taken from what is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._hurried > 0 or self._saved > 0, _PATIENCE_S)
        begun = time.thread_time()
        try:
            yield
        finally:
            with self._changed:
                self._saved -= time.thread_time() - begun
