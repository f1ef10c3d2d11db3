"""The faults: each takes a study in a folder, hurts it, and leaves it to be resumed."""

import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.ledger import workspace
from hpsearch.ledger.store import Ledger
from tests.faults import trainer
from tests.faults.runs import LONGEST_S, Run, begin
from tests.faults.server import MODES, proxy


class HangError(Exception):
    """Something did not end in time."""


class NotHereError(Exception):
    """This machine cannot have the fault."""


@dataclass
class Try:
    """One fault on its way.

    Attributes:
        folder: The study's. A fault may move it.
        rng: Decides the moment.
        seconds: How long an undisturbed run takes.
        template: A ``mlruns`` with an empty MLflow database, so that not every study waits for MLflow's migrations.
        options: Of the study.
        server: Port of a real MLflow server, which keeps all studies that use it.
        stack: What the study needs until it has been looked at.
    """

    folder: Path
    rng: random.Random
    seconds: float
    template: Path
    options: dict[str, str] = field(default_factory=dict)
    server: int | None = None
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def prepare(self) -> None:
        """Make the folder, with the databases of the template."""
        shutil.copytree(self.template, self.folder / "mlruns")

    def begin(self, before: Callable[[], None] = lambda: None) -> Run:
        """Start the study, or go on with it."""
        return begin(self.folder, before=before, **self.options)

    def moment(self, most: float = 1.0) -> float:
        """A moment of an undisturbed run, seconds."""
        return self.rng.uniform(0.0, most * self.seconds)


def ended(run: Run, timeout_s: float = LONGEST_S) -> int:
    """The exit code of a run that must end by itself."""
    if (code := run.wait(timeout_s)) is None:
        run.send(signal.SIGKILL)
        run.wait()
        raise HangError(f"it ran for over {timeout_s:g} s")
    return code


def kill(one: Try) -> None:
    """``kill -9`` at any moment."""
    one.prepare()
    run = one.begin()
    time.sleep(one.moment())
    run.send(signal.SIGKILL)
    ended(run)


def kill_twice(one: Try) -> None:
    """``kill -9``, and again while the study is resumed."""
    kill(one)
    run = one.begin()
    time.sleep(one.moment())
    run.send(signal.SIGKILL)
    ended(run)


def kill_in_a_fresh_folder(one: Try) -> None:
    """``kill -9`` while the databases are made."""
    one.folder.mkdir()
    run = one.begin()
    time.sleep(one.rng.uniform(0.0, 6.0))
    run.send(signal.SIGKILL)
    ended(run)


def _signal(number: int) -> Callable[[Try], None]:
    def send(one: Try) -> None:
        one.prepare()
        run = one.begin()
        time.sleep(one.moment())
        run.send(number)
        ended(run)

    return send


def suspend(one: Try) -> None:
    """SIGSTOP for a second, while another process reads; then SIGCONT."""
    one.prepare()
    run = one.begin()
    time.sleep(one.moment())
    run.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        if (one.folder / "mlruns" / "ledger.db").exists():
            ledger = Ledger(f"sqlite:///{one.folder}/mlruns/ledger.db")
            for name in ledger.names():
                workspace.read(ledger, name)
        if (took := time.monotonic() - began) > 5:
            raise HangError(f"a reader waited {took:.0f} s for a suspended driver")
        time.sleep(1.0)
    finally:
        run.send(signal.SIGCONT)
    ended(run)


def suspend_and_kill(one: Try) -> None:
    """SIGSTOP, a second driver that is refused, then ``kill -9``."""
    one.prepare()
    run = one.begin()
    time.sleep(one.moment())
    run.send(signal.SIGSTOP)
    try:
        ended(one.begin(), 60)
    finally:
        run.send(signal.SIGKILL)
        ended(run)


def two_drivers(one: Try) -> None:
    """Two drivers on one study at the same moment."""
    one.prepare()
    runs = [one.begin() for _ in range(2)]
    for run in runs:
        ended(run)


def move(one: Try) -> None:
    """``kill -9``, then the folder is moved; the other name has a blank and an umlaut."""
    kill(one)
    there = one.folder.with_name(f"{one.folder.name} über")
    one.folder.rename(there)
    one.folder = there


def copy(one: Try) -> None:
    """``kill -9``, then the folder is copied, and the copy goes on."""
    kill(one)
    there = one.folder.with_name(f"{one.folder.name}-copy")
    shutil.copytree(one.folder, there)
    one.folder = there


def set_clock_back(one: Try) -> None:
    """``kill -9``, and the study goes on by a clock that is an hour behind."""
    kill(one)

    def behind() -> None:
        now = time.time
        time.time = lambda: now() - 3600.0

    ended(one.begin(behind))


def environment(one: Try) -> None:
    """MLflow's own variables in the environment, pointing elsewhere; then ``kill -9``."""
    one.prepare()

    def elsewhere() -> None:
        os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
        os.environ["MLFLOW_EXPERIMENT_NAME"] = "elsewhere"
        os.environ["MLFLOW_RUN_ID"] = "0" * 32

    run = one.begin(elsewhere)
    time.sleep(one.moment())
    run.send(signal.SIGKILL)
    ended(run)
    ended(one.begin(elsewhere))


def disk_full(one: Try) -> None:
    """The disk is full at some moment; later there is room."""
    one.folder.mkdir()
    size = sum(file.stat().st_size for file in one.template.rglob("*") if file.is_file())
    with _disk(one.folder, size + one.rng.randrange(8_000, 1_200_000)) as inside:
        shutil.copytree(one.template, inside / "mlruns")
        run = begin(inside, **one.options)
        code = ended(run)
        if code == 0 and "mlruns" not in os.listdir(inside):
            raise AssertionError("the study ended well without a folder")
        shutil.copytree(inside / "mlruns", one.folder / "kept")
    (one.folder / "kept").rename(one.folder / "mlruns")


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path]:
    place = folder / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        place.rmdir()
        raise NotHereError("a small disk needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        with contextlib.suppress(OSError):
            place.rmdir()


def lock_databases(one: Try) -> None:
    """Another program holds the write lock of both databases for a while."""
    one.prepare()
    run = one.begin()
    time.sleep(one.moment())
    held = [file for file in (one.folder / "mlruns").glob("*.db") if file.stat().st_size]
    script = (
        "import sqlite3, sys, time\n"
        "there = [sqlite3.connect(file, isolation_level=None, timeout=20) for file in sys.argv[1:]]\n"
        "[one.execute('BEGIN IMMEDIATE') for one in there]\n"
        "time.sleep(2)\n"
    )
    subprocess.run(["python3", "-c", script, *map(str, held)], check=False, timeout=60)
    ended(run)


def twenty_at_once(one: Try) -> None:
    """Twenty studies start at the same moment in one fresh folder; the first is the one that is looked at."""
    one.folder.mkdir()
    logs = [one.begin()]
    logs += [begin(one.folder, name=f"{trainer.NAME}-{number}") for number in range(2, 21)]
    codes = [ended(run, 400) for run in logs]
    if any(codes):
        raise AssertionError(f"exit codes {codes}")
    ledger = Ledger(f"sqlite:///{one.folder}/mlruns/ledger.db")
    short = [name for name in ledger.names() if len(ledger.load(name).trials) != trainer.TRIALS]
    if short or len(ledger.names()) != 20:
        raise AssertionError(f"{len(ledger.names())} studies, of which {short} are short")


def hold_the_folder(one: Try) -> None:
    """Another process has the folder's lock, as one does that makes a database there."""
    one.folder.mkdir()
    (one.folder / "mlruns").mkdir()
    shutil.copy(one.template / "mlflow.db", one.folder / "mlruns")
    descriptor = os.open(one.folder / "mlruns", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        run = one.begin()
        time.sleep(1.0)
    finally:
        os.close(descriptor)
    ended(run)


def _serving(mode: str) -> Callable[[Try], None]:
    def fail(one: Try) -> None:
        """MLflow's server behaves so for two seconds, from some moment of the study on."""
        assert one.server is not None
        one.folder.mkdir()
        between = one.stack.enter_context(proxy(one.server, one.folder.parent / f"{one.folder.name}.mode"))
        one.options = {"uri": between.uri, "name": one.folder.name}
        run = one.begin()
        time.sleep(one.moment())
        between.set(mode)
        time.sleep(2.0)
        if one.rng.random() < 0.5:
            run.send(signal.SIGKILL)
        between.set("ok")
        ended(run, 200)

    return fail


def catch_up(one: Try, name: str) -> bool:
    """``hpsearch sync``, where the study says that MLflow lacks a part of it; whether it did."""
    uri = f"sqlite:///{one.folder}/mlruns/ledger.db"
    if not Ledger(uri).load(name).lacking:
        return False
    sync = f"import hpsearch; hpsearch.sync({name!r}, ledger={uri!r})"
    subprocess.run([sys.executable, "-c", sync], check=True, cwd=one.folder, timeout=200, capture_output=True)
    return True


KINDS: dict[str, tuple[Callable[[Try], None], int]] = {
    "kill -9": (kill, 110),
    "kill -9, and again in the resume": (kill_twice, 40),
    "kill -9 while the databases are made": (kill_in_a_fresh_folder, 16),
    "SIGINT": (_signal(signal.SIGINT), 14),
    "SIGTERM": (_signal(signal.SIGTERM), 14),
    "SIGHUP": (_signal(signal.SIGHUP), 10),
    "suspended for a second": (suspend, 12),
    "suspended, a second driver, kill -9": (suspend_and_kill, 8),
    "two drivers at once": (two_drivers, 8),
    "kill -9, folder moved": (move, 8),
    "kill -9, folder copied": (copy, 6),
    "kill -9, clock set back": (set_clock_back, 6),
    "MLflow's variables in the environment": (environment, 4),
    "disk full": (disk_full, 16),
    "databases locked for 2 s": (lock_databases, 6),
    "folder locked for 1 s": (hold_the_folder, 2),
    **{f"MLflow's server {mode} for 2 s": (_serving(mode), 3) for mode in MODES},
    "twenty studies in a fresh folder": (twenty_at_once, 1),
}
"""Name → what happens, and how often in a full run."""
