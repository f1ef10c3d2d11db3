import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import urllib.request
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hpsearch.errors import TrackingError
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow import ui
from hpsearch.tracking.mlflow.ui import make_ui

SCRIPT = """
import sys
from hpsearch.spec import TrackingSection
from hpsearch.tracking import serve_ui
sys.exit(serve_ui(TrackingSection(uri=sys.argv[1]), study="digits", ready=lambda url: print(url, flush=True)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ui_opens_the_studys_page_and_a_signal_ends_it_with_all_children(folder: Path, number: int) -> None:
    record = make_record(make_trials(2), folder=folder)
    sync(record)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, record.spec.tracking.uri.reveal()], stdout=subprocess.PIPE, cwd=folder, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        server, _, page = url.partition("/#")
        assert page == ("/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=study")
        assert server.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{server}/health", timeout=10) as answer:
            assert answer.read() == b"OK"
        served = _children_of(process.pid)
        assert served
        shown = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
        known = {int(pid): args for pid, args in (line.split(None, 1) for line in shown.splitlines())}
        assert all("mlflow.db" not in known[pid] for pid in served), "others see what is on a command line"
    finally:
        process.send_signal(number)
        assert process.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in served)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{server}/health", timeout=10)
    assert [one.name for one in folder.iterdir() if one.name.startswith("mlruns")] == []


def test_what_is_ignored_ends_no_server() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with ui._interrupted_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def _children_of(pid: int) -> set[int]:
    """All processes below this one."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found, newest = set(), {pid}
    while newest:
        newest = {child for child, parent in parents.items() if parent in newest}
        found |= newest
    return found


def test_ui_of_a_server_needs_no_command() -> None:
    ui = make_ui(make_record(tracking={"uri": "http://mlflow.example:5000"}).spec.tracking)
    assert (ui.server, ui.command) == ("http://mlflow.example:5000", ())


def test_ui_says_what_is_wrong(folder: Path) -> None:
    tracking = make_record(folder=folder).spec.tracking
    with pytest.raises(TrackingError) as caught:
        make_ui(tracking, port=0)
    assert (caught.value.code, caught.value.values) == ("tracking.port-out-of-range", {"port": 0})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TrackingError) as caught:
            make_ui(tracking, port=port)
    assert (caught.value.code, caught.value.values) == ("tracking.port-taken", {"port": port})
    (folder / "mlflow.db").unlink()
    with pytest.raises(TrackingError) as caught:
        make_ui(tracking)
    assert (caught.value.code, caught.value.values) == ("tracking.no-database", {"file": str(folder / "mlflow.db")})


def test_no_error_of_a_server_or_of_its_store_shows_a_password(folder: Path) -> None:
    from hpsearch.spec import TrackingSection, Uri

    for address in ("http://me:hunter2@127.0.0.1:1", "http://hunter2@127.0.0.1:1", "http://127.0.0.1:1/?token=hunter2"):
        with pytest.raises(TrackingError) as caught:
            ui.serve_ui(TrackingSection(uri=Uri(address)), ready=pytest.fail)
        assert caught.value.code == "tracking.unreachable"
        assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + str(caught.value.values)
    made = make_ui(TrackingSection(uri=Uri("postgresql+psycopg://me:hunter2@127.0.0.1:1/x")))
    assert "hunter2" not in repr(made) + " ".join(made.command)
    assert made.environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://me:hunter2@127.0.0.1:1/x"


def test_a_servers_user_is_told_to_it_and_is_in_no_link() -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"experiment": {"experiment_id": "7"}}')

        def log_message(self, *_: object) -> None: ...

    heard: list[tuple[str, str]] = []
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        links: list[str] = []
        address = f"http://me:hunt%40er@127.0.0.1:{server.server_port}"
        section = make_record(tracking={"uri": address}).spec.tracking
        assert ui.serve_ui(section, study="digits", ready=links.append) == 0
        server.shutdown()
    assert [path.partition("?")[0] for path, _ in heard] == ["/health", "/api/2.0/mlflow/experiments/get-by-name"]
    assert {auth for _, auth in heard} == {f"Basic {b64encode(b'me:hunt@er').decode()}"}
    (link,) = links
    assert link.startswith(f"http://127.0.0.1:{server.server_port}/#/experiments/7/")
