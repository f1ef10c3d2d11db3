"""Workers as jobs of Slurm, whose commands are played by scripts that run jobs on this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors import make_executor
from hpsearch.executors.slurm import script_of
from hpsearch.testing.contracts.lanes import make_spec
from hpsearch.training.protocol import WorkerProtocol
from tests.executors.elsewhere import fake_slurm, placed
from tests.executors.test_elsewhere import until


def test_slurm_needs_a_number_and_its_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='executor = "slurm" needs the number of jobs to submit, but got "auto"'):
        make_executor(placed(make_spec(), "slurm"), backend="jax", cache=None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutorError, match="there is no `sbatch` on the path"):
        make_executor(placed(make_spec(), "slurm", workers=2), backend="jax", cache=None)


def test_slurm_refuses_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: nowhere' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    spec = placed(make_spec(), "slurm", workers=2, slurm={"bind": "127.0.0.1:0", "partition": "nowhere"})
    with pytest.raises(ExecutorError, match=r"refuses the jobs of the workers: .*invalid partition specified: nowhere"):
        make_executor(spec, backend="jax", cache=None)


def test_the_script_of_a_job() -> None:
    slurm = {"partition": "gpu", "gres": "gpu:1", "cpus": 4, "memory": "8G", "options": ["--constraint=a100"]}
    spec = placed(make_spec(), "slurm", slurm={**slurm, "setup": ["module load cuda"]})
    script = script_of(spec, host="head", port=1234, key_file=Path("/home/me/key"))
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh"
    for line in ("--partition=gpu", "--gres=gpu:1", "--cpus-per-task=4", "--mem=8G", "--constraint=a100", "--requeue"):
        assert f"#SBATCH {line}" in lines
    assert lines[-2] == "module load cuda"
    worker_line = f"exec {sys.executable} -m hpsearch worker --connect head:1234 --threads 4 --wait 300"
    assert lines[-1] == f"{worker_line} --key-file /home/me/key"
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_jobs_that_end_at_once_are_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in fake_slurm(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hpsearch.executors.slurm._LOOKS_S", 0.2)
    slurm = {"bind": "127.0.0.1:0", "host": "127.0.0.1", "setup": ["exit 3"]}
    executor = make_executor(placed(make_spec(), "slurm", workers=1, slurm=slurm), backend="jax", cache=None)
    with pytest.raises(ExecutorError, match="they were submitted 5 times again, and no worker came") as raised:
        until(executor, lambda events: False, 30)  # type: ignore[arg-type]
    assert "slurm-JOB_TASK.out" in raised.value.hint
    executor.close()


def test_a_slurm_that_is_busy_is_asked_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in fake_slurm(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hpsearch.executors.slurm._LOOKS_S", 0.2)
    slurm = {"bind": "127.0.0.1:0", "host": "127.0.0.1", "setup": ["exit 3"]}
    executor = make_executor(placed(make_spec(), "slurm", workers=1, slurm=slurm), backend="jax", cache=None)
    notes: list[str] = []
    executor.note = notes.append
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: Unable to contact slurm controller' >&2\nexit 1\n")
    until(executor, lambda events: notes, 30)  # type: ignore[arg-type]
    assert "Unable to contact slurm controller; tried again in 0.2 s" in notes[0]
    executor.close()


@pytest.mark.slow
def test_a_job_that_has_ended_is_submitted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in fake_slurm(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hpsearch.executors.slurm._LOOKS_S", 0.5)
    slurm = {"bind": "127.0.0.1:0", "host": "127.0.0.1"}
    executor = make_executor(placed(make_spec(), "slurm", workers=1, slurm=slurm), backend="jax", cache=None)
    notes: list[str] = []
    executor.note = notes.append
    assert executor.call(WorkerProtocol.describe_data).rows == 120
    pid = next(tmp_path.glob("jobs/*/0.pid")).read_text()
    os.killpg(int(pid), 9)
    until(executor, lambda events: executor.slots == 0)  # type: ignore[arg-type]
    until(executor, lambda events: executor.slots == 1)  # type: ignore[arg-type]
    assert "1 job of a worker has ended: submitted again" in notes
    executor.close()
    time.sleep(0.5)
    scripts = {one.parent for one in tmp_path.glob("jobs/*/*.pid")}
    assert len(scripts) == 2
    for file in tmp_path.glob("jobs/*/*.pid"):
        stat = Path(f"/proc/{file.read_text()}/stat")
        assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
