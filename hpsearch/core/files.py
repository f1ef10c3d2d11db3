"""Files that exist completely or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def likely_encoding(start: bytes) -> str:
    """The encoding of a text that is not UTF-8, from its first bytes, as Python calls it."""
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write next to the target, then move. A killed process leaves the old file or the new one.

    All writers use the same temporary name, so the next one overwrites what a killed one left behind. The caller makes
    sure that there is only one writer at a time.

    Args:
        path: The target.
        write: Called with a temporary path that has the target's suffix.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
