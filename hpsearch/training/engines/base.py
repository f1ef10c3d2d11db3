"""The one interface of all engines: a bundle in, events out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from hpsearch.core.events import Bundle, Event
from hpsearch.core.facts import EnginePlan
from hpsearch.training.problem import Problem

Stopped = Callable[[], frozenset[int]]
"""Called between epochs: numbers of the trials that must not train another epoch."""


class CannotTrainError(Exception):
    """An engine cannot train a problem. The text says why, in the user's words."""


class Engine(ABC):
    """Trains bundles for one :class:`~hpsearch.training.problem.Problem`, in a worker.

    Args:
        problem: The study's data, folds and model.

    Raises:
        CannotTrainError: This engine cannot train the problem.
    """

    @abstractmethod
    def __init__(self, problem: Problem) -> None: ...

    @abstractmethod
    def plan(self) -> EnginePlan:
        """How bundles for this problem should look. May trace or compile a small model to find out.

        The plan names the engine as study files do: a resumed study asks for it by that name.

        Raises:
            CannotTrainError: This engine cannot train the problem.
        """

    @abstractmethod
    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """Train all lanes of a bundle.

        Yields:
            For every lane an :class:`EpochFinished` after each epoch, then exactly one of :class:`LaneFinished`,
            :class:`LaneStopped` (its trial is in ``stopped()``) or :class:`LaneFailed` (loss not finite, the code
            raised, out of memory). Events of different lanes may interleave. The worker adds :class:`BundleFinished`
            at the end.

        An engine never raises for what a lane does. A result depends only on seed, trial, fold and config, never on
        the other lanes.
        """

    def anew(self, problem: Problem) -> "Engine":
        """An engine of the same kind for another problem, to measure with."""
        return type(self)(problem)

    def take_notes(self) -> tuple[str, ...]:
        """Remarks for the user since the last call, such as "out of memory: bundle split in halves"."""
        return ()

    def take_compile_seconds(self) -> float:
        """Seconds spent since the last call on building and compiling rather than training."""
        return 0.0
