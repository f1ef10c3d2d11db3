"""A place for a worker on a machine that is not the driver's: its files, its process, and what goes to and fro.

``hpsearch worker`` and Ray's actors each have one. They carry messages; what the messages mean is decided here.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import cast

from hpsearch.core.events import BundleFinished, LaneFinished, LaneStopped
from hpsearch.core.out_of_fold import lane_file
from hpsearch.executors import far_messages
from hpsearch.executors.far_messages import End, FromPlace, Greeting, Open, Part, Renew, ToPlace, parts_of, put
from hpsearch.executors.file_cache import FileCache, inside
from hpsearch.executors.messages import Call, FromWorker, Hello, Lost, Raised, Returned, Stop, Train
from hpsearch.executors.process import WorkerProcess
from hpsearch.executors.wire import relocated
from hpsearch.training.environment import WorkerSettings, package_versions
from hpsearch.training.protocol import RefitOrder

_MAKES = "MLmodel"
"""The file that says that a model in MLflow's format is complete. It travels last."""


def greeting() -> Greeting:
    """What a place says of itself."""
    return Greeting(f"{socket.gethostname()}:{os.getpid()}", far_messages.VERSION, package_versions())


def folder_of(call: Call) -> Path | None:
    """The folder on the driver's machine that a call reads and writes; None for one that has none."""
    for argument in (*call.args, *call.kwargs.values()):
        match argument:
            case RefitOrder():
                return argument.folder
            case Path():
                return argument
    return None


class Place:
    """Takes a driver's messages, from any thread (:meth:`tell`), and gives back what happens, in one (:meth:`hear`).

    Args:
        gpu: The GPU for the worker, as in ``CUDA_VISIBLE_DEVICES``; None for the CPU.
        threads: CPU threads; None for what the driver says.
        cache: Folder for compiled programs and for files of studies.
    """

    def __init__(self, *, gpu: str | None, threads: int | None, cache: Path) -> None:
        self._gpu, self._threads = gpu, threads
        self._files = FileCache(cache / "studies")
        self._programs = cache / "programs"
        self._scratch = Path(tempfile.mkdtemp(prefix="hpsearch-"))
        self._settings: WorkerSettings | None = None
        self._process: WorkerProcess | None = None
        self._busy = False
        self._call_folder: Path | None = None
        self._told: SimpleQueue[ToPlace] = SimpleQueue()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    def tell(self, message: ToPlace) -> None:
        """Take a message of the driver's."""
        self._told.put(message)
        self.wake()

    def wake(self) -> None:
        """Let :meth:`hear` return."""
        with suppress(BlockingIOError):  # it has been woken often enough
            self._wake.send(b"!")

    def hear(self, timeout_s: float) -> Sequence[FromPlace]:
        """What has happened, in order. Waits up to `timeout_s` seconds for the first."""
        if not (found := self._news()):
            waits: list[Connection | socket.socket] = [self._woken]
            if self._process is not None:
                waits.append(self._process.connection)
            wait(waits, min(timeout_s, self._files.patience_s))
            found = self._news()
        return found

    def close(self) -> None:
        """End the process and remove what it has left."""
        self._drop()
        self._files.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _news(self) -> list[FromPlace]:
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        found: list[FromPlace] = []
        while not self._told.empty():
            found += self._follow(self._told.get())
        found += self._files.news()
        if self._process is not None:
            for message in self._process.received():
                found += self._with_files(message)
        return found

    # From the driver

    def _follow(self, message: ToPlace) -> Sequence[FromPlace]:
        match message:
            case Open():
                self._open(message)
            case Part(place="study"):
                return self._files.take(message)
            case Part():
                self._take(message)
            case Call() | Train():
                self._request(message)
            case Stop():
                if self._process is not None:
                    self._process.send(message)
            case End():
                if self._process is not None:  # else its end is on the way to the driver already
                    self._process.end(message.reason)
            case Renew():
                self._drop()
        return ()

    def _open(self, message: Open) -> None:
        self._drop()
        self._files.open(message.spec, message.files, message.data)
        self._settings = WorkerSettings(
            message.backend,
            self._gpu,
            self._threads if self._threads is not None else message.threads,
            str(self._programs),
            str(self._predictions) if message.predictions else "",
        )

    def _request(self, request: Call | Train) -> None:
        assert self._settings is not None, "a request before the study"
        if self._process is not None and self._process.dead:
            self._drop(keep_folder=True)  # it died while idle, which is no fault of this request
        if self._process is None:
            spec = self._files.spec
            self._process = WorkerProcess(Hello(spec, self._settings), spec.folder)
        self._busy, self._call_folder = True, None
        if isinstance(request, Call):
            self._call_folder = folder_of(request)
            if self._call_folder is not None:
                request = relocated(request, self._call_folder, self._folder)
        self._process.send(request)

    def _take(self, part: Part) -> None:
        """A file that the next call reads."""
        path = self._folder / inside(part.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        put(part, path)

    @property
    def _folder(self) -> Path:
        """What stands for the folder on the driver's machine that a call reads and writes."""
        return self._scratch / "folder"

    @property
    def _predictions(self) -> Path:
        return self._scratch / "predictions"

    def _drop(self, *, keep_folder: bool = False) -> None:
        process, self._process, self._busy = self._process, None, False
        if process is not None:
            process.close()
        shutil.rmtree(self._predictions, ignore_errors=True)
        if not keep_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    # To the driver

    def _with_files(self, message: FromWorker) -> Iterator[FromPlace]:
        """A message of the process, after the files that it speaks of."""
        match message:
            case Lost():
                busy = self._busy
                self._drop()
                if not busy:
                    return  # nobody waits for it
            case Returned() | Raised():
                self._busy = False
                if self._call_folder is not None:
                    yield from self._shipped()
                    message = relocated(message, self._folder, self._call_folder)
            case LaneFinished() | LaneStopped():
                file = lane_file(self._predictions, message.trial, message.result.fold)
                if file.exists():  # only this one: the process may be writing the next
                    yield from _parts("predictions", file, self._predictions)
            case BundleFinished():
                self._busy = False
        yield cast("FromPlace", message)

    def _shipped(self) -> Iterator[Part]:
        """All files of the call's folder."""
        files = [one for one in sorted(self._folder.rglob("*")) if one.is_file()]
        for file in sorted(files, key=lambda one: one.name == _MAKES):
            yield from _parts("folder", file, self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)


def _parts(place: str, file: Path, folder: Path) -> Iterator[Part]:
    """A file below a folder, which is then removed here."""
    yield from parts_of(place, file, file.relative_to(folder).as_posix())
    file.unlink()
