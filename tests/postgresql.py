"""A real PostgreSQL server for tests: its own data, a free port of this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``; Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@contextmanager
def serve(password: str = "") -> Iterator[str]:
    """Address of a server, without a database's name and a password. Skips the test where none can be started.

    Args:
        password: Of the user hpsearch; empty to let everybody in.
    """
    pytest.importorskip("psycopg", reason="the postgresql extra is not installed")
    programs = find_programs()
    if programs is None or not (programs / "initdb").exists():
        pytest.skip("PostgreSQL's initdb is not on this machine")
    # Not below pytest's folders, into which only their owner may look.
    folder = Path(tempfile.mkdtemp(prefix="hpsearch-postgresql-"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        prefix = ["runuser", "-u", "postgres", "--"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            pytest.skip("PostgreSQL cannot be started by root, and there is no user postgres")
        shutil.chown(folder, "postgres")

    def call(program: str, *arguments: str) -> None:
        subprocess.run([*prefix, str(programs / program), *arguments], check=True, capture_output=True, cwd=folder)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    access = ["--auth=trust"]
    if password:
        (folder / "password").write_text(password)
        (folder / "password").chmod(0o644)
        access = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
    call("initdb", "-D", data, "-U", "hpsearch", *access, "--no-sync", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    # Its output would keep the pipes open that the test waits for.
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://hpsearch@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server, without a database's name."""
    with serve() as uri:
        yield uri


@pytest.fixture
def database(server: str) -> Callable[[str], str]:
    """Makes a fresh database and returns its address."""
    import psycopg

    def make(name: str) -> str:
        with psycopg.connect(server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"{server}/{name}"

    return make
