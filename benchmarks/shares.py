"""Measures where the time of a warm study goes: running programs, building and loading them, or MLflow.

    python -m benchmarks.shares [--workload digits-mlp] [--trials 40]

The study runs twice, with worker and driver in this one process. The second run finds compiled programs on disk, and
its figures are shown:

- *programs*: wall time in which at least one XLA program trains or validates
- *building*: wall time in which a program is traced or loaded; it overlaps with *programs*
- *tracking*: CPU time per core of MLflow's thread, which runs beside the programs and also registers the champion

Each is a share of the wall time of the whole study, with refit and report but without imports.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A worker's process sets this before it imports JAX. Here, this process is the worker.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="hpsearch-bench-")

import hpsearch
from benchmarks.kept import keep
from benchmarks.study_file import study_file
from benchmarks.workloads import WORKLOADS
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.training.engines.fused.program import Program
from hpsearch.training.engines.fused.programs import Programs
from hpsearch.training.engines.fused.recipes import Recipes

Spans = list[tuple[float, float]]


def timed(owner: Any, name: str, spans: Spans, *, clock: Callable[[], float] = time.perf_counter) -> None:
    """Record when a function begins and ends."""
    function: Callable[..., Any] = getattr(owner, name)

    def run(*args: Any, **kwargs: Any) -> Any:
        begun = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spans.append((begun, clock()))

    setattr(owner, name, run)


def covered(spans: Spans) -> float:
    """Seconds in which at least one span is open."""
    total, end = 0.0, float("-inf")
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, end))
        end = max(end, ended)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="digits-mlp")
    parser.add_argument("--trials", type=int)
    args = parser.parse_args()
    workload = WORKLOADS[args.workload]
    trials = args.trials or workload.trials
    parts: dict[str, Spans] = {"programs": [], "building": []}
    tracking: Spans = []
    timed(Program, "run", parts["programs"])
    timed(Recipes, "recipe", parts["building"])
    timed(Programs, "program", parts["building"])
    timed(MlflowTracker, "_write", tracking, clock=time.thread_time)
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        if "KERAS_HOME" in os.environ:
            os.environ["KERAS_HOME"] = str(Path(os.environ["KERAS_HOME"]).resolve())
        home = Path.cwd()
        os.chdir(folder)
        for name in ("cold", "warm"):
            text = study_file(workload, name=name, trials=trials, engine="fused", backend="jax")
            file = Path(folder, f"{name}.toml")
            file.write_text(text.replace("[resources]", '[resources]\nexecutor = "inline"'))
            for spans in (*parts.values(), tracking):
                spans.clear()
            begun = time.perf_counter()
            hpsearch.run(file)
            wall = time.perf_counter() - begun
        os.chdir(home)
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"])
    shares = {name: covered(spans) / wall for name, spans in parts.items()}
    shares["tracking"] = sum(ended - begun for begun, ended in tracking) / wall / len(os.sched_getaffinity(0))
    print(f"{workload.title}, {trials} trials, warm: {wall:.1f} s of wall time, of which")
    for name, share in shares.items():
        print(f"  {name:18} {share:6.1%}")
    keep("shares", key=args.workload, value={"trials": trials, "wall_s": wall, **shares})


if __name__ == "__main__":
    main()
