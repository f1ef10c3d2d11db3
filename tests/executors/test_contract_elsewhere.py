"""Executors whose workers are elsewhere keep the same contract as those of this machine."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from hpsearch.executors.base import Executor
from hpsearch.executors.remote import RemoteExecutor
from hpsearch.executors.slurm import SlurmExecutor
from hpsearch.testing.contracts import check_executor
from tests.executors.elsewhere import fake_slurm, placed, worker

pytestmark = pytest.mark.slow


def test_remote() -> None:
    with ExitStack() as stack:

        def made(spec, settings) -> Executor:
            executor = RemoteExecutor(placed(spec, "remote", remote={"bind": "127.0.0.1:0"}), settings)
            stack.enter_context(worker(executor.port))
            return executor

        check_executor(made)


def test_ray() -> None:
    ray_cluster = pytest.importorskip("hpsearch.executors.ray_cluster")
    pytest.importorskip("ray", reason="Ray has no wheel for this Python and machine")

    def made(spec, settings) -> Executor:
        return ray_cluster.RayExecutor(placed(spec, "ray", workers=1, ray={"address": "local"}), settings)

    check_executor(made)


def test_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_slurm(tmp_path).items():
        monkeypatch.setenv(name, value)

    def made(spec, settings) -> Executor:
        slurm = {"bind": "127.0.0.1:0", "host": "127.0.0.1", "partition": "gpu", "setup": ["export SEEN=1"]}
        return SlurmExecutor(placed(spec, "slurm", workers=1, slurm=slurm), settings)

    check_executor(made)
    script = next(tmp_path.glob("jobs/*/script")).read_text()
    assert "#SBATCH --partition=gpu\n" in script
    assert "#SBATCH --requeue\n" in script
    assert "export SEEN=1\nexec " in script
