"""The boundary of data files: whatever their bytes are, reading them ends in data or in a ``DataError``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpsearch.core.foreign import errors_as
from hpsearch.core.hardware import memory_bytes
from hpsearch.core.words import first_line
from hpsearch.errors import DataError

MOST_COLUMNS = 100_000
"""Columns of a table. A file with more of them is hardly one."""

_MOST = 300
"""Characters of a parser's message. What follows may be rows of the data."""


@contextmanager
def reading(path: Path, format: str, *, hint: str = "") -> Iterator[None]:
    """Say what is wrong with a file that cannot be read.

    Args:
        path: The file.
        format: What it should be, such as ``"CSV"``.
        hint: What to do.

    Raises:
        DataError: In place of anything that a parser raises.
    """

    def explain(error: Exception) -> DataError:
        reason = first_line(error)[:_MOST] if str(error).strip() else type(error).__name__
        return DataError(
            f"{path} cannot be read as {format}: {reason}",
            code="unreadable-file",
            hint=hint,
            path=str(path),
            format=format,
        )

    with errors_as(explain):
        yield


def check_columns(source: str | Path, count: int) -> None:
    """Refuse more columns than a table has.

    Raises:
        DataError: There are.
    """
    if count > MOST_COLUMNS:
        raise DataError(
            f"{source} has {count:,} columns; {MOST_COLUMNS:,} are allowed",
            code="too-many-columns",
            source=str(source),
            columns=count,
        )


def check_fits(path: Path, size: int, what: str) -> None:
    """Refuse what a file announces, before anything is allocated for it.

    Args:
        path: The file.
        size: Bytes that its content needs in memory.
        what: What it announces, in words.

    Raises:
        DataError: This machine has less memory.
    """
    available = memory_bytes()
    if available is not None and size > available:
        raise DataError(
            f"{path} announces {what}, which need {size / 2**30:,.0f} GB of memory; this machine has "
            f"{available / 2**30:,.0f} GB",
            code="too-large",
            hint="check the file; if it is right, use a part of it",
            path=str(path),
            bytes=size,
        )
