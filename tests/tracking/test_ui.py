import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from hpsearch.errors import TrackingError
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.tracking.mlflow import sync
from hpsearch.tracking.mlflow.ui import make_ui

SCRIPT = """
import sys
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow import serve_ui
sys.exit(serve_ui(TrackingSection(uri=sys.argv[1]), study="digits", ready=lambda url: print(url, flush=True)))
"""


def test_ui_opens_the_studys_page_and_ctrl_c_ends_it(folder: Path) -> None:
    record = make_record(make_trials(2), folder=folder)
    sync(record)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, record.spec.tracking.uri], stdout=subprocess.PIPE, cwd=folder, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        server, _, page = url.partition("/#")
        assert page == ("/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=study")
        assert server.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{server}/health", timeout=10) as answer:
            assert answer.read() == b"OK"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{server}/health", timeout=10)
    assert [one.name for one in folder.iterdir() if one.name.startswith("mlruns")] == []


def test_ui_of_a_server_needs_no_command() -> None:
    ui = make_ui(make_record(tracking={"uri": "http://mlflow.example:5000"}).spec.tracking)
    assert (ui.server, ui.command) == ("http://mlflow.example:5000", ())


def test_ui_says_what_is_wrong(folder: Path) -> None:
    tracking = make_record(folder=folder).spec.tracking
    with pytest.raises(TrackingError, match="port must be between 1 and 65535, but got 0"):
        make_ui(tracking, port=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TrackingError, match=f"port {taken.getsockname()[1]} is taken"):
            make_ui(tracking, port=taken.getsockname()[1])
    (folder / "mlflow.db").unlink()
    with pytest.raises(TrackingError, match=r"there is no MLflow database .*mlflow\.db\n.*hpsearch run FILE"):
        make_ui(tracking)
