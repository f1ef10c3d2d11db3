"""Addresses of databases and servers: defaults, environment variables in them, and how messages show them."""

import os
import re
from pathlib import Path

from hpsearch.core.rules import RuleError

DEFAULT_LEDGER = "sqlite:///mlruns/ledger.db"
DEFAULT_TRACKING = "sqlite:///mlruns/mlflow.db"


def without_password(text: str) -> str:
    """`text` with the passwords in its URIs replaced by ``***``, for messages."""
    return re.sub(r"(://[^/:@\s]*):[^@\s]+@", r"\1:***@", text)


def expanded(text: str) -> str:
    """`text` with every ``${NAME}`` replaced by the value of that environment variable.

    Raises:
        RuleError: A variable is not set.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", text) if name not in os.environ]
    if missing:
        raise RuleError(f"the environment variable {missing[0]} is not set", "unset-variable", received=missing[0])
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], text)


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite address; None for other databases."""
    prefix = next((one for one in ("sqlite:///", "sqlite+pysqlite:///") if uri.startswith(one)), None)
    return Path(uri.removeprefix(prefix)) if prefix else None
