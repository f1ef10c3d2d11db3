"""One worker process per slot: a slot is a GPU, or a share of the CPU cores."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import IO, ClassVar, cast

from hpsearch.core.events import Bundle, BundleFinished, Event, LaneFailed, WorkerDied
from hpsearch.core.trial import Failure, FailureKind
from hpsearch.errors import ExecutorError
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.executors.messages import Call, Hello, Raised, Returned, Stop, Train
from hpsearch.executors.stacks import user_code_in
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings

GROWTH_LIMIT = 1.25
"""A worker whose memory exceeds this multiple of what it had after its first bundles is replaced between bundles."""

SETTLED = 3
"""Bundles after which a worker's memory counts as its normal size."""

_POLITE_S = 2.0
"""How long a worker that is told to end may take before it is killed."""

_HEARS_S = 0.25
"""How long a Ctrl-C may go unheard while a call is answered."""

_STACK_S = 0.3
"""How long a worker may take to write down what it is doing."""


class _Process:
    """One worker process and the connection to it. It ends when the connection does, so no worker outlives us."""

    def __init__(self, spec: StudySpec, settings: WorkerSettings) -> None:
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
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.bundle: Bundle | None = None
        self.finished = 0
        self.normal_bytes = 0
        self.ended = ""
        self.stack = ""
        self.starved: Failure | None = None
        self.connection.send(Hello(spec, settings))

    def last_words(self) -> str:
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
        self.ended = reason
        self._signal(signal.SIGUSR1)  # see `serve`: it answers with its stack, even from within C code
        time.sleep(_STACK_S)
        self.stack = user_code_in(self._written(100_000))
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_POLITE_S)
        self._kill()

    def close(self) -> None:
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


class ProcessesExecutor(Executor):
    """Worker processes on this machine.

    Args:
        spec: The study file, sent to each worker.
        settings: One per slot.
    """

    ends_workers: ClassVar[bool] = True

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        self._spec = spec
        self._settings = list(settings)
        # The first slot starts at once; the others when there is a bundle for them.
        self._processes: list[_Process | None] = [None] * len(self._settings)
        self._events: deque[Event] = deque()
        self._process(0)

    @property
    def slots(self) -> int:
        return len(self._settings)

    @property
    def idle(self) -> int:
        return sum(process is None or process.bundle is None for process in self._processes)

    @property
    def pids(self) -> list[int | None]:
        """Process id of each slot's worker; None for a slot without one."""
        return [None if process is None else process.popen.pid for process in self._processes]

    def _process(self, slot: int) -> _Process:
        process = self._processes[slot]
        if process is None:
            process = self._processes[slot] = _Process(self._spec, self._settings[slot])
        return process

    def _idle_slot(self) -> int:
        return next(i for i, process in enumerate(self._processes) if process is None or process.bundle is None)

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        slot = self._idle_slot()
        if (idle := self._processes[slot]) is not None and idle.popen.poll() is not None:
            self._drop(slot)  # it died while idle, which is no fault of this call
        process = self._process(slot)
        try:
            process.connection.send(Call(method.__name__, args, kwargs))
            # Not by one wait: a library, such as Polars, may have a handler of its own for Ctrl-C, after which the
            # system goes on waiting and Python hears nothing of it.
            until = time.monotonic() + self.patience_s
            while not process.connection.poll(_HEARS_S):
                if time.monotonic() > until and not process.ended:
                    process.end(f"the worker was ended after {self.patience_s:g} s")
            answer = process.connection.recv()
        except (EOFError, OSError):
            reason, again = process.ended or process.last_words(), "give it more memory or lower data.max_rows"
            if process.ended:
                again = "raise [resources] trial_timeout"
            self._drop(slot)
            raise ExecutorError(
                f"{reason} during {method.__name__!r}",
                code="worker-died",
                hint=f"run the same command again; if the worker ends again, {again}",
                method=method.__name__,
            ) from None
        match answer:
            case Returned():
                return cast("T", answer.value)  # what the protocol's method returns
            case Raised():
                raise answer.error
        raise TypeError(f"a worker answered {method.__name__!r} with {type(answer).__name__}")

    def submit(self, bundle: Bundle) -> None:
        slot = self._idle_slot()
        process = self._process(slot)
        process.bundle = bundle
        try:
            process.connection.send(Train(bundle))
        except OSError:
            self._lost(slot)

    def stop(self, trials: frozenset[int]) -> None:
        for process in self._processes:
            if process is not None and process.bundle is not None and trials & set(process.bundle.trials):
                try:
                    process.connection.send(Stop(trials))
                except OSError:
                    continue  # it is dead; events() will say so

    def end(self, bundle: int, reason: str) -> None:
        for slot, process in enumerate(self._processes):
            if process is None or process.bundle is None or process.bundle.id != bundle:
                continue
            process.end(reason)
            self._receive(slot)  # what it had reported by then, and its end
            if self._processes[slot] is process:
                self._lost(slot)

    def events(self, timeout_s: float) -> Sequence[Event]:
        busy = {p.connection: i for i, p in enumerate(self._processes) if p is not None and p.bundle is not None}
        if busy and not self._events:
            for connection in wait(list(busy), timeout_s):
                self._receive(busy[connection])  # type: ignore[index]
        elif not self._events:
            time.sleep(min(timeout_s, 0.05))
        found = list(self._events)
        self._events.clear()
        return found

    def _receive(self, slot: int) -> None:
        process = self._process(slot)
        try:
            while process.connection.poll():
                event = process.connection.recv()
                if isinstance(event, LaneFailed) and event.failure.kind is FailureKind.OUT_OF_MEMORY:
                    process.starved = event.failure  # no verdict on the trial: a fresh worker may have the memory
                    continue
                self._events.append(event)
                if isinstance(event, BundleFinished):
                    if process.starved is not None:
                        self._lost(slot)
                        return
                    process.bundle = None
                    process.finished += 1
                    self._watch_memory(slot, event.rss_bytes)
                    return
        except (EOFError, OSError, pickle.UnpicklingError):
            self._lost(slot)

    def _watch_memory(self, slot: int, rss_bytes: int) -> None:
        process = self._process(slot)
        if process.finished <= SETTLED:
            process.normal_bytes = max(process.normal_bytes, rss_bytes)
        elif rss_bytes > GROWTH_LIMIT * process.normal_bytes:
            self._drop(slot)

    def _lost(self, slot: int) -> None:
        process = self._process(slot)
        bundle = process.bundle
        starved = process.starved
        reason = process.ended or (f"out of memory: {starved.message}" if starved else process.last_words())
        self._drop(slot)
        if bundle is not None:
            traceback = process.stack or (starved.traceback if starved else "")
            self._events.append(WorkerDied(bundle, reason, ended=bool(process.ended), traceback=traceback))

    def _drop(self, slot: int) -> None:
        process, self._processes[slot] = self._processes[slot], None
        if process is not None:
            process.close()

    def close(self) -> None:
        for slot in range(self.slots):
            self._drop(slot)
