"""docs/scale.md works: each of its study files is read, and each of its commands is run against a real driver."""

import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from hpsearch.ledger.store import Ledger
from hpsearch.spec import parse_spec
from tests.executors.elsewhere import fake_slurm

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

STUDY = """
name = "scale"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
family = "mlp"
layers = 1
[space]
units = [8, 16]
epochs = 2
[objective]
metric = "val_loss"
[search]
trials = 2
"""


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == language]


def resources(executor: str) -> str:
    return next(one for one in blocks("toml") if f'executor = "{executor}"' in one)


@pytest.mark.parametrize("block", [one for one in blocks("toml") if "[resources" in one])
def test_the_study_files_are_read(block: str) -> None:
    parse_spec(STUDY + block)
    parse_spec(STUDY + block.replace("# cpus", "cpus").replace("# gpus", "gpus"))


@contextmanager
def running(folder: Path, block: str, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """`hpsearch run` of a study with these resources."""
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(STUDY + block)
    command = [sys.executable, "-m", "hpsearch", "run", "study.toml"]
    driver = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def finish(driver: "subprocess.Popen[str]", folder: Path) -> str:
    _, said = driver.communicate(timeout=150)
    assert driver.returncode == 0, said
    record = Ledger(f"sqlite:///{folder}/mlruns/ledger.db").load("scale")
    assert [one.state.value for one in record.trials] == ["complete", "complete"]
    assert record.champion is not None
    assert Path(folder, record.champion.path).exists()
    return said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def command_with(words: str) -> list[str]:
    """The one line of the page's commands that has these words."""
    (line,) = [one for block in blocks("bash") for one in block.splitlines() if words in one]
    return shlex.split(line, comments=True)


def environment(tmp_path: Path) -> dict[str, str]:
    """An `ssh` that runs its command on this machine, and the package's own commands on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    hpsearch = tools / "hpsearch"
    hpsearch.write_text(f'#!/bin/sh\nexec {sys.executable} -m hpsearch "$@"\n')
    for one in (ssh, hpsearch):
        one.chmod(one.stat().st_mode | stat.S_IXUSR)
    # Another home, as on another machine: the key has to be handed over.
    return {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HPSEARCH_WORKER_KEY": "0123456789abcdef" * 4,
    }


def joining(command: list[str], port: int) -> list[str]:
    """A command of the page with the address of this test's driver."""
    return [re.sub(r"^(head|driver|127\.0\.0\.1):4733$", f"127.0.0.1:{port}", one) for one in command]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["worker", "ssh", "kubernetes"])
def test_workers_that_come_to_the_driver(way: str, tmp_path: Path) -> None:
    if way == "kubernetes":
        (job,) = (yaml.safe_load(one) for one in blocks("yaml"))
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["env"][0]["name"] == "HPSEARCH_WORKER_KEY"
        command = container["command"]
    else:
        command = command_with("hpsearch worker --connect head" if way == "worker" else "ssh -R")
    port, env = free_port(), environment(tmp_path)
    block = resources("remote").replace("0.0.0.0:4733", f"127.0.0.1:{port}")
    with running(tmp_path / "home", block, env) as driver:
        command = joining(command, port)
        assert f"127.0.0.1:{port}" in command
        log = (tmp_path / "worker").open("wb")
        worker = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            said = finish(driver, tmp_path / "home")
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    assert "error" not in said


@pytest.mark.slow
def test_slurm(tmp_path: Path) -> None:
    env = {**environment(tmp_path), **fake_slurm(tmp_path)}
    del env["HPSEARCH_WORKER_KEY"]  # nodes share the home directory
    block = resources("slurm").replace("workers = 8", "workers = 1").replace("module load cuda", "true")
    block = block.replace("cpus = 4", 'cpus = 1\nhost = "127.0.0.1"\nbind = "127.0.0.1:0"')
    with running(tmp_path / "home", block, env) as driver:
        finish(driver, tmp_path / "home")
    assert "#SBATCH --gres=gpu:1\n" in next(tmp_path.glob("jobs/*/script")).read_text()


@pytest.mark.slow
def test_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray has no wheel for this Python and machine")
    ray = str(Path(sys.executable).with_name("ray"))
    port, for_clients = free_port(), free_port()
    head, node = command_with("ray start --head"), command_with("ray start --address")
    assert (head[0], node[:2]) == ("ray", ["RAY_AUTH_MODE=token", "ray"])
    # In the foreground, so that this test can end what it has started, and nothing else of Ray's on this machine.
    ports = ["--min-worker-port=0", "--max-worker-port=0", "--include-dashboard=false"]
    folder = tempfile.mkdtemp()  # of a short name: Ray's sockets have their paths in it
    own_ports = [f"--port={port}", f"--ray-client-server-port={for_clients}"]
    commands = [
        [ray, *head[1:], *own_ports, "--num-cpus=0", *ports, f"--temp-dir={folder}"],
        [ray, *(one.replace("HEAD:6379", f"127.0.0.1:{port}") for one in node[2:]), "--num-cpus=1", *ports[:2]],
    ]
    started: list[subprocess.Popen[bytes]] = []
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    modes: list[dict[str, str]] = [{}, {"RAY_AUTH_MODE": "token"}]
    try:
        for number, command in enumerate(commands):
            log = (tmp_path / f"{number}.log").open("wb")
            started.append(
                subprocess.Popen(
                    [*command, "--block"], env={**env, **modes[number]}, stdout=log, stderr=log, start_new_session=True
                )
            )
            _wait_for(port)
        block = resources("ray").replace('"auto"', f'"127.0.0.1:{port}"')
        with running(tmp_path / "home", block, modes[1]) as driver:
            finish(driver, tmp_path / "home")
        _wait_for(for_clients)
        block = resources("ray").replace('"auto"', f'"ray://127.0.0.1:{for_clients}"')
        with running(tmp_path / "client", block, modes[1]) as driver:
            finish(driver, tmp_path / "client")
    finally:
        for one in reversed(started):
            os.killpg(one.pid, signal.SIGTERM)
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < until, f"nothing listens on port {port}"
            time.sleep(0.2)


def test_sections_are_those_of_the_page() -> None:
    """The page's blocks are all run: a new one needs a test here."""
    own = [one for one in blocks("toml") if "executor = " in one and "[tracking]" not in one]  # those: test_compose.py
    assert len(own) == 3
    tomllib.loads(resources("ray"))
