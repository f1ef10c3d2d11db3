"""Workers as jobs of Slurm: the driver submits one array of ``hpsearch worker``, which come to it over the network.

The driver may run on a login node, or in a job of its own. A job that is preempted or whose node fails is requeued by
Slurm, and its worker comes again; one that has reached its time limit is submitted again.
"""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors.far import FarSeat
from hpsearch.executors.far_messages import FromPlace
from hpsearch.executors.keys import VARIABLE, key_file
from hpsearch.executors.remote import RemoteExecutor
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings

_LOOKS_S = 30.0
"""How often to ask Slurm whether jobs have ended."""

_FRUITLESS = 5
"""How often jobs are submitted again although no worker has come of them."""

_LIMIT_S = 60.0
"""How long a command of Slurm's may take."""


def script_of(spec: StudySpec, *, host: str, port: int, key_file: Path | None) -> str:
    """The script of each job.

    Args:
        spec: The study file; see ``[resources.slurm]``.
        host: The driver's machine.
        port: Its port.
        key_file: The key; None where the environment has it.
    """
    slurm = spec.resources.slurm
    named = {
        "job-name": f"hpsearch-{spec.name}".replace(" ", "_"),
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "time": slurm.time,
        "gres": slurm.gres,
        "cpus-per-task": slurm.cpus,
        "mem": slurm.memory,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in named.items() if value is not None]
    lines += [f"#SBATCH {option}" for option in ("--ntasks=1", "--requeue", "--open-mode=append", *slurm.options)]
    worker = [sys.executable, "-m", "hpsearch", "worker", "--connect", f"{host}:{port}"]
    worker += ["--threads", str(slurm.cpus), "--wait", "300"]
    if key_file is not None:
        worker += ["--key-file", str(key_file)]
    return "\n".join(["#!/bin/sh", *lines, *slurm.setup, f"exec {shlex.join(worker)}", ""])


class SlurmExecutor(RemoteExecutor):
    """Submits jobs, and waits for their workers.

    Args:
        spec: The study file. ``[resources] workers`` is the number of jobs.
        settings: One entry: what is asked of every worker.

    Raises:
        SpecError: The number of workers is open, or the address cannot be used.
        ExecutorError: Slurm's commands are not there, or refuse the jobs.
    """

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        if not isinstance(spec.resources.workers, int):
            raise SpecError(
                'resources.workers: executor = "slurm" needs the number of jobs to submit, but got "auto"',
                code="no-number-of-jobs",
                hint="such as `workers = 8` in [resources]",
                key="resources.workers",
            )
        if shutil.which("sbatch") is None:
            raise ExecutorError(
                'executor = "slurm": there is no `sbatch` on the path',
                code="no-slurm",
                hint='start it on a machine of the cluster, or use executor = "remote" and start the workers yourself',
            )
        super().__init__(spec, settings)
        self._jobs: set[str] = set()
        self._fruitless = 0
        self._looked_at = time.monotonic()
        file = spec.resources.remote.key_file
        by_variable = file is None and os.environ.get(VARIABLE)  # which sbatch hands to its jobs
        named = None if by_variable else key_file(file)
        host = spec.resources.slurm.host or socket.getfqdn()
        self._script = script_of(spec, host=host, port=self.port, key_file=named)
        try:
            self._submit(spec.resources.workers)
        except BaseException:
            super().close()
            raise

    def _address(self, spec: StudySpec) -> tuple[str, str | None]:
        return spec.resources.slurm.bind, spec.resources.remote.key_file

    def _submit(self, count: int) -> None:
        command = ["sbatch", "--parsable", f"--array=0-{count - 1}"]
        done = _run(command, self._script)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ExecutorError(
                f"sbatch refuses the jobs of the workers: {said[-1] if said else f'exit code {done.returncode}'}",
                code="jobs-refused",
                hint="see [resources.slurm] in the study file",
            )
        self._jobs.add(done.stdout.strip().partition(";")[0])

    def _incoming(self, timeout_s: float) -> Iterator[tuple[FarSeat, FromPlace]]:
        if time.monotonic() - self._looked_at > _LOOKS_S:
            self._looked_at = time.monotonic()
            self._submit_again()
        yield from super()._incoming(timeout_s)

    def _submit_again(self) -> None:
        """Replace jobs that have ended for good. Those that wait, or are requeued, are still in the queue.

        Raises:
            ExecutorError: None of those that were submitted again has brought a worker.
        """
        done = _run(["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(sorted(self._jobs))}"])
        if done.returncode and "Invalid job id" not in done.stderr:
            return  # Slurm is busy: later
        queued = len(done.stdout.split()) if not done.returncode else 0
        missing = self.width - max(queued, len(self._peers))
        if self._peers:
            self._fruitless = 0
        if missing <= 0:
            return
        if self._fruitless == _FRUITLESS:
            raise ExecutorError(
                f"the jobs of workers end at once: they were submitted {_FRUITLESS} times again, and no worker came",
                code="no-worker-on-slurm",
                hint="their output, by default slurm-JOB_TASK.out in this folder, says why",
            )
        self._fruitless += 1
        try:
            self._submit(missing)
        except ExecutorError as error:
            self._note_once(f"{error.what}; tried again in {_LOOKS_S:g} s")
        else:
            ended = "1 job of a worker has ended" if missing == 1 else f"{missing} jobs of workers have ended"
            self._note_once(f"{ended}: submitted again")

    def _how_to_join(self) -> str:
        return f"waiting for Slurm to start workers: `squeue --jobs={','.join(sorted(self._jobs))}` shows the jobs"

    def close(self) -> None:
        super().close()
        if self._jobs:
            _run(["scancel", *sorted(self._jobs)])


def _run(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]}: {error}")
