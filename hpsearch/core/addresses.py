"""Addresses of databases and servers: defaults, environment variables in them, and how messages show them."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

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


_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(.*)", re.DOTALL)


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite address; None for other databases, and for one in memory.

    In an address, ``%3F`` stands for ``?``, and what follows a ``?`` are settings. A path that is there, or whose
    folder is, is taken as it is written: a shell completes it so.
    """
    match = _SQLITE.fullmatch(uri)
    if match is None or match[1] in ("", ":memory:"):
        return None
    path, decoded = Path(match[1]), Path(unquote(match[1].partition("?")[0]))
    as_written = path.exists() or (path.parent.is_dir() and not decoded.parent.is_dir())
    return path if as_written else decoded


def sqlite_address(path: Path, settings: str = "") -> str:
    """The address of a SQLite file, for SQLAlchemy and all that use it.

    Args:
        path: The file.
        settings: What follows the path in an address, such as ``?timeout=5``.

    Raises:
        RuleError: The installed SQLAlchemy cannot take such a path.
    """
    if re.fullmatch(r"[\w./~+:\\ -]*", str(path), re.ASCII):
        return f"sqlite:///{path.as_posix()}{settings}"
    from sqlalchemy.engine import URL, make_url  # takes 0.2 s

    # Of a plain "sqlite:///", MLflow makes the folder, without decoding its name.
    address = URL.create("sqlite+pysqlite", database=path.as_posix()).render_as_string()
    if make_url(address).database != path.as_posix():
        raise RuleError(
            "SQLAlchemy 2.0 takes no folders with a question mark in their names", "bad-address", received=str(path)
        )
    return address + settings
