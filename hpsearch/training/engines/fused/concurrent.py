"""Several streams of events at once, each in a thread of its own, merged into one."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_LEAD = 4
"""How many events a stream may be ahead of its reader: a stop that these events cause should come in time."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A thread has run out of streams, or one of its streams has raised."""

    error: BaseException | None = None


def run_concurrently(streams: Sequence[Callable[[], Iterator[T]]], at_once: int) -> Iterator[T]:
    """Events of all streams, as they come. A stream begins, in order, as soon as a thread is free.

    Args:
        streams: Each is called once, in the thread that runs it.
        at_once: How many threads; 1 runs one stream after the other in the caller's thread.

    Raises:
        BaseException: What a stream raised. By then the others have stopped, each after its current event.
    """
    count = min(at_once, len(streams))
    if count < 2:
        for stream in streams:
            yield from stream()
        return
    merge = _Merge(streams, count)
    threads = [threading.Thread(target=merge.run, name=f"train_{i}", daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield from merge.events(count)
    except KeyboardInterrupt:
        threads.clear()  # one of them may hang in the user's code: nobody waits for it
        raise
    finally:
        merge.abandoned.set()
        for thread in threads:
            thread.join()


class _Merge(Generic[T]):
    """What the threads share.

    Args:
        streams: To run.
        threads: How many threads there are.

    Attributes:
        abandoned: Set when nobody reads any more.
    """

    def __init__(self, streams: Sequence[Callable[[], Iterator[T]]], threads: int) -> None:
        self._waiting = deque(streams)
        self._events: Queue[T | _Ended] = Queue(maxsize=_LEAD * threads)
        self.abandoned = threading.Event()

    def events(self, threads: int) -> Iterator[T]:
        """Events until all threads have ended, or one of them has raised."""
        running = threads
        while running:
            event = self._events.get()
            if not isinstance(event, _Ended):
                yield event
                continue
            running -= 1
            if event.error is not None:
                raise event.error

    def run(self) -> None:
        """Run streams, one after the other, until none is waiting. Threads call this."""
        error: BaseException | None = None
        try:
            while not self.abandoned.is_set() and (stream := self._next()) is not None:
                for event in stream():
                    self._put(event)
                    if self.abandoned.is_set():
                        return
        except BaseException as raised:  # it belongs to the reader, in whose thread it is raised again
            error = raised
        finally:
            self._put(_Ended(error))

    def _next(self) -> Callable[[], Iterator[T]] | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _put(self, event: T | _Ended) -> None:
        while not self.abandoned.is_set():
            try:
                self._events.put(event, timeout=0.5)
                return
            except Full:
                continue
