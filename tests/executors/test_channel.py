"""Connections between machines: whoever lacks the key hears nothing and is not heard."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors import channel, far_messages, keys
from hpsearch.executors.channel import Connections
from hpsearch.executors.far_messages import Part, Refused

KEY, OTHER = b"k" * 32, b"o" * 32


class Side:
    def __init__(self, key: bytes = KEY) -> None:
        self.heard: SimpleQueue[Any] = SimpleQueue()
        self.connections = Connections(key, lambda peer, message: self.heard.put((peer, message)))


@pytest.fixture
def driver() -> Iterator[Side]:
    side = Side()
    side.port = side.connections.listen("127.0.0.1", 0)  # type: ignore[attr-defined]
    yield side
    side.connections.close()


@pytest.fixture
def worker() -> Iterator[Side]:
    side = Side()
    yield side
    side.connections.close()


def test_messages_and_files_arrive_in_order(driver: Any, worker: Side, tmp_path: Path) -> None:
    content = os.urandom(2 * far_messages.PART_BYTES + 17)
    (tmp_path / "file").write_bytes(content)
    peer = worker.connections.connect("127.0.0.1", driver.port)
    peer.send(Refused("first"))
    peer.send_file("study", tmp_path / "file", "a/b")
    peer.send(Refused("last"))
    found = [driver.heard.get(timeout=10)[1] for _ in range(5)]
    assert (found[0], found[-1]) == (Refused("first"), Refused("last"))
    parts = found[1:-1]
    assert all(isinstance(one, Part) and one.path == "a/b" for one in parts)
    assert b"".join(one.data for one in parts) == content
    assert [one.last for one in parts] == [False, False, True]


def test_the_end_of_a_connection_is_heard_after_what_was_sent(driver: Any, worker: Side) -> None:
    peer = worker.connections.connect("127.0.0.1", driver.port)
    peer.send(Refused("bye"))
    peer.close()
    assert driver.heard.get(timeout=10)[1] == Refused("bye")
    assert driver.heard.get(timeout=10)[1] is None
    assert worker.heard.get(timeout=10)[1] is None


def test_another_key_is_refused_on_both_sides(driver: Any) -> None:
    stranger = Side(OTHER)
    with pytest.raises(ExecutorError, match="has another key") as raised:
        stranger.connections.connect("127.0.0.1", driver.port)
    assert "--key-file" in raised.value.hint
    assert driver.heard.empty()
    stranger.connections.close()


def test_a_driver_without_the_key_is_refused(worker: Side) -> None:
    impostor = Side(OTHER)
    port = impostor.connections.listen("127.0.0.1", 0)
    with pytest.raises(ExecutorError, match="has another key"):
        worker.connections.connect("127.0.0.1", port)
    impostor.connections.close()


def test_somebody_in_between_is_refused(driver: Any, worker: Side) -> None:
    """He passes all bytes on, but has to show a certificate of his own: the proofs do not fit it."""
    between = Side(OTHER)
    certificate, private = keys.made_certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(os.environ["XDG_STATE_HOME"])
    (folder / "c").write_bytes(certificate)
    (folder / "p").write_bytes(private)
    context.load_cert_chain(folder / "c", folder / "p")
    listening = socket.create_server(("127.0.0.1", 0))

    def pass_on() -> None:
        theirs = context.wrap_socket(listening.accept()[0], server_side=True)
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        ours = plain.wrap_socket(socket.create_connection(("127.0.0.1", driver.port)))
        theirs.sendall(ours.recv(32))
        ours.sendall(theirs.recv(64))
        theirs.sendall(ours.recv(32))

    threading.Thread(target=pass_on, daemon=True).start()
    with pytest.raises(ExecutorError, match="has another key"):
        worker.connections.connect("127.0.0.1", listening.getsockname()[1])
    assert driver.heard.empty()
    between.connections.close()
    listening.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)])
def test_bytes_of_others_are_not_looked_at(driver: Any, worker: Side, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", driver.port)) as plain:
        plain.sendall(said)
        plain.settimeout(0.2)
        with suppress(OSError):
            plain.recv(4096)
        peer = worker.connections.connect("127.0.0.1", driver.port)  # others are served meanwhile
        peer.send(Refused("here"))
        assert driver.heard.get(timeout=10)[1] == Refused("here")


def test_no_message_is_read_before_the_proof(driver: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", driver.port))) as stranger:
        assert len(stranger.recv(32)) == 32
        stranger.sendall(bytes(64) + channel.to_bytes(Refused("let me in")))
        assert stranger.recv(32) == bytes(32)
        assert stranger.recv(1) == b""
    assert driver.heard.empty()


def test_something_else_at_the_address(worker: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            listening.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(
            ExecutorError, match=r"there is no driver of hpsearch at 127.0.0.1:\d+: it does not speak TLS"
        ):
            worker.connections.connect("127.0.0.1", listening.getsockname()[1])


def test_nobody_at_the_address(worker: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OSError):
        worker.connections.connect("127.0.0.1", port)


def test_an_address_that_is_taken(driver: Any, worker: Side) -> None:
    with pytest.raises(SpecError, match=f"workers cannot be awaited at 127.0.0.1:{driver.port}") as raised:
        worker.connections.listen("127.0.0.1", driver.port)
    assert "a port that no other study waits at" in raised.value.hint


def test_a_side_that_falls_silent_counts_as_gone(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    monkeypatch.setattr(channel, "SILENCE_S", 1.0)
    code = f"""
import os, signal
from hpsearch.executors.channel import Connections
connections = Connections({KEY!r}, lambda peer, message: None)
connections.connect("127.0.0.1", {driver.port})
os.kill(os.getpid(), signal.SIGSTOP)
"""
    suspended = subprocess.Popen([sys.executable, "-c", code])
    try:
        begun = time.monotonic()
        assert driver.heard.get(timeout=20)[1] is None
        assert time.monotonic() - begun < 20
    finally:
        suspended.kill()
        suspended.wait()


def test_strangers_are_few(driver: Any, worker: Side) -> None:
    """Connections that prove nothing take few files of the driver, and no place of a worker for long."""
    before = len(os.listdir("/proc/self/fd"))
    strangers = [socket.create_connection(("127.0.0.1", driver.port)) for _ in range(100)]
    time.sleep(0.5)
    assert len(os.listdir("/proc/self/fd")) - before <= len(strangers) + channel._STRANGERS + 10
    for one in strangers:
        one.close()
    worker.connections.connect("127.0.0.1", driver.port)


def test_a_driver_that_dies_in_the_handshake_is_looked_for_again(worker: Side) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True).start()
        with pytest.raises(OSError):
            worker.connections.connect("127.0.0.1", listening.getsockname()[1])


def test_a_message_that_cannot_be_sent_is_said(driver: Any, worker: Side) -> None:
    peer = worker.connections.connect("127.0.0.1", driver.port)
    peer.send(Refused(object()))  # type: ignore[arg-type]
    answer = driver.heard.get(timeout=10)[1]
    assert isinstance(answer, Refused)
    assert answer.reason.startswith("a message cannot be sent: object cannot travel")


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "no.such.host.invalid"])
def test_hosts_that_are_none(worker: Side, host: str) -> None:
    with pytest.raises(SpecError, match="workers cannot be awaited at "):
        worker.connections.listen(host, 0)
    with pytest.raises((ExecutorError, OSError)):
        worker.connections.connect(host, 4733)


# Keys


def test_a_user_s_own_key_is_made_once_and_closed_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = keys.worker_key(None)
    assert keys.worker_key(None) == first
    path = tmp_path / "hpsearch" / "worker.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.worker_key(str(path)) == first


def test_keys_that_do_not_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(SpecError, match=r"the key of the workers cannot be read: .*No such file"):
        keys.worker_key(str(path))
    path.write_bytes(b"k" * 32)
    path.chmod(0o644)
    with pytest.raises(SpecError, match=r"others can read the key of the workers: .* has mode 644") as raised:
        keys.worker_key(str(path))
    assert raised.value.hint == f"`chmod 600 {path}`"
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(SpecError, match="has only 5 bytes"):
        keys.worker_key(str(path))
    monkeypatch.setenv(keys.VARIABLE, "short")
    with pytest.raises(SpecError, match="HPSEARCH_WORKER_KEY has only 5 characters"):
        keys.worker_key(None)
    monkeypatch.setenv(keys.VARIABLE, "x" * 64)
    assert len(keys.worker_key(None)) == 32


def test_another_version_is_told_why_it_is_not_understood(driver: Any, worker: Side, monkeypatch: Any) -> None:
    peer = worker.connections.connect("127.0.0.1", driver.port)
    monkeypatch.setattr(
        channel, "to_bytes", lambda message, own=channel.to_bytes: own(message).replace(b'"Part"', b'"Old"')
    )
    peer.send(Part("study", "a", 0, b"", last=True))
    answer = worker.heard.get(timeout=10)[1]
    assert isinstance(answer, Refused)
    assert "cannot be read" in answer.reason
    assert "need the same version of hpsearch" in answer.reason
    assert driver.heard.get(timeout=10)[1] is None


def test_a_key_file_that_is_named_counts_more_than_the_variable(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv(keys.VARIABLE, "x" * 64)
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    assert keys.worker_key(str(tmp_path / "key")) != keys.worker_key(None)
    with pytest.raises(SpecError, match="cannot be read"):
        keys.worker_key(str(tmp_path / "none"))
