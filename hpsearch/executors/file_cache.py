"""Files of studies on a machine that is not the driver's: used where they are, or kept once for all its workers."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from hpsearch.core.files import make_folder, sha256_of
from hpsearch.executors.far_messages import FromPlace, Part, Ready, StudyFile, Wants, put
from hpsearch.executors.study_files import digest_of
from hpsearch.spec import StudySpec

_KEPT_FOLDERS = 20
"""Studies whose files stay in the cache."""

_LOOKS_S = 0.5
"""How often to look whether another worker of this machine has got the files."""


class FileCache:
    """Finds the files of a study, or asks for them.

    With a shared file system, the study's folder is there with all its files, by their digests, and is used. Otherwise
    they go into a folder of the cache that is named by all their digests. Workers that share the machine wait for the
    one that fetches them.

    Args:
        root: The cache.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._spec: StudySpec | None = None
        self._files: tuple[StudyFile, ...] = ()
        self._data = ""
        self._lock: IO[bytes] | None = None
        self._state = "closed"

    def open(self, spec: StudySpec, files: tuple[StudyFile, ...], data: str = "") -> None:
        """Begin with a study.

        Args:
            spec: The study file, with the folder that its files are in on the driver's machine.
            files: These files.
            data: The one of them that is the data source; empty if none is.
        """
        self._unlock()
        self._spec, self._files, self._data, self._state = spec, files, data, "looking"

    @property
    def spec(self) -> StudySpec:
        """The study file, with the folder that its files are in here."""
        assert self._spec is not None, "no study has been opened"
        return self._spec

    @property
    def patience_s(self) -> float:
        """How long nobody needs to ask for :meth:`news`."""
        return _LOOKS_S if self._state == "waiting" else 3600.0

    def news(self) -> Sequence[FromPlace]:
        """What there is to say to the driver: which files are wanted, or that all are there."""
        if self._state not in ("looking", "waiting"):
            return ()
        if Path(self.spec.folder).is_dir() and all(map(self._is_here, self._files)):
            return self._ready(self.spec)
        make_folder(self._root)
        if not self._locked(fcntl.LOCK_EX):
            if self._is_complete and self._locked(fcntl.LOCK_SH) and self._is_complete:
                return self._ready(self._with_folder())
            self._state = "waiting"  # another worker of this machine fetches them
            return ()
        if self._is_complete:
            return self._finished()
        shutil.rmtree(self._folder, ignore_errors=True)
        make_folder(self._folder)
        if not self._files:
            return self._finished()
        self._state = "fetching"
        return (Wants(tuple(one.path for one in self._files)),)

    def take(self, part: Part) -> Sequence[FromPlace]:
        """Keep a part of a file; the last one of all makes the study ready.

        Raises:
            OSError: It cannot be written.
        """
        if self._state != "fetching":
            return ()
        path = self._folder / inside(part.path)
        make_folder(path.parent)
        put(part, path)
        if not part.last or part.path != self._files[-1].path:  # they come in order
            return ()
        if any(not self._kept(one).exists() or sha256_of(self._kept(one)) != one.sha256 for one in self._files):
            self._state = "looking"  # one has changed while it travelled: the driver knows what that means
            self._unlock()
            return self.news()
        return self._finished()

    def _finished(self) -> Sequence[FromPlace]:
        """All is there, and this worker alone has the folder."""
        (self._folder / ".complete").touch()
        os.utime(self._folder)
        self._remove_old()
        assert self._lock is not None
        fcntl.flock(self._lock, fcntl.LOCK_SH)  # as long as the folder is used
        return self._ready(self._with_folder())

    def _ready(self, spec: StudySpec) -> Sequence[FromPlace]:
        self._spec, self._state = spec, "ready"
        return (Ready(),)

    def _is_here(self, file: StudyFile) -> bool:
        path = Path(self.spec.folder, file.path)
        with suppress(OSError):
            about = path.stat()
            return about.st_size == file.size and digest_of(path, file.size, about.st_mtime_ns) == file.sha256
        return False

    @property
    def _folder(self) -> Path:
        named = json.dumps([(one.path, one.sha256) for one in self._files]).encode()
        return self._root / hashlib.sha256(named).hexdigest()[:32]

    def _kept(self, file: StudyFile) -> Path:
        return self._folder / inside(file.path)

    def _with_folder(self) -> StudySpec:
        """The study file with the folder of the cache."""
        data = self.spec.data
        if self._data:
            data = data.model_copy(update={"source": str(inside(self._data))})
        return self.spec.model_copy(update={"folder": str(self._folder), "data": data})

    @property
    def _is_complete(self) -> bool:
        return (self._folder / ".complete").is_file()

    def _locked(self, kind: int) -> bool:
        """Whether this worker has the lock of the folder now, alone (``LOCK_EX``) or with others."""
        self._unlock()
        lock = _lock_of(self._folder).open("wb")
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._unlock()

    def _remove_old(self) -> None:
        """Remove what was used longest ago, unless another worker uses it."""
        folders = [one for one in self._root.iterdir() if one.is_dir() and one != self._folder]
        for old in sorted(folders, key=lambda one: one.stat().st_mtime)[: -_KEPT_FOLDERS or None]:
            with suppress(OSError), _lock_of(old).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def inside(name: str) -> Path:
    """A path of another machine as one below a folder here: without a root, and without ways up.

    Args:
        name: With slashes.

    Raises:
        ValueError: No file can have that name.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "//", "..", ".")]
    if not parts or "\0" in name or any("\ud800" <= one <= "\udfff" for one in name):
        raise ValueError(f"{name!r} is no name of a file")
    return Path(*parts)
