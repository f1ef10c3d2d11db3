"""The worker in the driver's own process: for debugging, and where processes are not wanted."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hpsearch.core.events import Bundle, Event
from hpsearch.executors.base import Executor
from hpsearch.spec import StudySpec
from hpsearch.training.worker import Worker, WorkerSettings, prepare


class InlineExecutor(Executor):
    """One slot, no process. The Keras backend that is already imported wins over `settings`."""

    slots = 1

    def __init__(self, spec: StudySpec, settings: WorkerSettings) -> None:
        if "keras" not in sys.modules:
            prepare(settings)
        self._worker = Worker(spec)
        self._running: Iterator[Event] | None = None
        self._stopped: set[int] = set()

    @property
    def idle(self) -> int:
        return int(self._running is None)

    def request(self, method: str, *args: Any) -> Any:
        return getattr(self._worker, method)(*args)

    def submit(self, bundle: Bundle) -> None:
        self._stopped.clear()
        self._running = self._worker.train(bundle, lambda: frozenset(self._stopped))

    def stop(self, trials: frozenset[int]) -> None:
        self._stopped |= trials

    def events(self, timeout_s: float) -> Sequence[Event]:
        """The next event; training happens in here, however long it takes."""
        if self._running is None:
            return ()
        event = next(self._running, None)
        if event is None:
            self._running = None
            return ()
        return (event,)

    def close(self) -> None:
        self._running = None
