"""What a driver and a worker process say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.core.events import Bundle, Event
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


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker's process has ended: the last that is heard of it.

    Attributes:
        reason: Why, as far as can be told, in words for the user.
        ended: Whether it was ended on purpose.
        stack: What it was doing then; empty if unknown.
        gone: Whether its place has gone with it, so that no process can be started there.
    """

    reason: str
    ended: bool = False
    stack: str = ""
    gone: bool = False


Request = Call | Train | Stop
Answer = Returned | Raised
FromWorker = Event | Answer | Lost
