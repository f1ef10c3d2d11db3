"""Secret keys of this user's, each 32 random bytes in a file that nobody else can read."""

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def read_or_make(path: Path) -> bytes:
    """The key in a file, which is made if it is not there.

    Raises:
        OSError: It cannot be read or made.
    """
    if not path.exists():
        _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    """Write a new key, unless another process does so first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        os.link(new, path)  # fails if there is one
    except FileExistsError:
        pass
    finally:
        new.unlink(missing_ok=True)
