"""Runs one contender in its own process and measures the whole process."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.study_file import study_file
from benchmarks.workloads import Workload

ROOT = Path(__file__).parents[1]


class ContenderFailedError(Exception):
    """A contender's process ended with an error. Its own output says why."""


@dataclass(frozen=True)
class Contender:
    """One contender of the comparison, on one Keras backend.

    Attributes:
        engine: hpsearch's engine; empty for a peer.
        module: The peer's module to run; empty for hpsearch.
    """

    name: str
    title: str
    backend: str
    module: str = ""
    engine: str = ""


CONTENDERS = {
    one.name: one
    for one in (
        Contender("hpsearch", "hpsearch", "jax", engine="auto"),
        Contender("hpsearch-fit", "hpsearch, engine fit", "tensorflow", engine="fit"),
        Contender("optuna-tf", "Optuna + Keras fit, TensorFlow", "tensorflow", "benchmarks.contenders.optuna_kfold"),
        Contender("optuna-jax", "Optuna + Keras fit, JAX", "jax", "benchmarks.contenders.optuna_kfold"),
        Contender("keras-tuner-tf", "KerasTuner, TensorFlow", "tensorflow", "benchmarks.contenders.keras_tuner_kfold"),
        Contender("keras-tuner-jax", "KerasTuner, JAX", "jax", "benchmarks.contenders.keras_tuner_kfold"),
    )
}


@dataclass(frozen=True)
class Measurement:
    """The measurement of one process.

    Attributes:
        trials: Number of trials searched.
        wall: Seconds from start to exit.
        cpu: CPU seconds, including child processes.
        steady: Seconds per trial after the first one; None if the process does not report it.
        first: Seconds of the first trial; None if the process does not report it.
        best: The best cross-validated score.
    """

    contender: str
    workload: str
    cache: str
    trials: int
    wall: float
    cpu: float
    steady: float | None
    first: float | None
    best: float

    def projected(self, trials: int) -> float:
        """Wall seconds for this number of trials: measured, or extrapolated at the steady time per trial."""
        if trials == self.trials:
            return self.wall
        # The first trial is the slowest. Extrapolating from it would make a peer look slower than it is.
        rate = self.steady if self.steady is not None else self.first
        if rate is None:
            raise ValueError(f"{self.contender} reports no time per trial, so it cannot be extrapolated")
        return self.wall + (trials - self.trials) * rate


def measure(contender: Contender, workload: Workload, *, trials: int, caches: tuple[str, ...]) -> Iterator[Measurement]:
    """Run a contender once per entry of `caches`: "cold" or "warm".

    All processes of one call share a fresh folder. So only the first one starts without compiled programs.

    Raises:
        ContenderFailedError: Its process ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        for turn, cache in enumerate(caches):
            yield _measure(contender, workload, trials=trials, cache=cache, folder=Path(folder), turn=turn)


def _measure(
    contender: Contender, workload: Workload, *, trials: int, cache: str, folder: Path, turn: int
) -> Measurement:
    if contender.engine:
        name = f"{workload.name}-{turn}"
        file = folder / f"{name}.toml"
        file.write_text(
            study_file(workload, name=name, trials=trials, engine=contender.engine, backend=contender.backend)
        )
        command, cwd = [sys.executable, "-m", "hpsearch", "run", str(file), "--json"], folder
    else:
        own = folder / str(turn)
        own.mkdir()
        command, cwd = [sys.executable, "-m", contender.module, workload.name, str(trials), str(own)], ROOT
    env = _environment(contender)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ContenderFailedError(f"{contender.title} on {workload.title} ended with exit code {done.returncode}")
    best, seconds = _hpsearch_result(folder, name) if contender.engine else _peer_result(done.stdout)
    return Measurement(
        contender.name,
        workload.name,
        cache,
        trials,
        wall,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        # A peer's first trial includes its imports and its first tracing.
        sum(seconds[1:]) / (len(seconds) - 1) if len(seconds) > 1 else None,
        seconds[0] if seconds else None,
        best,
    )


def _environment(contender: Contender) -> dict[str, str]:
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env.pop("KERAS_BACKEND", None)
    if contender.module:  # hpsearch sets the backend itself
        env["KERAS_BACKEND"] = contender.backend
    if "KERAS_HOME" in env:
        env["KERAS_HOME"] = str(Path(env["KERAS_HOME"]).resolve())
    return env


def _peer_result(stdout: str) -> tuple[float, list[float]]:
    result = json.loads(stdout.strip().splitlines()[-1])
    return result["best"], result["seconds"]


def _hpsearch_result(folder: Path, name: str) -> tuple[float, list[float]]:
    """The best score in the ledger. The trials of a bundle overlap, so single trials have no time of their own."""
    import optuna

    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'mlruns' / 'ledger.db'}")
    return study.best_value, []
