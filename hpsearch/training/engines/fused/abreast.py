"""Several streams of events at once, each in a thread of its own, merged into one."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

_LEAD = 4
"""Events that a stream may be ahead of who reads them: a stop that these call for should come in time."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A thread has run out of streams, or one of its streams has raised."""

    error: BaseException | None = None


def abreast(streams: Sequence[Callable[[], Iterator[T]]], at_once: int) -> Iterator[T]:
    """Events of all streams, as they come; a stream begins, in order, as soon as a thread is free.

    Args:
        streams: Each is called once, in the thread that runs it.
        at_once: How many threads; 1 runs one stream after the other in the caller's.

    Raises:
        BaseException: What a stream raised; the others have been stopped after their current event by then.
    """
    count = min(at_once, len(streams))
    if count < 2:
        for stream in streams:
            yield from stream()
        return
    waiting = deque(streams)
    events: Queue[T | _Ended] = Queue(maxsize=_LEAD * count)
    abandoned = threading.Event()

    def put(event: T | _Ended) -> None:
        while not abandoned.is_set():
            try:
                events.put(event, timeout=0.5)
                return
            except Full:
                continue

    def run() -> None:
        error: BaseException | None = None
        try:
            while waiting and not abandoned.is_set():
                try:
                    stream = waiting.popleft()
                except IndexError:  # another thread was quicker
                    break
                for event in stream():
                    put(event)
                    if abandoned.is_set():
                        return
        except BaseException as raised:
            error = raised
        finally:
            put(_Ended(error))

    threads = [threading.Thread(target=run, name=f"train_{i}", daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        running = count
        while running:
            event = events.get()
            if not isinstance(event, _Ended):
                yield event
                continue
            running -= 1
            if event.error is not None:
                raise event.error
    finally:
        abandoned.set()
        for thread in threads:
            thread.join()
