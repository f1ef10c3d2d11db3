"""Ctrl-C that comes while Python collects garbage."""

import subprocess
import sys

SCRIPT = """
import sys, time
from hpsearch.cli.interrupts import hear_again

class Late:
    def __del__(self):
        raise {error}

sys.unraisablehook = hear_again
try:
    Late()
    time.sleep(20)
except KeyboardInterrupt:
    print("heard")
"""


def said(error: str) -> tuple[str, str]:
    script = SCRIPT.format(error=error).replace("time.sleep(20)", "time.sleep(20)" if "Key" in error else "pass")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=15)
    return done.stdout, done.stderr


def test_it_is_heard() -> None:
    assert said("KeyboardInterrupt") == ("heard\n", "")


def test_other_errors_are_told_as_ever() -> None:
    stdout, stderr = said("ValueError(3)")
    assert stdout == ""
    assert stderr.startswith("Exception ignored")
    assert "ValueError: 3" in stderr
