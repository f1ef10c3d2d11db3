"""One worker process on this machine and the connection to it, from start to last words."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import IO

from hpsearch.executors.messages import FromWorker, Hello, Lost, Request
from hpsearch.executors.stacks import user_code_in

_POLITE_S = 2.0
"""How long a worker that is told to end may take before it is killed."""

_STACK_S = 0.3
"""How long a worker may take to write down what it is doing."""


class WorkerProcess:
    """A worker process. It ends when the connection does, so no worker outlives who has started it.

    Args:
        hello: What it works on, and how it is set up.
        folder: Its working directory; None for ours.
    """

    def __init__(self, hello: Hello, folder: str | None = None) -> None:
        ours, theirs = socket.socketpair()
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # Not multiprocessing: its spawn imports the user's __main__ again, which breaks plain scripts. A session of
        # its own keeps the terminal's Ctrl-C away: stopping is the driver's decision.
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "hpsearch.executors.serve", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.errors,
            stderr=self.errors,
            start_new_session=True,
            cwd=folder,
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self._ended = ""
        self._stack = ""
        self.send(hello)

    def send(self, request: Hello | Request) -> None:
        """Hand over a request. If the process has died, :meth:`received` says so."""
        with suppress(OSError):
            self.connection.send(request)

    def received(self) -> Sequence[FromWorker]:
        """What it has sent, without waiting; last a ``Lost`` if the connection has ended."""
        messages: list[FromWorker] = []
        try:
            while self.connection.poll():
                messages.append(self.connection.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            messages.append(Lost(self._ended or self._last_words(), ended=bool(self._ended), stack=self._stack))
        return messages

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self.popen.poll() is not None

    def _last_words(self) -> str:
        """Why it ended, as far as can be told."""
        try:
            code = self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        lines = self._written(2000).strip().splitlines()
        reason = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        hint = " (SIGKILL: often the system was out of memory)" if code == -9 else ""
        return f"worker process ended with {reason}{hint}" + (f": {lines[-1]}" if lines else "")

    def _written(self, most: int) -> str:
        """The end of what it has written to stdout and stderr."""
        descriptor = self.errors.fileno()  # its position is the worker's, too
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, most, max(0, size - most)).decode(errors="replace")

    def end(self, reason: str) -> None:
        """End it, whatever it does: first politely, for the user's code may have something to clean up."""
        self._ended = reason
        self._signal(signal.SIGUSR1)  # see `serve`: it answers with its stack, even from within C code
        time.sleep(_STACK_S)
        self._stack = user_code_in(self._written(100_000))
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_POLITE_S)
        self._kill()

    def close(self) -> None:
        """Kill it, and forget what it has sent."""
        self.connection.close()
        self._kill()
        self.errors.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def _kill(self) -> None:
        """Kill it and all that its code has started: it leads a process group of its own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        # A process that waits for a broken disk outlives even this. It must not keep the driver.
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_POLITE_S)
