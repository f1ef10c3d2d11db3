"""Files that exist completely or not at all, and that nobody else on the machine reads.

A workspace holds data: predictions, the names of classes, given arrays, tracebacks. What is made in it is its owner's
alone, also where the umask would let others read. ``[tracking] shared = true`` leaves it to the umask.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def likely_encoding(start: bytes) -> str:
    """The encoding of a text that is not UTF-8, from its first bytes, as Python calls it."""
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits. Read in parts, so its size does not matter.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path, *, shared: bool = False) -> None:
    """Make a folder and all that are missing above it. One that is there keeps its mode.

    Args:
        path: The folder.
        shared: Whether others may look into new ones, as far as the umask lets them.

    Raises:
        OSError: It cannot be made.
    """
    mode = 0o777 if shared else 0o700
    for one in reversed([one for one in path.parents if not one.exists()]):
        one.mkdir(mode, exist_ok=True)
    path.mkdir(mode, exist_ok=True)


def make_file(path: Path, *, shared: bool = False) -> None:
    """Make an empty file, for a library that fills it and keeps its mode. One that is there stays as it is.

    SQLite gives the files beside a database the mode of the database.

    Args:
        path: The file.
        shared: Whether others may read it, as far as the umask lets them.

    Raises:
        OSError: It cannot be made.
    """
    # One that is there is not even opened: closing it would release the locks that SQLite holds in this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if shared else 0o600))


def close_to_others(folder: Path) -> None:
    """Take all rights of others from a folder that another library has written, and from all that is in it."""
    for parent, _, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            path.chmod(path.stat().st_mode & 0o700)


def write_atomically(path: Path, write: Callable[[Path], object], *, shared: bool = False) -> None:
    """Write next to the target, then move. A killed process leaves the old file or the new one.

    All writers use the same temporary name, so the next one overwrites what a killed one left behind. The caller makes
    sure that there is only one writer at a time.

    Args:
        path: The target.
        write: Called with a temporary path that has the target's suffix; an empty file is there.
        shared: Whether others may read it, as far as the umask lets them.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        temporary.unlink(missing_ok=True)
        make_file(temporary, shared=shared)
        mode = (path if path.exists() else temporary).stat().st_mode  # what is there keeps its mode
        write(temporary)
        if not shared or path.exists():
            temporary.chmod(mode)  # some libraries do not fill a file, but replace it
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
