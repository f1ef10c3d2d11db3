"""Runs of the synthetic study as processes of their own, forked from one that has everything imported."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.cli.interrupts import hear_again
from hpsearch.errors import HpsearchError, Interrupted
from tests.faults import trainer

LONGEST_S = 90.0
"""A run that takes longer hangs."""


@dataclass
class Run:
    """A process that runs a study.

    Attributes:
        pid: Its number.
        log: What it says on its standard streams.
    """

    pid: int
    log: Path
    code: int | None = None

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.wait(0) is None:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = LONGEST_S) -> int | None:
        """Its exit status, or minus the signal that ended it; None if it goes on after this time."""
        until = time.monotonic() + timeout_s
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                return None
            else:
                time.sleep(0.002)
        return self.code

    @property
    def said(self) -> str:
        """Everything that it has said."""
        return self.log.read_text(errors="replace")


def begin(
    folder: Path, *, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None, **options: str
) -> Run:
    """Fork a process that runs the study in `folder`.

    Args:
        folder: Where ``mlruns`` is or will be.
        before: Called in the process before the study, to set limits or change the clock.
        after: Called in the process at its end.
        options: See :func:`tests.faults.trainer.run`.
    """
    log = folder.parent / f"{folder.name}.log"
    pid = os.fork()
    if pid:
        return Run(pid, log)
    code = 1
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))  # pytest has its own
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        sys.unraisablehook = hear_again  # as the command line has it
        before()
        code = _guarded(folder, options)
        after()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _guarded(folder: Path, options: dict[str, str]) -> int:
    """The exit code that the command line would give."""
    try:
        trainer.run(folder, **options)
    except (Interrupted, KeyboardInterrupt):
        return 130
    except HpsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
