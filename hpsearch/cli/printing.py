"""Prints plain lines. Whatever text is in them, a terminal shows it and does not obey it."""

import json
import sys
import traceback
from types import TracebackType

from hpsearch.core.safe_text import for_terminal


def say(text: object = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print to standard output."""
    print(for_terminal(str(text)), end=end, flush=flush)


def hand_over(text: str) -> None:
    """Print what is somebody's own to standard output: to the letter, unless that is a terminal."""
    print(for_terminal(text) if sys.stdout.isatty() else text, end="")


def complain(text: object) -> None:
    """Print to standard error."""
    print(for_terminal(str(text)), file=sys.stderr)


def say_json(value: object) -> None:
    """Print as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def complain_of_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error that nobody has expected, as Python does. For :func:`sys.excepthook`."""
    complain("".join(traceback.format_exception(kind, error, trace)).rstrip())
