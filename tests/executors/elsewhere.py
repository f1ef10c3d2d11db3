"""Workers on other machines, played by processes of this one: real connections, a real Ray cluster, a fake Slurm."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpsearch.spec import StudySpec

WORKER = [sys.executable, "-m", "hpsearch", "worker"]


def placed(spec: StudySpec, executor: str, **sections: Mapping[str, Any]) -> StudySpec:
    """A study file with another executor; `sections` are keys of [resources], or of a section below it."""
    found: dict[str, Any] = {"executor": executor}
    for name, value in sections.items():
        below = getattr(spec.resources, name)
        found[name] = below.model_copy(update=dict(value)) if isinstance(value, Mapping) else value
    return spec.model_copy(update={"resources": spec.resources.model_copy(update=found)})


@contextmanager
def worker(
    port: int, *options: str, cwd: Path | None = None, env: Mapping[str, str] = {}, wait: float = 60
) -> Iterator[subprocess.Popen[str]]:
    """A worker for the driver at a port of this machine."""
    command = [*WORKER, "--connect", f"127.0.0.1:{port}", "--wait", str(wait), "--threads", "1", *options]
    process = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


_SBATCH = """\
#!{python}
import os, subprocess, sys
home = os.environ["FAKE_SLURM"]
script = sys.stdin.read()
job = str(len(os.listdir(home)) + 100)
array = next(one for one in sys.argv if one.startswith("--array=0-"))
os.mkdir(f"{{home}}/{{job}}")
open(f"{{home}}/{{job}}/script", "w").write(script)
for task in range(int(array.removeprefix("--array=0-")) + 1):
    log = open(f"{{home}}/{{job}}/{{task}}.out", "w")
    env = {{**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}}
    command = ["sh", f"{{home}}/{{job}}/script"]
    started = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    open(f"{{home}}/{{job}}/{{task}}.pid", "w").write(str(started.pid))
print(f"{{job}};cluster")
"""

_SQUEUE = """\
#!{python}
import glob, os, sys
jobs = next(one for one in sys.argv if one.startswith("--jobs=")).removeprefix("--jobs=").split(",")
for job in jobs:
    for file in glob.glob(f"{{os.environ['FAKE_SLURM']}}/{{job}}/*.pid"):
        pid = open(file).read()
        stat = f"/proc/{{pid}}/stat"
        if os.path.exists(stat) and open(stat).read().rsplit(")", 1)[1].split()[0] != "Z":
            print(f"{{job}}_{{os.path.basename(file)[:-4]}}")
"""

_SCANCEL = """\
#!{python}
import glob, os, signal, sys
for job in sys.argv[1:]:
    for file in glob.glob(f"{{os.environ['FAKE_SLURM']}}/{{job}}/*.pid"):
        try:
            os.killpg(int(open(file).read()), signal.SIGKILL)
        except ProcessLookupError:
            pass
"""


def fake_slurm(folder: Path) -> dict[str, str]:
    """Commands that run jobs on this machine at once, and the environment in which they are found."""
    commands, jobs = folder / "bin", folder / "jobs"
    commands.mkdir()
    jobs.mkdir()
    for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
        path = commands / name
        path.write_text(text.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(jobs)}
