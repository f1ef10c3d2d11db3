"""Workers that come to the driver over the network: ``hpsearch worker --connect HOST:PORT``."""

import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from hpsearch.core.words import listed
from hpsearch.executors.channel import Connections, Peer
from hpsearch.executors.far import FarExecutor, FarSeat
from hpsearch.executors.far_messages import FromPlace, Greeting, ToPlace
from hpsearch.executors.keys import worker_key
from hpsearch.executors.messages import Lost
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings

_EXPECTED = 4
"""Workers that a study plans for if it does not say how many."""


class RemoteSeat(FarSeat):
    """A place at the other end of a connection."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer.address)
        self._peer = peer

    def tell(self, message: ToPlace) -> None:
        self._peer.send(message)

    def tell_file(self, place: str, file: Path, path: str) -> None:
        self._peer.send_file(place, file, path)

    def close(self) -> None:
        self._peer.close()


class RemoteExecutor(FarExecutor):
    """Waits at an address for workers, which may come and leave at any time.

    Args:
        spec: The study file.
        settings: One entry: what is asked of every worker.

    Attributes:
        port: Where it waits.

    Raises:
        SpecError: The address cannot be used, or there is no key.
        HpsearchError: A file that the study needs is not there.
    """

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        super().__init__(spec, settings)
        self._workers = spec.resources.workers
        self._heard: SimpleQueue[tuple[Peer, FromPlace | None]] = SimpleQueue()
        self._peers: dict[Peer, RemoteSeat] = {}
        bind, key_file = self._address(spec)
        self._host, port = bind.rsplit(":", 1)
        self._connections = Connections(worker_key(key_file), lambda peer, message: self._heard.put((peer, message)))  # type: ignore[arg-type]
        try:
            self.port = self._connections.listen(self._host.strip("[]").replace("*", "0.0.0.0"), int(port))
        except BaseException:
            self._connections.close()
            raise

    def _address(self, spec: StudySpec) -> tuple[str, str | None]:
        """Where to wait, and the file with the key."""
        return spec.resources.remote.bind, spec.resources.remote.key_file

    @property
    def width(self) -> int:
        return self._workers if isinstance(self._workers, int) else _EXPECTED

    def _incoming(self, timeout_s: float) -> Iterator[tuple[FarSeat, FromPlace]]:
        until = time.monotonic() + timeout_s
        wait = timeout_s
        while True:
            try:
                peer, message = self._heard.get(timeout=wait) if wait > 0 else self._heard.get_nowait()
            except Empty:
                return
            if isinstance(message, Greeting) and peer not in self._peers:
                self._peers[peer] = RemoteSeat(peer)
            seat = self._peers.get(peer)
            if message is None:
                self._peers.pop(peer, None)
                message = Lost(f"the connection to the worker {seat.name if seat else ''} was lost", gone=True)
            if seat is not None:
                yield seat, message
                wait = 0.0
            else:
                wait = max(0.0, until - time.monotonic())

    def _how_to_join(self) -> str:
        if coming := {one.name for one in self._peers.values() if one.greeted}:
            return f"waiting for {listed(sorted(coming))}: they fetch the study's files and read its data"
        elsewhere = self._host not in ("127.0.0.1", "localhost", "[::1]")
        host = socket.gethostname() if elsewhere else self._host
        command = (shutil.which("hpsearch") and "hpsearch") or "python -m hpsearch"
        return f"waiting for workers: `{command} worker --connect {host}:{self.port}`"

    def close(self) -> None:
        for seat in tuple(self._peers.values()):
            seat.close()
        self._connections.close()
