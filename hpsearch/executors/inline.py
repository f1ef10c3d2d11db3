"""The worker in the driver's own process: for debugging, and where separate processes are not wanted."""

import sys
from collections.abc import Iterator, Sequence

from hpsearch.core.events import Bundle, Event
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings, set_up
from hpsearch.training.worker import Worker


class InlineExecutor(Executor):
    """One slot, no process.

    Args:
        spec: The study file.
        settings: One entry. Ignored if Keras is imported already: its backend cannot be changed any more.
    """

    slots = 1

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        if "keras" not in sys.modules:
            set_up(settings[0])
        self._worker = Worker(spec, predictions=settings[0].predictions)
        self._running: Iterator[Event] | None = None
        self._stopped: set[int] = set()

    @property
    def idle(self) -> int:
        return int(self._running is None)

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = getattr(self._worker, method.__name__)(*args, **kwargs)
        return answer

    def submit(self, bundle: Bundle) -> None:
        self._stopped.clear()
        self._running = self._worker.train(bundle, lambda: frozenset(self._stopped))

    def stop(self, trials: frozenset[int]) -> None:
        self._stopped |= trials

    def events(self, timeout_s: float) -> Sequence[Event]:
        """The next event. Training happens in here, however long it takes."""
        if self._running is None:
            return ()
        event = next(self._running, None)
        if event is None:
            self._running = None
            return ()
        return (event,)

    def close(self) -> None:
        self._running = None
