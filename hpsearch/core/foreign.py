"""Calls into code that is not ours, such as the user's build function. It may raise anything."""

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hpsearch.errors import HpsearchError

_MOST = 300
"""Characters of a foreign message that are shown. What follows may be rows of the data."""

_ARGUMENTS = re.compile(r"\s*(Arguments received by|Full object config|Call arguments received)")


@contextmanager
def errors_as(explain: Callable[[Exception], HpsearchError]) -> Iterator[None]:
    """Raise what the block raises as one of our errors. Our own errors pass as they are.

    >>> with errors_as(lambda error: ModelError(f"build raised {error}", code="build-failed")):
    ...     model = build(config, data)

    Args:
        explain: Makes the error to raise; see :func:`said`.
    """
    try:
        yield
    except HpsearchError:
        raise
    except Exception as error:  # the one place that catches everything the user's code may raise
        raise explain(error) from error


def said(error: BaseException) -> str:
    """Type, message and place of a foreign error in one line: ``ValueError: bad units (my_model.py, line 12)``."""
    text = _ARGUMENTS.split(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error)))[0]
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    text = text if len(text) <= _MOST else f"{text[:_MOST]}…"
    return f"{type(error).__name__}: {text or 'no message'}{_place(error)}"


def _place(error: BaseException) -> str:
    """The innermost line of the user's own files; else the innermost line; empty without a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    paths = sysconfig.get_paths()
    others = (paths["stdlib"], paths["purelib"], paths["platlib"], __file__.rpartition("/core/")[0])
    own = [frame for frame in frames if not frame.filename.startswith((*others, "<"))]
    frame = (own or frames)[-1]
    return f" ({frame.filename}, line {frame.lineno})"
