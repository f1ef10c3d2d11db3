"""Lanes, bundles, and what engines and executors report about them: frozen values that cross process boundaries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsearch.core.space import Config
from hpsearch.core.trial import Failure, FoldResult


@dataclass(frozen=True, slots=True)
class Lane:
    """One trial on one fold; all that an engine needs to know of it besides the data."""

    trial: int
    fold: int
    config: Config


@dataclass(frozen=True, slots=True)
class Bundle:
    """Lanes that train together. The `fit` engine trains them in order, the `fused` engine all at once."""

    id: int
    lanes: tuple[Lane, ...]

    @property
    def trials(self) -> tuple[int, ...]:
        """Numbers of the trials in the bundle, in order of first appearance."""
        return tuple(dict.fromkeys(lane.trial for lane in self.lanes))


# Events: what an engine yields and an executor passes on, in the order in which it happens.


@dataclass(frozen=True, slots=True)
class EpochFinished:
    """One epoch of one lane, reported when it is done so that rules can act between epochs."""

    trial: int
    fold: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LaneFinished:
    """A lane trained to its end. ``parameters`` is the number of weights of its model."""

    trial: int
    result: FoldResult
    parameters: int


@dataclass(frozen=True, slots=True)
class LaneStopped:
    """A lane ended early because its trial was stopped; ``result`` holds the epochs it did train."""

    trial: int
    result: FoldResult


@dataclass(frozen=True, slots=True)
class LaneFailed:
    """A lane ended by a failure; its bundle goes on with the other lanes where it can."""

    trial: int
    fold: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class BundleFinished:
    """No more events of this bundle will come.

    Attributes:
        id: The bundle's id.
        rss_bytes: Resident memory of the worker afterwards, to see growth.
        compile_seconds: Time spent building and compiling rather than training.
        notes: Plain-words remarks for the user, such as "out of memory: bundle split in halves".
    """

    id: int
    rss_bytes: int = 0
    compile_seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker that trained this bundle is gone; lanes without a LaneFinished event are lost."""

    bundle: Bundle
    reason: str


Event = EpochFinished | LaneFinished | LaneStopped | LaneFailed | BundleFinished | WorkerDied


def lane_of(event: Event) -> tuple[int, int] | None:
    """Trial and fold of the lane that `event` ends; None for events that end no lane."""
    match event:
        case LaneFailed():
            return event.trial, event.fold
        case LaneFinished() | LaneStopped():
            return event.trial, event.result.fold
        case _:
            return None
