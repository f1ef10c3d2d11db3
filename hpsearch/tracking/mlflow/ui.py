"""MLflow's own pages on the study's store: a local server for databases, the address for servers."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TextIO

from hpsearch.core.addresses import AnyUri, Uri
from hpsearch.errors import TrackingError
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow.address import Address, resolve_address, study_page_url
from hpsearch.tracking.settings import mlflow_settings

HOST = "127.0.0.1"
FIRST_PORT = 5000
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Ui:
    """How to show MLflow's pages.

    Attributes:
        server: Address of the pages, such as ``http://127.0.0.1:5000``.
        command: Starts them; empty where a server runs already.
        environment: Added to the environment of `command`. The store's address is in it: other users of the machine
            can read a command line, and no environment.
    """

    server: Uri
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


def make_ui(section: TrackingSection, *, port: int | None = None) -> Ui:
    """The command for the pages of a store.

    Args:
        section: Where the store is.
        port: Port to use; the first free one from 5000 if not given.

    Raises:
        TrackingError: The store does not exist yet, or the port is taken.
    """
    address = resolve_address(section)
    if address.http:
        return Ui(address.uri, (), {})
    if address.file is not None and not address.file.is_file():
        raise TrackingError(
            f"there is no MLflow database {address.file}",
            code="no-database",
            hint="`hpsearch run FILE` makes one; see [tracking] uri",
            file=str(address.file),
        )
    chosen = _free_port() if port is None else _check_port(port)
    return Ui(Uri(f"http://{HOST}:{chosen}"), _command(chosen), _environment(address))


def serve_ui(
    section: TrackingSection,
    *,
    study: str | None = None,
    port: int | None = None,
    ready: Callable[[str], None],
) -> int:
    """Show MLflow's pages until Ctrl-C.

    Args:
        section: Where the store is.
        study: Opens this study's experiment; else the list of all.
        port: See :func:`make_ui`.
        ready: Told the address to open, once it answers.

    Returns:
        0, or the server's own exit code if it ends by itself.

    Raises:
        TrackingError: The store does not exist, the port is taken, or the server does not start.
    """
    ui = make_ui(section, port=port)
    if not ui.command:
        _get(ui.server, "/health")
        ready(study_page(ui.server, study))
        return 0
    address = resolve_address(section)
    if address.file is not None:
        _bring_here(address)
    # Not into a pipe: nobody reads it while the server runs, and a full pipe would stop the server.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        # A session of its own: its workers end with it, and Ctrl-C reaches it once, from here.
        process = subprocess.Popen(
            ui.command,
            env={**os.environ, **ui.environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with _interrupted_by_signals():
                _wait_until_up(process, ui.server, said, address)
                ready(study_page(ui.server, study))
                return _ended(process)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(process)


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does. In other threads nothing is caught."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays so: a closed terminal must not end what `nohup` has started.
    heard = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _bring_here(address: Address) -> None:
    from hpsearch.tracking.mlflow.client import as_tracking_error, connect, quiet
    from hpsearch.tracking.mlflow.moved import bring_here

    with mlflow_settings(), quiet():
        try:
            bring_here(connect(address), address)
        except Exception as error:  # MLflow raises its own errors and SQLAlchemy's
            raise as_tracking_error(error, address) from address.cause(error)


def study_page(server: AnyUri, study: str | None) -> str:
    """Web page of a study's experiment; the list of all experiments if there is none of that name."""
    server = Uri(server)
    if study is not None:
        query = urllib.parse.urlencode({"experiment_name": study})
        with _unless_refused():
            found = _get(server, f"/api/2.0/mlflow/experiments/get-by-name?{query}")
            experiment = json.loads(found)["experiment"]
            return study_page_url(server.page, experiment["experiment_id"])
    return f"{server.page}/#/experiments"


@contextlib.contextmanager
def _unless_refused() -> Iterator[None]:
    """Suppress all errors of the server's but that it lets nobody in: its pages would not, either."""
    try:
        yield
    except TrackingError as error:
        if error.code == "tracking.not-allowed":
            raise


def _command(port: int) -> tuple[str, ...]:
    # One worker takes 0.4 GB, MLflow's default of four with its job runners 1.3 GB.
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    return tuple(command)


def _environment(address: Address) -> dict[str, str]:
    """What MLflow's server is told besides its command, under the names that its options have in the environment."""
    found = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": address.uri.reveal(),
    }
    root = address.artifact_root
    return found if root is None else {**found, "MLFLOW_DEFAULT_ARTIFACT_ROOT": root}


def _free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        if _is_free(port):
            return port
    raise TrackingError(
        f"no port of {FIRST_PORT}–{FIRST_PORT + 99} is free",
        code="no-free-port",
        hint="name another one with --port",
        first=FIRST_PORT,
        last=FIRST_PORT + 99,
    )


def _check_port(port: int) -> int:
    if not 0 < port < 65536:
        raise TrackingError(f"port must be between 1 and 65535, but got {port}", code="port-out-of-range", port=port)
    if not _is_free(port):
        raise TrackingError(
            f"port {port} is taken",
            code="port-taken",
            hint="leave --port out, and the first free one is used",
            port=port,
        )
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does it: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _get(server: Uri, path: str) -> str:
    try:
        request = urllib.request.Request(f"{server.page}{path}")
        if credentials := _credentials(server):
            request.add_header("Authorization", credentials)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except (OSError, ValueError) as error:
        if (status := getattr(error, "code", 0)) in (401, 403):
            from hpsearch.tracking.mlflow.client import not_allowed

            raise not_allowed(str(server), known=status == 403) from None
        reason = str(getattr(error, "reason", error))  # the request has no password in its address
        raise TrackingError(
            f"MLflow at {server} cannot be reached: {reason}",
            code="unreachable",
            hint="is the server up?",
            address=str(server),
            reason=reason,
        ) from None


def _credentials(server: Uri) -> str:
    """What MLflow itself would send: from the address, else from the environment; empty without any."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    info = server.user_info or (f"{user}:{password}" if user and password else "")
    if info:
        return f"Basic {b64encode(info.encode()).decode()}"
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""


def _wait_until_up(process: "subprocess.Popen[bytes]", server: Uri, said: TextIO, store: Address) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said.seek(0)
            lines = said.read().strip().splitlines() or [f"exit code {process.returncode}"]
            last = store.uri.hide_in(lines[-1])
            raise TrackingError(
                f"MLflow's server ended at once: {last}", code="server-ended", hint="see [tracking] uri", said=last
            )
        with contextlib.suppress(TrackingError):
            _get(server, "/health")
            return
        time.sleep(0.2)
    raise TrackingError(
        f"MLflow's server did not answer within {START_SECONDS:g} s", code="server-silent", seconds=START_SECONDS
    )


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of the server once it ends. Ctrl-C is heard meanwhile.

    Not by one wait: a library may have a handler of its own for Ctrl-C, after which the system goes on waiting. MLflow
    imports one, Polars, where it is installed.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1.0)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS forbids what Linux cannot find
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
