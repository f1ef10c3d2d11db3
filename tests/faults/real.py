"""Real studies, with real workers, that are hurt from outside."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.faults.kinds import HangError, Try

NAME = "flowers"
STUDY = f"""
name = "{NAME}"
seed = 5
[data]
source = "sklearn:iris"
[validation]
folds = 3
[model]
family = "mlp"
[space]
learning_rate = {{ low = 0.01, high = 0.04 }}
units = [8, 16]
batch_size = 32
epochs = 60
optimizer = "adam"
[objective]
metric = "val_loss"
direction = "minimize"
[search]
trials = 4
batch = 2
[resources]
trial_timeout = 60
"""
LONGEST_S = 240.0


def prepare(one: Try) -> None:
    """A folder with the study file and the compiled programs of the undisturbed study."""
    shutil.copytree(one.template, one.folder / "mlruns")
    (one.folder / "flowers.toml").write_text(STUDY)


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """``hpsearch run`` in the folder."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hpsearch", "run", "flowers.toml"],
            cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip


def ended(process: "subprocess.Popen[bytes]") -> int:
    """Its exit code."""
    try:
        return process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise HangError(f"it ran for over {LONGEST_S:g} s") from None


def orphans(folder: Path) -> list[int]:
    """Processes that still work in the folder."""
    found = []
    for one in psutil.process_iter(["pid", "cwd"]):
        if one.info["cwd"] == str(folder):
            found.append(one.info["pid"])
    return found


def _hurt(
    who: Callable[[psutil.Process], list[psutil.Process]], how: Callable[[psutil.Process], None]
) -> Callable[[Try], None]:
    def hurt(one: Try) -> None:
        prepare(one)
        process = start(one.folder)
        time.sleep(one.rng.uniform(0.15, 1.0) * one.seconds)
        try:
            for victim in who(psutil.Process(process.pid)):
                how(victim)
        except psutil.NoSuchProcess:
            pass
        ended(process)
        until = time.monotonic() + 30
        while (left := orphans(one.folder)) and time.monotonic() < until:
            time.sleep(0.1)
        if left:
            raise HangError(f"processes {left} outlive the driver")

    return hurt


def _driver(process: psutil.Process) -> list[psutil.Process]:
    return [process]


def _workers(process: psutil.Process) -> list[psutil.Process]:
    """The children that train: those with the most memory."""
    children = [one for one in process.children(recursive=True) if one.memory_info().rss > 60_000_000]
    return sorted(children, key=lambda one: -one.memory_info().rss)[:1]


def _suspend(victim: psutil.Process) -> None:
    victim.suspend()
    time.sleep(3)
    victim.resume()


def _starve(victim: psutil.Process) -> None:
    used = victim.memory_info().vms
    resource.prlimit(victim.pid, resource.RLIMIT_AS, (used + 1_000_000, used + 1_000_000))


KINDS: dict[str, tuple[Callable[[Try], None], int]] = {
    "real: driver killed": (_hurt(_driver, psutil.Process.kill), 14),
    "real: worker killed": (_hurt(_workers, psutil.Process.kill), 14),
    "real: SIGINT": (_hurt(_driver, lambda one: one.send_signal(signal.SIGINT)), 5),
    "real: SIGTERM": (_hurt(_driver, psutil.Process.terminate), 3),
    "real: worker suspended for 3 s": (_hurt(_workers, _suspend), 2),
    "real: worker out of memory": (_hurt(_workers, _starve), 3),
}
"""Name → what happens, and how often in a full run."""
