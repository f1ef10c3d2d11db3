"""Where things of this user's are kept that belong to no workspace."""

import os
from pathlib import Path


def state_folder() -> Path:
    """For keys: ``~/.local/state/hpsearch``, or below ``$XDG_STATE_HOME``.

    Raises:
        RuntimeError: There is no home.
    """
    return _below("XDG_STATE_HOME", "~/.local/state")


def cache_folder() -> Path:
    """For compiled programs and files of studies that run elsewhere: ``~/.cache/hpsearch``, or below
    ``$XDG_CACHE_HOME``.

    Raises:
        RuntimeError: There is no home.
    """
    return _below("XDG_CACHE_HOME", "~/.cache")


def _below(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    return (Path(named) if os.path.isabs(named) else Path(default).expanduser()) / "hpsearch"
