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

from hpsearch.core.files import make_folder
from hpsearch.executors.far_messages import FromPlace, Part, Ready, StudyFile, Wants
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
        self._lock: IO[bytes] | None = None
        self._state = "closed"

    def open(self, spec: StudySpec, files: tuple[StudyFile, ...]) -> None:
        """Begin with a study."""
        self._unlock()
        self._spec, self._files, self._state = spec, files, "looking"

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
        if all(map(self._is_here, self._files)):
            return self._ready(self.spec)
        if (self._folder / ".complete").is_file():
            os.utime(self._folder)
            return self._ready(self._with_folder())
        if not self._locked():
            self._state = "waiting"
            return ()
        self._state = "fetching"
        shutil.rmtree(self._folder, ignore_errors=True)
        make_folder(self._folder)
        return (Wants(tuple(one.path for one in self._files)),)

    def take(self, part: Part) -> Sequence[FromPlace]:
        """Keep a part of a file; the last one of all makes the study ready."""
        path = self._folder / inside(part.path)
        make_folder(path.parent)
        with path.open("ab") as file:
            file.write(part.data)
        if not part.last or any(not self._kept(one).exists() for one in self._files):
            return ()
        if part.path != self._files[-1].path:  # they come in order
            return ()
        broken = [one.path for one in self._files if _digest(self._kept(one)) != one.sha256]
        if broken:  # changed while it travelled: the driver's file is another one now
            shutil.rmtree(self._folder, ignore_errors=True)
            self._state = "looking"
            return self.news()
        (self._folder / ".complete").touch()
        self._unlock()
        self._remove_old()
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
        data, known = self.spec.data, {one.path for one in self._files}
        if data.source in known and os.path.isabs(data.source):
            data = data.model_copy(update={"source": str(inside(data.source))})
        return self.spec.model_copy(update={"folder": str(self._folder), "data": data})

    def _locked(self) -> bool:
        """Whether it is for this worker to fetch the files."""
        make_folder(self._root)
        self._unlock()
        lock = self._folder.with_suffix(".lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def _remove_old(self) -> None:
        folders = [one for one in self._root.iterdir() if one.is_dir()]
        for old in sorted(folders, key=lambda one: one.stat().st_mtime)[:-_KEPT_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)


def inside(name: str) -> Path:
    """A path of the driver's as one below a folder here: without a root, and without ways up.

    Args:
        name: With slashes.
    """
    return Path(*(part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
