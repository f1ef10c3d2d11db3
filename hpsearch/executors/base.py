"""The one interface of all executors: bundles in, events out; typed calls answered by any idle worker."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from hpsearch.core.events import Bundle, Event
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol

P = ParamSpec("P")
T = TypeVar("T")

WorkerCall = Callable[Concatenate[WorkerProtocol, P], T]
"""A method of :class:`WorkerProtocol`, such as ``WorkerProtocol.describe_data``."""


def _nobody_hears(text: str) -> None:
    del text


class Executor(ABC):
    """Workers and the way to them. Used by one thread only.

    Args:
        spec: The study file, which each worker gets.
        settings: One entry per slot.

    Attributes:
        ends_workers: Whether :meth:`end` works. ``epoch_timeout`` and ``trial_timeout`` need it.
        local: Whether the workers run on this machine. Elsewhere, `settings` has one entry, for all.
        patience_s: Seconds after which the worker of a :meth:`call` is ended. Only heeded if `ends_workers`.
        note: Told what the user should know, such as that a worker is awaited.
        fingerprint: Of the study's data, if it is known before the first worker has read them.
    """

    ends_workers: ClassVar[bool] = False
    local: ClassVar[bool] = True
    patience_s: float = math.inf
    note: Callable[[str], object] = staticmethod(_nobody_hears)
    fingerprint: str | None = None

    @abstractmethod
    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None: ...

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many bundles can train at the same time. It may change: workers elsewhere come and leave."""

    @property
    def width(self) -> int:
        """How many slots to plan a new study for; by default those that there are."""
        return self.slots

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many slots wait for a bundle now."""

    @abstractmethod
    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have an idle worker answer one of the calls of :class:`WorkerProtocol`, and wait for it.

        >>> executor.call(WorkerProtocol.rehearse, config).metrics

        Args:
            method: The method of the protocol.
            args: Its arguments. They and the answer may be pickled.
            kwargs: Likewise.

        Raises:
            HpsearchError: What the worker raised.
            ExecutorError: The worker died, or failed in a way that is no error of the user's.
        """

    @abstractmethod
    def submit(self, bundle: Bundle) -> None:
        """Train a bundle in an idle slot. :meth:`events` then returns its events: the first one is ``BundleStarted``,
        the last one ``BundleFinished`` or ``WorkerDied``."""

    @abstractmethod
    def stop(self, trials: frozenset[int]) -> None:
        """End the lanes of these trials after the epoch that they are in."""

    def end(self, bundle: int, reason: str) -> None:
        """End the worker of a bundle now, even if it hangs. Only called if :attr:`ends_workers`.

        :meth:`events` then returns what the worker had reported by then, and last a ``WorkerDied`` that is ``ended``;
        nothing of the kind if the bundle had finished.

        Args:
            bundle: Its id.
            reason: Of the ``WorkerDied``.
        """
        raise NotImplementedError(f"{type(self).__name__} ends no workers")

    @abstractmethod
    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has happened, in order. Waits up to `timeout_s` seconds for the first event."""

    @abstractmethod
    def close(self) -> None:
        """End all workers at once."""
