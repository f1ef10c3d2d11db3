"""The main loop of ``hpsearch worker``: serves whichever driver is at an address, one after another."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from hpsearch.errors import ExecutorError
from hpsearch.executors.channel import Connections, Peer
from hpsearch.executors.far_messages import FarMessage, Refused
from hpsearch.executors.place import Place, greeting

_LOOKS_S = 1.0
"""How often to look for a driver."""


def work(
    host: str,
    port: int,
    key: bytes,
    *,
    gpu: str | None,
    threads: int | None,
    cache: Path,
    wait_s: float,
    say: Callable[[str], object],
) -> None:
    """Work for the driver at an address, and for the next one there, until none comes any more.

    Args:
        host: The driver's machine.
        port: Its port.
        key: See :mod:`hpsearch.executors.keys`.
        gpu: The GPU, as in ``CUDA_VISIBLE_DEVICES``; None for the CPU.
        threads: CPU threads; None for what the study says.
        cache: Folder for compiled programs and files of studies.
        wait_s: How long to wait for a driver.
        say: Told what happens.

    Raises:
        ExecutorError: No driver came at all, or one has refused this worker.
    """
    heard = _Heard()
    connections = Connections(key, heard)
    served, until = 0, time.monotonic() + wait_s
    try:
        while True:
            try:
                peer = connections.connect(host, port)
            except OSError as error:
                if time.monotonic() < until:
                    time.sleep(_LOOKS_S)
                    continue
                if served:
                    say(f"no driver at {host}:{port} for {wait_s:g} s: done")
                    return
                raise ExecutorError(
                    f"there is no driver at {host}:{port}: {error.strerror or str(error) or type(error).__name__}",
                    code="no-driver",
                    hint=f'a study with executor = "remote" waits there; --wait looks for longer than {wait_s:g} s',
                ) from None
            say(f"connected to the driver at {host}:{port}")
            try:
                _serve(peer, heard, Place(gpu=gpu, threads=threads, cache=cache))
            except OSError as error:
                raise ExecutorError(
                    f"a worker cannot keep its files: {error.filename or cache}: {error.strerror or error}",
                    code="no-place-for-files",
                    hint="free some disk space, or set XDG_CACHE_HOME and TMPDIR to folders that can be written",
                ) from None
            served, until = served + 1, time.monotonic() + wait_s
            if heard.refused:
                raise ExecutorError(f"the driver at {host}:{port} refuses this worker: {heard.refused}", code="refused")
            say("the driver has closed the connection: waiting for the next")
            time.sleep(_LOOKS_S)
    finally:
        connections.close()


class _Heard:
    """Hands what a driver says to the place."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.closed = threading.Event()
        self.refused = ""

    def __call__(self, peer: Peer, message: FarMessage | None) -> None:
        if message is None:
            self.closed.set()
        elif isinstance(message, Refused):
            self.refused = message.reason
        if self.place is not None:
            if message is None:
                self.place.wake()
            else:
                self.place.tell(message)  # type: ignore[arg-type]  # what a driver sends


def _serve(peer: Peer, heard: _Heard, place: Place) -> None:
    heard.place = place
    try:
        peer.send(greeting())
        while not heard.closed.is_set():
            for message in place.hear(_LOOKS_S):
                peer.send(message)
    finally:
        heard.place = None
        heard.closed.clear()
        peer.close()
        place.close()
