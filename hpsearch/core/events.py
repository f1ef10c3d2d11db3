"""Lanes, bundles, and the events that engines and executors report: frozen values that cross process boundaries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from hpsearch.core.space import Config
from hpsearch.core.trial import Failure, FoldResult


@dataclass(frozen=True, slots=True)
class Lane:
    """One trial on one fold: all that an engine needs to know besides the data."""

    trial: int
    fold: int
    config: Config


@dataclass(frozen=True, slots=True)
class Bundle:
    """Lanes that train together: one after another in the ``fit`` engine, all at once in the ``fused`` engine.

    Attributes:
        id: Its number.
        lanes: What to train.
        measure: Trials whose models are to be measured first, because the study limits them.
    """

    id: int
    lanes: tuple[Lane, ...]
    measure: tuple[int, ...] = ()

    @property
    def trials(self) -> tuple[int, ...]:
        """Numbers of its trials, in order of first appearance."""
        return tuple(dict.fromkeys(lane.trial for lane in self.lanes))


# Events, in the order in which they happen. An engine yields them, and an executor passes them on.


@dataclass(frozen=True, slots=True)
class BundleStarted:
    """The first event of a bundle: its worker has loaded the data and begins with it."""

    id: int


@dataclass(frozen=True, slots=True)
class ModelMeasured:
    """A trial's model has been measured, before it is trained. If it breaks a limit, its lanes fail.

    Attributes:
        trial: The trial.
        parameters: Number of weights.
        measured: See :attr:`~hpsearch.core.trial.Trial.measured`: quantities of the model only.
    """

    trial: int
    parameters: int
    measured: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EpochFinished:
    """One epoch of one lane. Pruning rules act between epochs."""

    trial: int
    fold: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LaneFinished:
    """A lane finished its training. ``parameters`` is the number of weights of its model."""

    trial: int
    result: FoldResult
    parameters: int


@dataclass(frozen=True, slots=True)
class LaneStopped:
    """A lane ended early, because its trial was stopped. ``result`` has the epochs that it trained.

    ``parameters`` is the number of weights of its model; None if it is not known.
    """

    trial: int
    result: FoldResult
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class LaneFailed:
    """A lane failed. Its bundle continues with the other lanes if it can."""

    trial: int
    fold: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class BundleFinished:
    """The last event of a bundle.

    Attributes:
        id: The bundle's id.
        rss_bytes: Resident memory of the worker afterwards.
        compile_seconds: Time spent on building and compiling, not on training.
        notes: Remarks for the user, such as "out of memory: bundle split in halves".
    """

    id: int
    rss_bytes: int = 0
    compile_seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker of this bundle died, or was out of memory and has been replaced. Lanes without a final event are lost.

    Attributes:
        bundle: The bundle.
        reason: In words for the user.
        ended: Whether it was ended on purpose: see :meth:`Executor.end`.
        traceback: What it was doing; empty if unknown.
    """

    bundle: Bundle
    reason: str
    ended: bool = False
    traceback: str = ""


Event = (
    BundleStarted
    | ModelMeasured
    | EpochFinished
    | LaneFinished
    | LaneStopped
    | LaneFailed
    | BundleFinished
    | WorkerDied
)


def without(event: Event, left_out: Mapping[int, Collection[str]]) -> Event:
    """An event without the metrics that have no value in its fold: the numbers that Keras logs for them mean nothing.

    Args:
        event: As the engine reports it.
        left_out: Fold → names of metrics.
    """
    match event:
        case EpochFinished() if names := left_out.get(event.fold):
            return replace(event, metrics={one: value for one, value in event.metrics.items() if one not in names})
        case LaneFinished() | LaneStopped() if names := left_out.get(event.result.fold):
            curves = {one: curve for one, curve in event.result.curves.items() if one not in names}
            return replace(event, result=replace(event.result, curves=curves))
        case _:
            return event


def lane_of(event: Event) -> tuple[int, int] | None:
    """Trial and fold of the lane that `event` ends; None if it does not end a lane."""
    match event:
        case LaneFailed():
            return event.trial, event.fold
        case LaneFinished() | LaneStopped():
            return event.trial, event.result.fold
        case _:
            return None
