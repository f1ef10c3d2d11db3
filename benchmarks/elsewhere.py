"""What it costs that workers run elsewhere: the same study with one worker as a process, over the network, and on Ray.

    python -m benchmarks.elsewhere [--trials 24] [--write docs/scale.md]

All run on this machine with the same number of threads, so the difference is the way that messages and files take.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hpsearch
from benchmarks.machine import describe
from hpsearch.study import Study

MARKS = "<!-- elsewhere -->", "<!-- /elsewhere -->"
THREADS = 2


def studies(trials: int) -> dict[str, dict[str, Any]]:
    """Name → sections of the study file."""
    fused = {"data": {"source": "sklearn:digits"}, "model": {"family": "mlp"}, "validation": {"folds": 5}}
    space: dict[str, object] = {"epochs": 20, "batch_size": 64, "optimizer": "adam", "units": [32, 64]}
    search = {"algorithm": "random", "trials": trials}
    common = {**fused, "space": space, "search": search, "objective": {"metric": "val_accuracy"}}
    return {"digits, fused": common, "digits, fused, a trial per bundle": {**common, "one": {}}}


def run(sections: dict[str, Any], resources: dict[str, Any], folder: Path) -> tuple[Study, float]:
    """Run a study; seconds from its beginning to its end."""
    one = "one" in sections
    chosen = {name: value for name, value in sections.items() if name != "one"}
    if one:
        resources = {**resources, "trials_per_bundle": 1}
    tracking = {"ledger": f"sqlite:///{folder}/ledger.db", "uri": f"sqlite:///{folder}/mlflow.db"}
    begun = time.perf_counter()
    study = hpsearch.run({"name": folder.name, **chosen, "resources": resources, "tracking": tracking}, verbose=0)
    return study, time.perf_counter() - begun


def measured(executor: str, sections: dict[str, Any], folder: Path) -> tuple[float, float]:
    """Seconds of the search, from the first trial's beginning to the last one's end, and of the whole study."""
    resources: dict[str, Any] = {"executor": executor, "workers": 1, "threads": THREADS}
    with ExitStack() as stack:
        if executor == "remote":
            with socket.create_server(("127.0.0.1", 0)) as listening:
                port = listening.getsockname()[1]
            resources["remote"] = {"bind": f"127.0.0.1:{port}"}
            command = [sys.executable, "-m", "hpsearch", "worker", "--connect", f"127.0.0.1:{port}", "--wait", "60"]
            env = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / f"{folder.name}-cache")}
            worker = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        if executor == "ray":
            resources["ray"] = {"address": "local", "cpus": float(THREADS)}
        study, whole = run(sections, resources, folder)
    trials = study.record.trials
    ends = [trial.finished for trial in trials if trial.finished is not None]
    return max(ends) - min(trial.started for trial in trials), whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--write", type=Path, help="page to write the table into")
    arguments = parser.parse_args()
    lines = ["| study | `processes` | `remote` | `ray` |", "|---|---|---|---|"]
    for name, sections in studies(arguments.trials).items():
        cells = []
        for executor in ("processes", "remote", "ray"):
            with tempfile.TemporaryDirectory() as folder:
                search, whole = measured(executor, sections, Path(folder, executor))
            cells.append(f"{search:.1f} s of {whole:.1f} s")
            print(f"{name} {executor}: search {search:.1f} s, whole study {whole:.1f} s", flush=True)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"{arguments.trials} trials; the search of the whole study. {describe()['processor']}."]
    if arguments.write:
        text = arguments.write.read_text()
        before, rest = text.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        arguments.write.write_text("\n".join([before + MARKS[0], *lines, MARKS[1] + after]))


if __name__ == "__main__":
    main()
