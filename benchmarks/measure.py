"""Runs one contender in a process of its own and measures the whole of it."""

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
    """A contender's process ended with an error; what it said stands above."""


@dataclass(frozen=True)
class Contender:
    """One column of the comparison: who searches, on which Keras backend.

    ``engine`` is hpsearch's; empty for a peer, whose ``module`` is run instead.
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
    """One process.

    Attributes:
        trials: How many it searched.
        wall: Seconds from start to exit.
        cpu: Seconds of processor time, its children's included.
        steady: Seconds per trial, without what the process spends once; None where it does not tell.
        first: Seconds of the first trial alone, likewise.
        best: Best cross-validated score that it reports.
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
        """Wall seconds for so many trials: measured, or else carried on at the steady rate of the later trials."""
        if trials == self.trials:
            return self.wall
        # The first trial is the slowest; a peer measured on it alone would look slower than it is.
        rate = self.steady if self.steady is not None else self.first
        if rate is None:
            raise ValueError(f"{self.contender} tells no seconds of single trials and cannot be carried on")
        return self.wall + (trials - self.trials) * rate


def measure(contender: Contender, workload: Workload, *, trials: int, caches: tuple[str, ...]) -> Iterator[Measurement]:
    """Run a contender once per entry of `caches`, "cold" or "warm".

    All processes of one call share a fresh folder, so that only the first finds no compiled programs there.

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
        # A peer's first trial carries what it imports and traces for the first time.
        sum(seconds[1:]) / (len(seconds) - 1) if len(seconds) > 1 else None,
        seconds[0] if seconds else None,
        best,
    )


def _environment(contender: Contender) -> dict[str, str]:
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env.pop("KERAS_BACKEND", None)
    if contender.module:  # hpsearch chooses its own
        env["KERAS_BACKEND"] = contender.backend
    if "KERAS_HOME" in env:
        env["KERAS_HOME"] = str(Path(env["KERAS_HOME"]).resolve())
    return env


def _peer_result(stdout: str) -> tuple[float, list[float]]:
    result = json.loads(stdout.strip().splitlines()[-1])
    return result["best"], result["seconds"]


def _hpsearch_result(folder: Path, name: str) -> tuple[float, list[float]]:
    """The best score as the ledger has it; a bundle's trials overlap, so there are no seconds of single ones."""
    import optuna

    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'mlruns' / 'ledger.db'}")
    return study.best_value, []
