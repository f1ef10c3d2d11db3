"""What a driver and a worker process say to each other over their connection."""

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.core.events import Bundle
from hpsearch.errors import HpsearchError
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message to a worker: what it works on, and how its process is set up."""

    spec: StudySpec
    settings: WorkerSettings


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method of :class:`~hpsearch.training.protocol.WorkerProtocol`. Answered by ``Returned`` or ``Raised``."""

    method: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Train:
    """Train a bundle. Answered by its events."""

    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Stop:
    """End the lanes of these trials after the epoch that they are in. Not answered."""

    trials: frozenset[int]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call returned."""

    value: object


@dataclass(frozen=True, slots=True)
class Raised:
    """What a call raised."""

    error: HpsearchError


Request = Call | Train | Stop
Answer = Returned | Raised
