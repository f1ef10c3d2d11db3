import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.addresses import Uri


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database with its tables: making one takes seconds, copying it none."""
    from hpsearch.tracking.mlflow.address import Address
    from hpsearch.tracking.mlflow.client import connect, quiet
    from hpsearch.tracking.settings import mlflow_settings

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with mlflow_settings(), quiet():
        connect(Address(Uri(f"sqlite:///{file}"), None, file, "")).search_experiments()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # copies are made of this one file
    return file


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Path:
    """A folder with an empty, migrated ``mlflow.db``."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return tmp_path


@dataclass
class Server:
    """A real MLflow server on a database that outlives it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)
    settings: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts"), *self.options]
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **settings, **self.settings}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated, folder / "mlflow.db")
    one = Server(folder, free_port())
    one.start()
    yield one
    one.stop()


Snapshot = dict[str, dict[str, Any]]


@pytest.fixture
def snapshot() -> Callable[[str, str], Snapshot]:
    """Everything MLflow has of an experiment: run name → status, params, tags, times, every point of every metric."""

    def take(uri: str, name: str = "digits") -> Snapshot:
        from mlflow import MlflowClient
        from mlflow.entities import ViewType

        client = MlflowClient(uri, uri)
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
        found = {}
        for run in runs:
            label = run.info.run_name.split(" ")[0]
            assert label not in found, f"two runs of {label}"
            found[label] = {
                "id": run.info.run_id,
                "name": run.info.run_name,
                "status": run.info.status,
                "times": (run.info.start_time, run.info.end_time),
                "stage": run.info.lifecycle_stage,
                "params": dict(run.data.params),
                "tags": dict(run.data.tags),
                "points": {
                    key: sorted(
                        (point.step, point.timestamp, repr(point.value))
                        for point in client.get_metric_history(run.info.run_id, key)
                    )
                    for key in run.data.metrics
                },
            }
        return found

    return take


def values(run: dict[str, Any], key: str) -> list[float]:
    """A metric's values by step."""
    return [float(value) for _, _, value in run["points"][key]]
