"""An executor: log what passes between the driver and its worker."""

import logging
from collections.abc import Sequence

from hpsearch.core.events import Bundle, Event
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.executors.inline import InlineExecutor
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings

LOG = logging.getLogger(__name__)


class LoggedExecutor(Executor):
    """Passes everything on to an :class:`InlineExecutor`, and logs it."""

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        self._inner = InlineExecutor(spec, settings)

    @property
    def slots(self) -> int:
        return self._inner.slots

    @property
    def idle(self) -> int:
        return self._inner.idle

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        LOG.info("call %s", method.__name__)
        return self._inner.call(method, *args, **kwargs)

    def submit(self, bundle: Bundle) -> None:
        LOG.info("submit bundle %d with %d lanes", bundle.id, len(bundle.lanes))
        self._inner.submit(bundle)

    def stop(self, trials: frozenset[int]) -> None:
        LOG.info("stop trials %s", sorted(trials))
        self._inner.stop(trials)

    def events(self, timeout_s: float) -> Sequence[Event]:
        events = self._inner.events(timeout_s)
        for event in events:
            LOG.info("event %s", type(event).__name__)
        return events

    def close(self) -> None:
        LOG.info("close")
        self._inner.close()
