"""Where a process is that does not answer: what ``faulthandler`` writes of its threads, cut down to the user's code."""

import re
import sysconfig
from pathlib import Path

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[^\n]*\n(?:  [^\n]*\n?)*", re.MULTILINE)
_FILE = re.compile(r'^  File "([^"]*)"', re.MULTILINE)
_NOT_THEIRS = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
    "<frozen ",
)
"""Where code lies that is not the user's."""

_MOST = 4000
"""Characters that are kept."""


def user_code_in(written: str) -> str:
    """The stacks of the threads that are in code of the user's, the most recent call first.

    Args:
        written: What the process has written, with what ``faulthandler`` wrote last.

    Returns:
        Without such a thread, the stack of the thread that took the signal; empty if there is nothing.
    """
    stacks = [found.group().rstrip() for found in _THREAD.finditer(written)]
    theirs = [stack for stack in stacks if any(not file.startswith(_NOT_THEIRS) for file in _FILE.findall(stack))]
    return "\n\n".join(theirs or stacks[-1:])[:_MOST]
