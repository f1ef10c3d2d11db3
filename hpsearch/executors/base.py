"""The one interface of all executors: bundles in, events out; requests answered by any worker."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hpsearch.core.events import Bundle, Event


class Executor(ABC):
    """Workers and the way to them. Used by one thread only."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many bundles can train at the same time."""

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many slots wait for a bundle now."""

    @abstractmethod
    def request(self, method: str, *args: Any) -> Any:
        """Have an idle worker call one of its :class:`~hpsearch.training.worker.Worker` methods and wait for the answer.

        Raises:
            HpsearchError: What the worker raised.
            ExecutorError: The worker died.
        """

    @abstractmethod
    def submit(self, bundle: Bundle) -> None:
        """Train a bundle in an idle slot. Its events come from :meth:`events`, a ``BundleFinished`` or a
        ``WorkerDied`` last."""

    @abstractmethod
    def stop(self, trials: frozenset[int]) -> None:
        """Let the lanes of these trials end after the epoch they are in."""

    @abstractmethod
    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has happened, in order; waits up to `timeout_s` seconds for the first event."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, at once."""
