"""What a driver and a machine elsewhere say to each other, beside requests and what comes of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.executors.messages import Call, FromWorker, Stop, Train
from hpsearch.spec import StudySpec

VERSION = 1
"""Of these messages. Driver and workers must agree."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first message of a place for a worker.

    Attributes:
        name: Of its machine, and its process.
        version: :data:`VERSION`.
        packages: Package → version.
    """

    name: str
    version: int
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A file that a study needs.

    Attributes:
        path: Relative to the study file's folder; as the study file has it for one that lies elsewhere.
        size: Bytes.
        sha256: Its digest.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Open:
    """What a worker is to work on: the first message to its place. Answered by ``Wants`` or ``Ready``.

    Attributes:
        spec: The study file, without addresses.
        backend: Keras backend.
        threads: CPU threads; None for what the place has.
        predictions: Whether predictions of validation rows are kept.
        files: The files that it needs.
    """

    spec: StudySpec
    backend: str
    threads: int | None
    predictions: bool
    files: tuple[StudyFile, ...]


@dataclass(frozen=True, slots=True)
class Wants:
    """The files that are not there: a ``Part`` each follows, or several."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The place has all it needs."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, in order.

    Attributes:
        place: ``"study"``, ``"folder"`` of the call that is answered, or ``"predictions"``.
        path: Relative to it.
        data: The bytes.
        last: Whether the file ends with them.
    """

    place: str
    path: str
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class End:
    """End the worker's process now. Answered by ``Lost``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Renew:
    """Let the next request find a fresh process. Not answered."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The driver does not take this place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """Sent by both sides when there is nothing else to say."""


ToPlace = Open | Part | Call | Train | Stop | End | Renew | Refused | Alive
FromPlace = Greeting | Wants | Ready | Part | FromWorker | Alive
FarMessage = ToPlace | FromPlace
