"""Files that are there as a whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target, then move: a killed process leaves the old file or the new one.

    All writers share one temporary name, so what a killed one leaves is overwritten by the next. Keeping two writers
    apart is the caller's job.

    Args:
        path: The target.
        write: Called with the temporary path, which has the target's suffix.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
