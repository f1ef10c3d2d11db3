"""What all executors with workers on other machines have in common: places come and go, and files travel.

A place becomes a slot when it has the study's files and finds the same data as the first one.
"""

import os
import re
import shutil
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from hpsearch.core.facts import DataFacts
from hpsearch.core.files import make_file, make_folder, sha256_of
from hpsearch.core.trial import Champion
from hpsearch.core.words import listed
from hpsearch.errors import ExecutorError
from hpsearch.executors.base import P, T, WorkerCall
from hpsearch.executors.far_messages import (
    VERSION,
    Alive,
    FromPlace,
    Greeting,
    Open,
    Part,
    Ready,
    Refused,
    Renew,
    ToPlace,
    Wants,
    put,
)
from hpsearch.executors.far_messages import End as EndProcess
from hpsearch.executors.file_cache import inside
from hpsearch.executors.messages import Call, FromWorker, Lost, Raised, Request, Returned
from hpsearch.executors.place import folder_of
from hpsearch.executors.pool import PoolExecutor, Seat
from hpsearch.executors.study_files import StudyFiles
from hpsearch.executors.wire import without_addresses
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings, package_versions
from hpsearch.training.protocol import WorkerProtocol

_SAYS_S = 2.0
"""How long nobody is told that there is no worker yet."""

_ALIKE = ("keras", "tensorflow", "jax", "numpy", "scikit-learn")
"""Packages whose versions may change results."""

_ALSO_READ = ("champion*", "inputs.npz")
"""Files of a study's folder that a call with that folder may read."""


class FarSeat(Seat):
    """A place on another machine.

    Attributes:
        name: What it calls itself; its address until it has said so.
        greeted: Whether it has said so.
        checking: Whether it has been asked what data it finds.
        folder: The folder here that its call writes.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.greeted = False
        self.checking = False
        self.folder: Path | None = None

    @abstractmethod
    def tell(self, message: ToPlace) -> None:
        """Send a message, in order. Raises nothing: the loss of the place is heard of."""

    @abstractmethod
    def tell_file(self, place: str, file: Path, path: str) -> None:
        """Send a file in parts, in order with the messages."""

    def send(self, request: Request) -> None:
        if isinstance(request, Call):
            self.folder = folder_of(request)
            if self.folder is not None:
                _remove_leftovers(self.folder)
            if self.folder is not None and request.method not in _ONLY_WRITE:
                for file in (one for pattern in _ALSO_READ for one in sorted(self.folder.glob(pattern))):
                    if file.is_file():
                        self.tell_file("folder", file, file.name)
        self.tell(request)

    def end(self, reason: str) -> None:
        self.tell(EndProcess(reason))

    def renew(self) -> None:
        self.tell(Renew())


_ONLY_WRITE = ("refit", "refit_model")

_ARRIVING, _FOLDER = ".arriving", ".arriving-"
"""Mark files and folders that have not come whole yet."""

_MADE_BY_CALLS = re.compile(r"champion\.(keras|weights\.h5|json)|predictions\.npz|inputs\.npz|mlflow_model/.+")
_PREDICTIONS = re.compile(r"\d+/\d+\.npz")
"""What workers make; nothing else is taken from them."""


class FarExecutor(PoolExecutor):
    """Workers on other machines.

    Args:
        spec: The study file.
        settings: One entry: what is asked of every worker.

    Raises:
        HpsearchError: A file that the study needs is not there.
    """

    local: ClassVar[bool] = False

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        super().__init__()
        self._settings = settings[0]
        self._files = StudyFiles(spec)
        self._open = Open(
            without_addresses(spec).model_copy(update={"folder": str(Path(spec.folder).resolve())}),
            self._settings.backend,
            self._settings.threads,
            bool(self._settings.predictions),
            self._files.files,
            self._files.data,
        )
        self._retries = spec.resources.max_retries
        self._shared = spec.tracking.shared
        self._waiting: list[FarSeat] = []
        self._noted: set[str] = set()
        self._alone_since: float | None = None

    @abstractmethod
    def _incoming(self, timeout_s: float) -> Iterable[tuple[FarSeat, FromPlace]]:
        """What has come from the places, in order; last from one that is lost a ``Lost`` that is ``gone``."""

    @abstractmethod
    def _how_to_join(self) -> str:
        """What is awaited while there is no worker, and what the user can do for it."""

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        answer = super().call(method, *args, **kwargs)
        if isinstance(answer, DataFacts):
            self.fingerprint = answer.fingerprint
            for seat in self._waiting:
                self._check(seat)
            self._waiting.clear()
        if isinstance(answer, Champion) and answer.sha256:
            _check_file(answer)
        return answer

    def _idle_seat(self) -> Seat:
        while not self.idle:
            self._listen(0.25)
        return super()._idle_seat()

    def _listen(self, timeout_s: float) -> None:
        super()._listen(timeout_s)
        if self._seats:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _SAYS_S:
            self._alone_since = float("inf")  # once
            self.note(self._how_to_join())

    def _arrivals(self, timeout_s: float) -> Iterator[tuple[Seat, FromWorker]]:
        for seat, message in self._incoming(timeout_s):
            try:
                passed_on = self._heed(seat, message)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                self._refuse(seat, f"it says what makes no sense: {type(error).__name__}: {error}")
                passed_on = Lost("a worker was refused", gone=True) if seat in self._seats else None
            if passed_on is not None:
                yield seat, passed_on

    def _heed(self, seat: FarSeat, message: FromPlace) -> FromWorker | None:
        """Do what concerns the place. The rest is handed back."""
        match message:
            case Greeting():
                self._greet(seat, message)
            case Wants():
                self._send_files(seat, message)
            case Ready():
                self._make_ready(seat)
            case Part():
                self._take(seat, message)
            case Returned() | Raised() if seat.checking:
                self._checked(seat, message)
            case Lost() if seat not in self._seats:
                self._forget(seat, message)
            case Alive():
                pass
            case _:
                if isinstance(message, Returned | Raised):
                    self._settle(seat)
                return message
        return None

    def _send_files(self, seat: FarSeat, wants: Wants) -> None:
        for name in wants.paths:
            path = self._files.path(name)
            if path is None:
                self._refuse(seat, f"{name} has changed since this driver was started: start it again")
                return
            seat.tell_file("study", path, name)

    # Places that come

    def _greet(self, seat: FarSeat, greeting: Greeting) -> None:
        if seat.greeted:
            raise ValueError("a second greeting")
        seat.greeted = True
        seat.name = greeting.name
        here = package_versions()
        ours, theirs = here["hpsearch"], greeting.packages.get("hpsearch")
        if greeting.version != VERSION or ours != theirs:
            self._refuse(seat, f"it has hpsearch {theirs}, the driver has {ours}: install the same version on both")
            return
        others = [
            f"{name} {theirs} (here {here.get(name, 'not installed')})"
            for name in _ALIKE
            if (theirs := greeting.packages.get(name)) is not None and theirs != here.get(name)
        ]
        if others:
            self._note_once(f"a worker on {_machine(seat.name)} has other versions: {listed(others)}")
        seat.tell(self._open)

    def _make_ready(self, seat: FarSeat) -> None:
        if seat in self._seats or seat in self._waiting or seat.checking:
            raise ValueError("it was ready already")
        if self.fingerprint is None and self._seats:
            self._waiting.append(seat)
        elif self.fingerprint is None:
            self._seats.append(seat)
        else:
            self._check(seat)

    def _check(self, seat: FarSeat) -> None:
        seat.checking = True
        seat.send(Call(WorkerProtocol.describe_data.__name__, (), {}))

    def _checked(self, seat: FarSeat, answer: Returned | Raised) -> None:
        seat.checking = False
        if isinstance(answer, Raised):
            self._refuse(seat, f"it cannot read the study's data: {answer.error.what}")
        elif not isinstance(facts := answer.value, DataFacts):
            raise ValueError(f"{type(facts).__name__} describes no data")
        elif facts.fingerprint != self.fingerprint:
            found = f"it finds other data: their fingerprint is {facts.fingerprint}"
            self._refuse(seat, f"{found}, the study's is {self.fingerprint}")
        else:
            self._seats.append(seat)

    def _refuse(self, seat: FarSeat, reason: str) -> None:
        self._note_once(f"a worker on {_machine(seat.name)} is refused: {reason}")
        seat.tell(Refused(reason))
        seat.close()

    def _forget(self, seat: FarSeat, lost: Lost) -> None:
        if seat in self._waiting:
            self._waiting.remove(seat)
        if seat.checking and not lost.gone:
            self._refuse(seat, f"its process ended while it read the study's data: {lost.reason}")
        seat.checking = False

    def _note_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self.note(text)

    def _lose(self, seat: Seat, lost: Lost) -> None:
        super()._lose(seat, lost)
        if not self._seats and self._waiting:
            self._seats.append(self._waiting.pop(0))

    # Files that come

    def _take(self, seat: FarSeat, part: Part) -> None:
        """Write a part of a file that a worker has made. It gets its name when it is complete."""
        target = self._target(seat, part)
        if target is None:
            return  # nobody asked for it
        try:
            make_folder(target.parent, shared=self._shared)
            arriving = target.with_name(f".{target.name}{_ARRIVING}")
            make_file(arriving, shared=self._shared)
            put(part, arriving)
            if part.last:
                os.replace(arriving, target)
        except OSError as error:
            self._note_once(f"what a worker has made cannot be written: {target}: {error.strerror or error}")

    def _target(self, seat: FarSeat, part: Part) -> Path | None:
        path = inside(part.path)
        kind = _MADE_BY_CALLS if part.place == "folder" else _PREDICTIONS
        if not kind.fullmatch(path.as_posix()):
            raise ValueError(f"no worker makes a file {part.path!r}")
        if part.place == "predictions":
            return Path(self._settings.predictions, path) if self._settings.predictions else None
        if part.place != "folder" or seat.folder is None:
            return None
        # A folder, such as a model in MLflow's format, is put in place as a whole.
        return seat.folder / path if len(path.parts) == 1 else seat.folder / _beside(path)

    def _settle(self, seat: FarSeat) -> None:
        """Put the folders in place that a call has made."""
        folder, seat.folder = seat.folder, None
        if folder is None:
            return
        for new in sorted(folder.glob(f"{_FOLDER}*")):
            target = folder / new.name.removeprefix(_FOLDER)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(new, target)


def _beside(path: Path) -> Path:
    return Path(f"{_FOLDER}{path.parts[0]}", *path.parts[1:])


def _remove_leftovers(folder: Path) -> None:
    """Remove what an earlier call has begun to write."""
    for one in folder.glob(f".*{_ARRIVING}"):
        one.unlink(missing_ok=True)
    for one in folder.glob(f"{_FOLDER}*"):
        shutil.rmtree(one, ignore_errors=True)


def _check_file(champion: Champion) -> None:
    """A champion is sealed with a digest that its worker has told. It must be that of the file here.

    Raises:
        ExecutorError: It is not.
    """
    found = sha256_of(Path(champion.path))
    if found != champion.sha256:
        raise ExecutorError(
            f"the champion's file has not come whole from its worker: {champion.path} has SHA-256 {found[:12]}, not "
            f"{champion.sha256[:12]}",
            code="champion-not-whole",
            hint="run the same command again: the champion is made anew",
        )


def _machine(name: str) -> str:
    return name.rpartition(":")[0] or name
