"""What a driver and a machine elsewhere say to each other, beside requests and what comes of them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpsearch.executors.messages import Call, FromWorker, Stop, Train
from hpsearch.spec import StudySpec

VERSION = 1
"""Of these messages. Driver and workers must agree."""

PART_BYTES = 1 << 20
"""Of a file, in one message."""


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
    data: The one of them that is the data source; empty if none is.
    """

    spec: StudySpec
    backend: str
    threads: int | None
    predictions: bool
    files: tuple[StudyFile, ...]
    data: str = ""


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
        offset: Where the bytes go. A file begins anew at 0.
        data: The bytes.
        last: Whether the file ends with them.
    """

    place: str
    path: str
    offset: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class End:
    """End the worker's process now. Answered by ``Lost``, unless it has ended by itself."""

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


def parts_of(place: str, file: Path, path: str) -> Iterator[Part]:
    """A file as parts, each read when it is asked for.

    Args:
        place: As in :class:`Part`.
        file: The file.
        path: Its name there.

    Raises:
        OSError: It cannot be read.
    """
    offset = 0
    with file.open("rb") as opened:
        data = opened.read(PART_BYTES)
        while following := opened.read(PART_BYTES):
            yield Part(place, path, offset, data, last=False)
            offset, data = offset + len(data), following
    yield Part(place, path, offset, data, last=True)


def put(part: Part, file: Path) -> None:
    """Write a part into a file, which is made by its first part.

    Raises:
        OSError: It cannot be written, or a part before is missing.
    """
    with file.open("r+b" if part.offset else "wb") as opened:
        if opened.seek(0, os.SEEK_END) != part.offset:
            raise OSError(f"a part of {part.path} at {part.offset} does not follow {opened.tell()}")
        opened.write(part.data)
