"""Encrypted connections between a driver and workers on other machines, on which messages travel.

One thread looks after all connections of a process. The others hand messages over and take them from a queue.
"""

import asyncio
import hmac
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors.far_messages import Alive, FarMessage, Refused, parts_of
from hpsearch.executors.keys import made_certificate, proof
from hpsearch.executors.wire import MOST_BYTES, from_bytes, to_bytes

SIGN_OF_LIFE_S = 5.0
"""How often a side that has nothing to say says so."""

SILENCE_S = 30.0
"""How long nothing may come from the other side before it counts as gone."""

_HANDSHAKE_S = 10.0
_LAST_WORDS_S = 0.5
_STRANGERS = 64
"""Connections that have not proven the key yet, at most. Others wait until one of them has, or is closed."""

_NONCE = _PROOF = 32
_REFUSED = bytes(_PROOF)

T = TypeVar("T")
Heard = Callable[["Peer", FarMessage | None], object]
"""Gets every message of a peer, and None when its connection has ended. Called in the connections' thread."""


class Peer:
    """The other end of a connection whose key is proven."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard
    ) -> None:
        self._loop, self._reader, self._writer, self._heard = loop, reader, writer, heard
        self._waiting: asyncio.Queue[FarMessage | tuple[str, Path, str] | None] = asyncio.Queue()
        self._heard_at = time.monotonic()
        address = writer.get_extra_info("peername")
        self.address = f"{address[0]}:{address[1]}" if address else "?"

    def send(self, message: FarMessage) -> None:
        """Send a message, in order. If the connection has ended, nothing happens: `heard` gets its None."""
        self._put(message)

    def send_file(self, place: str, file: Path, path: str) -> None:
        """Send a file in ``Part`` messages, in order with all that is sent."""
        self._put((place, file, path))

    def close(self) -> None:
        """End the connection when all that was sent before is on its way."""
        self._put(None)

    def _put(self, item: FarMessage | tuple[str, Path, str] | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, item)

    async def attend(self) -> None:
        """Read and write until the connection ends."""
        tasks = [asyncio.ensure_future(one) for one in (self._read(), self._write(), self._watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.close()
            self._heard(self, None)

    async def _read(self) -> None:
        try:
            while True:
                size = int.from_bytes(await self._reader.readexactly(4), "big")
                if size > MOST_BYTES:
                    return
                message = from_bytes(await self._reader.readexactly(size))
                self._heard_at = time.monotonic()
                if not isinstance(message, Alive):
                    self._heard(self, message)
        except ExecutorError as error:  # another version of hpsearch, most likely: let its user know
            self.send(Refused(f"{error.what}; {error.hint}"))
            await asyncio.sleep(_LAST_WORDS_S)
        except (OSError, EOFError):
            pass

    async def _write(self) -> None:
        with suppress(OSError):  # a file that has gone meanwhile, too: whoever waits for it asks again
            while True:
                try:
                    item = await asyncio.wait_for(self._waiting.get(), SIGN_OF_LIFE_S)
                except TimeoutError:
                    item = Alive()
                if item is None:
                    await self._writer.drain()
                    return
                if isinstance(item, tuple):
                    place, file, path = item
                    parts = parts_of(place, file, path)
                    while (part := await asyncio.to_thread(next, parts, None)) is not None:
                        await self._write_one(part)
                else:
                    await self._write_one(item)

    async def _write_one(self, message: FarMessage) -> None:
        try:
            raw = to_bytes(message)
            if len(raw) > MOST_BYTES:
                raise ValueError(f"{type(message).__name__} has {len(raw):,} bytes; {MOST_BYTES:,} are the most")
        except (TypeError, ValueError) as error:  # nothing that can be repeated
            raw = to_bytes(Refused(f"a message cannot be sent: {error}"))
            self._put(None)
        self._writer.write(len(raw).to_bytes(4, "big") + raw)
        await self._writer.drain()

    async def _watch(self) -> None:
        while time.monotonic() - self._heard_at < SILENCE_S:
            await asyncio.sleep(1)


class Connections:
    """The thread that looks after connections.

    Args:
        key: See :mod:`hpsearch.executors.keys`.
        heard: Gets what comes.
    """

    def __init__(self, key: bytes, heard: Heard) -> None:
        self._key, self._heard = key, heard
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="connections", daemon=True)
        self._thread.start()

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def listen(self, host: str, port: int) -> int:
        """Take connections at an address of this machine.

        Returns:
            The port: a free one for 0.

        Raises:
            SpecError: The address cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        certificate, private = made_certificate()
        with TemporaryDirectory() as folder:  # Python reads certificates from files only; its mode is 0700
            for name, content in (("certificate", certificate), ("key", private)):
                Path(folder, name).write_bytes(content)
            context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))
        der = ssl.PEM_cert_to_DER_cert(certificate.decode())

        try:
            listening = socket.create_server((host, port), family=_family(host), backlog=_STRANGERS)
        except (OSError, OverflowError, UnicodeError) as error:
            raise SpecError(
                f"workers cannot be awaited at {host}:{port}: {getattr(error, 'strerror', None) or error}",
                code="no-such-bind",
                hint="give `bind` an address of this machine, and a port that no other study waits at",
                bind=f"{host}:{port}",
            ) from None
        listening.setblocking(False)
        self._listening = listening
        self._start(self._accept(listening, context, der))
        return int(listening.getsockname()[1])

    def _start(self, what: Coroutine[Any, Any, None]) -> None:
        def start() -> None:
            task = self._loop.create_task(what)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(start)

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext, certificate: bytes) -> None:
        strangers = asyncio.Semaphore(_STRANGERS)
        while True:
            await strangers.acquire()
            try:
                plain, _ = await self._loop.sock_accept(listening)
            except OSError:  # too many open files, or the other side has gone
                strangers.release()
                await asyncio.sleep(1)
                continue
            self._start(self._take(plain, context, certificate, strangers))

    async def _take(
        self, plain: socket.socket, context: ssl.SSLContext, certificate: bytes, strangers: asyncio.Semaphore
    ) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            try:
                reader = asyncio.StreamReader(loop=self._loop)
                transport, protocol = await self._loop.connect_accepted_socket(
                    lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop),
                    plain,
                    ssl=context,
                    ssl_handshake_timeout=_HANDSHAKE_S,
                    ssl_shutdown_timeout=_LAST_WORDS_S,
                )
                writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
                proven = await asyncio.wait_for(self._prove_as_driver(reader, writer, certificate), _HANDSHAKE_S)
            except (OSError, EOFError, TimeoutError):
                proven = False
        finally:
            strangers.release()
        if writer is None:
            plain.close()
        elif proven:
            await Peer(self._loop, reader, writer, self._heard).attend()
        else:
            writer.close()

    async def _prove_as_driver(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, certificate: bytes
    ) -> bool:
        ours = os.urandom(_NONCE)
        writer.write(ours)
        theirs = await reader.readexactly(_NONCE + _PROOF)
        nonces = ours + theirs[:_NONCE]
        if not hmac.compare_digest(theirs[_NONCE:], proof(self._key, b"worker", nonces, certificate)):
            writer.write(_REFUSED)
            await writer.drain()
            return False
        writer.write(proof(self._key, b"driver", nonces, certificate))
        await writer.drain()
        return True

    def connect(self, host: str, port: int) -> Peer:
        """A connection to a driver.

        Raises:
            OSError: There is none at the address.
            ExecutorError: Something else is, or a driver with another key.
        """
        return self._do(self._connect(host, port))

    async def _connect(self, host: str, port: int) -> Peer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the proofs stand for it
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(host, port, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S), 2 * _HANDSHAKE_S
            )
        except ssl.SSLError as error:
            raise _no_driver(host, port, f"it does not speak TLS 1.3 ({error.reason})") from None
        except UnicodeError as error:
            raise _no_driver(host, port, f"the address is none ({error})") from None
        try:
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            proven = await asyncio.wait_for(self._prove_as_worker(reader, writer, certificate), _HANDSHAKE_S)
        except (EOFError, TimeoutError):
            writer.close()
            raise ConnectionAbortedError("it does not answer as a driver of hpsearch") from None
        if not proven:
            writer.close()
            raise ExecutorError(
                f"the driver at {host}:{port} has another key",
                code="other-worker-key",
                hint="give both the same: `--key-file` with a copy of the driver's worker.key, or HPSEARCH_WORKER_KEY",
            )
        peer = Peer(self._loop, reader, writer, self._heard)
        task = self._loop.create_task(peer.attend())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return peer

    async def _prove_as_worker(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, certificate: bytes
    ) -> bool:
        ours = os.urandom(_NONCE)
        nonces = await reader.readexactly(_NONCE) + ours
        writer.write(ours + proof(self._key, b"worker", nonces, certificate))
        answer = await reader.readexactly(_PROOF)
        return hmac.compare_digest(answer, proof(self._key, b"driver", nonces, certificate))

    def close(self) -> None:
        """End all connections, after what was sent."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(2 * SIGN_OF_LIFE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SIGN_OF_LIFE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        if self._listening is not None:
            self._listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _no_driver(host: str, port: int, why: str) -> ExecutorError:
    return ExecutorError(
        f"there is no driver of hpsearch at {host}:{port}: {why}",
        code="no-driver",
        hint="`hpsearch run` with such a study prints the address for its workers",
    )
