"""A real MLflow server behind a proxy that can refuse, fail, babble or be slow."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODES = ("refusing", "500", "garbage", "slow", "hanging up")
SLOW_S = 3.0


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path) -> Iterator[int]:
    """Run ``mlflow server`` with a database in `folder`, ``mlflow.db``; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", (folder / "artifacts").as_uri()]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
                time.sleep(0.2)
            yield port
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@dataclass
class Proxy:
    """What stands before the server.

    Attributes:
        uri: Its address.
        switch: A file with the mode; "ok" lets everything through.
    """

    uri: str
    switch: Path

    def set(self, mode: str) -> None:
        """From now on, behave like this."""
        self.switch.write_text(mode)


@contextmanager
def proxy(port: int, switch: Path) -> Iterator[Proxy]:
    """Run a proxy before the server at `port` in a process of its own."""
    switch.write_text("ok")
    mine = free_port()
    pid = os.fork()
    if not pid:
        try:
            _Handler.port, _Handler.switch = port, switch
            _Server(("127.0.0.1", mine), _Handler).serve_forever()
        finally:
            os._exit(0)
    try:
        yield Proxy(f"http://127.0.0.1:{mine}", switch)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing: a client that was killed has hung up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port: int
    switch: Path

    def _pass(self) -> None:
        mode = self.switch.read_text()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if mode == "refusing":
            self.close_connection = True
            return
        if mode == "slow":
            time.sleep(SLOW_S)
        if mode in ("500", "garbage"):
            self._answer(500 if mode == "500" else 200, b"<html>it works</html>", {})
            return
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        there.request(self.command, self.path, body, kept)
        answer = there.getresponse()
        content = answer.read()
        if mode == "hanging up":  # the server has done it, and nobody is told
            self.close_connection = True
            return
        self._answer(answer.status, content, {"Content-Type": answer.getheader("Content-Type") or "text/plain"})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: it would be a line per request."""
