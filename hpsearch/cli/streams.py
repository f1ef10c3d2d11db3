"""Standard output and standard error, wherever they lead: to a full disk, a reader that is gone, an ASCII terminal."""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from hpsearch.errors import OutputError

_ESCAPED = "hpsearch.escaped"
"""Name of the error handler of codecs that writes ``\\uXXXX``, which JSON reads as the character that it stands for."""

_STRICT = ("strict", "backslashreplace", "surrogateescape")
"""Python's own error handlers of the two streams, by locale. Another one has been asked for."""


def prepare() -> None:
    """Let both streams write every character, and report what they cannot write.

    Standard error only shows what happens: if nobody can see it, the study goes on.
    """
    codecs.register_error(_ESCAPED, _escaped)
    sys.stdout = _Output.of(sys.stdout)
    sys.stderr = _Messages.of(sys.stderr)


def finish() -> None:
    """Write out what standard output still holds. A reader that has gone, such as ``head``, wants no more of it.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        abandon()


def abandon() -> None:
    """Drop what standard output still holds: Python would try to write it once more at its end, and complain."""
    with suppress(OSError, ValueError):  # it has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{code}" for code in codes), error.end


class _Stream(io.TextIOWrapper):
    @classmethod
    def of(cls, stream: TextIO) -> TextIO:
        """A stream in place of Python's; any other, such as a test's, stays as it is."""
        if type(stream) is not io.TextIOWrapper:
            return stream
        strict = stream.errors in _STRICT
        return cls(
            stream.buffer,
            encoding=stream.encoding,
            errors=_ESCAPED if strict else stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )


class _Output(_Stream):
    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _unwritable(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unwritable(error) from None


class _Messages(_Stream):
    def write(self, text: str) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _unwritable(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    return OutputError(
        f"standard output cannot be written: {error.strerror or error}",
        code="not-written",
        hint="what has been shown is incomplete; studies and their results are in the ledger",
        errno=error.errno,
    )
