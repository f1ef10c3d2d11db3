"""Measures what one driver carries: slots kept busy, trials per second, 10,000 trials in one study.

    python -m benchmarks.scale                          # all parts, about 20 minutes on 2 cores
    python -m benchmarks.scale busy rate                # only these; the figures of the others stay
    python -m benchmarks.scale page --write docs/scale.md --plot docs/images/scale.svg

Driver, ledger (SQLite), suggestions, live view and MLflow (SQLite) are real; bundles only wait. Figures are stored in
build/benchmarks/scale.json, and the page is written from there. Times in CPU seconds count all threads of the driver's
process, so they are not longer where other programs share the machine.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.kept import keep, kept
from benchmarks.machine import describe
from benchmarks.pages import put
from benchmarks.scale_study import Case, Driven, create, drive
from hpsearch.core.trial import Trial, TrialState
from hpsearch.search.preparation import tuner_settings
from hpsearch.testing.synthetic import curve, make_record, make_spec
from hpsearch.tuners import make_tuner
from hpsearch.tuners.dimensions import Dimensions

SLOTS, ROUNDS = 64, 20
LONG, END = 10_000, 1000
"""Trials of the long study, and of its beginning and its end that are compared."""

_BATCH = 4
"""Suggestions of the default algorithm that know the same results, on a few workers."""

COMMANDS = {
    "hpsearch list": ("list",),
    "hpsearch show": ("show", "synthetic"),
    "hpsearch report": ("report", "synthetic"),
}


def alone(work: Callable[..., Any], *args: Any) -> Any:
    """Do `work` in a process of its own, whose memory nothing else has used."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *args).result()


def driven(case: Case) -> Driven:
    """One study in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        create(Path(folder), case)
        found = drive(Path(folder), case)
        os.chdir("/")
        return found


def busy(rounds: int = ROUNDS, slots: int = SLOTS, seconds: float = 1.0) -> None:
    """How busy the slots are."""
    for tracking in (False, True):
        for algorithm in ("random", "tpe"):
            case = Case(algorithm, rounds * slots, slots=slots, seconds=seconds, tracking=tracking)
            found = alone(driven, case)
            said = {"busy": found.busy, "problem": found.problem, "caught up": found.per_second(caught_up=True)}
            _keep(f"busy {algorithm} {_with(tracking)}", said)


def rate(trials: int = 2000) -> None:
    """Trials per second, one slot, training that takes no time."""
    for folds, epochs in ((1, 3), (5, 20)):
        for tracking in (False, True):
            case = Case("random", trials // 4 if tracking else trials, folds, epochs, tracking=tracking)
            found = alone(driven, case)
            cpu = (found.caught_up.cpu - found.readings[0].cpu) / case.trials
            said = {"per second": found.per_second(caught_up=True), "cpu": cpu, "problem": found.problem}
            _keep(f"rate {folds} x {epochs} {_with(tracking)}", said)


def long(trials: int = LONG, end: int = END) -> None:
    """One long study of each algorithm; the default one would take an hour, see :func:`suggestions`."""
    for algorithm, folds, epochs in (("random", 5, 20), ("tpe", 1, 3)):
        case = Case(algorithm, trials, folds, epochs)
        with tempfile.TemporaryDirectory() as folder:
            found = alone(_long, Path(folder), case, end)
            _keep(f"long {algorithm}", found)
            if algorithm == "random":
                _keep("open", opened(Path(folder)))


def suggestions(at: tuple[int, ...] = (100, 300, 500, 900, LONG - 100)) -> None:
    """CPU time of a suggestion of the default algorithm, in a batch of four, after so many random trials."""
    _keep("suggestions", alone(_suggestions, at))


def _suggestions(at: tuple[int, ...]) -> dict[str, float]:
    spec = make_spec("sqlite:///unused.db", tuner="hpsearch", algorithm="bayesian")
    space, found = make_record(spec).space, {}
    dimensions, tuner = Dimensions(space), make_tuner("hpsearch", "bayesian", tuner_settings(spec, space))
    trials = []
    for number in range(max(at)):
        config = dimensions.uniform(number)
        score = curve(config, 0, 3)["val_accuracy"][-1]
        trials.append(Trial(number, config, TrialState.COMPLETE, score=score, epoch=3, finished=1.0))
    for count in at:
        history = trials[: count - _BATCH]
        tuner.suggest(history)
        history, begun = trials[:count], time.process_time()
        for _ in range(_BATCH):
            history = [*history, Trial(len(history), tuner.suggest(history) or {})]
        found[str(count)] = (time.process_time() - begun) / _BATCH
    return found


def tracked(trials: int = LONG) -> None:
    """The same with MLflow, for its memory."""
    for folds, epochs in ((1, 3), (5, 20)):
        found = alone(driven, Case("random", trials, folds, epochs, tracking=True))
        said = {"peak": found.peak, "per second": found.per_second(caught_up=True), "problem": found.problem}
        _keep(f"tracked {folds} x {epochs}", said)


def _long(folder: Path, case: Case, end: int) -> dict[str, Any]:
    os.chdir(folder)
    create(folder, case)
    every = min(100, end)
    found = drive(folder, case, every=every)
    curve = [
        (after.trials, 1000 * (after.cpu - before.cpu) / (after.trials - before.trials))
        for before, after in pairwise(found.readings)
    ]
    first, last = found.cost(0, end), found.cost(case.trials - end, case.trials)
    return {
        "first": first,
        "last": last,
        "peak": found.peak,
        "folds": case.folds,
        "epochs": case.epochs,
        "curve": curve,
    }


def opened(folder: Path) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of commands about a study, and of opening it in Python, each in a process of its own."""
    program = Path(sys.executable).with_name("hpsearch")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    calls = {name: [str(program), *arguments] for name, arguments in COMMANDS.items()}
    calls["hpsearch.load"] = [sys.executable, "-c", "import hpsearch; hpsearch.load('synthetic')"]
    found = {}
    for name, call in calls.items():
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(call, cwd=folder, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[name] = {"wall": time.perf_counter() - begun, "cpu": cpu}
    return found


def _with(tracking: bool) -> str:
    return "with MLflow" if tracking else "without MLflow"


def _keep(key: str, value: dict[str, Any]) -> None:
    print(key, {name: one for name, one in value.items() if name != "curve"}, flush=True)
    keep("scale", key=key, value=value)


# The page


def table(found: dict[str, Any]) -> list[str]:
    """The lines of the page: what was promised, and what was measured."""
    rows = ["| what | promised | measured |", "| --- | --- | --- |"]
    for key, one in sorted(found.items()):
        kind, _, rest = key.partition(" ")
        if kind == "busy":
            rows.append(f"| 64 slots, bundles of 1 s, {rest}: slots busy | ≥ 95 % | {one['busy']:.1%} |")
        elif kind == "rate":
            least = 30 if rest.endswith("with MLflow") else 100
            cost = f"{one['per second']:.0f} ({1000 * one['cpu']:.1f} ms of CPU each)"
            rows.append(f"| trials per second, folds × epochs {rest.replace(' x ', ' × ')} | ≥ {least} | {cost} |")
        elif kind == "long":
            said = f"{one['last'] / one['first']:.2f} ({1000 * one['first']:.1f} → {1000 * one['last']:.1f} ms)"
            rows.append(f"| {LONG:,} trials, {rest}: CPU of the last 1,000 / of the first 1,000 | ≤ 1.5 | {said} |")
            size = f"{one['folds']} × {one['epochs']}"
            rows.append(
                f"| {LONG:,} trials, {rest}, {size}, without MLflow: memory | ≤ 500 MB | {one['peak']:.0f} MB |"
            )
        elif kind == "tracked":
            rows.append(
                f"| {LONG:,} trials, random, {rest.replace(' x ', ' × ')}, with MLflow: memory | ≤ 500 MB | "
                f"{one['peak']:.0f} MB, {one['per second']:.0f} trials/s |"
            )
        elif kind == "suggestions":
            costs = ", ".join(f"{1000 * cost:.0f} ms after {int(n):,}" for n, cost in one.items() if n != "commit")
            rows.append(f"| bayesian: CPU of a suggestion in a batch of 4 | ≤ 1.5 × as dear in the end | {costs} |")
        elif kind == "open":
            for name, spent in one.items():
                if name != "commit":
                    said = f"{spent['wall']:.1f} s ({spent['cpu']:.1f} s of CPU)"
                    rows.append(f"| `{name}` of {LONG:,} trials of 5 × 20 | ≤ 10 s | {said} |")
    machine = describe()
    return [*rows, "", f"Measured on: {machine['processor']}, {machine['memory']}; {machine['system']}."]


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw CPU time per trial over the number of trials."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for key, one in sorted(found.items()):
        if key.startswith("long "):
            at, cost = zip(*one["curve"], strict=True)
            label = f"{key.removeprefix('long ')}, {one['folds']} × {one['epochs']}"
            axes.plot(at, cost, ".", markersize=3, label=label)
    axes.set(xlabel="trials in the study", ylabel="CPU per trial, ms", yscale="log", ylim=(1, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, title="folds × epochs")
    figure.savefig(path)


PARTS: dict[str, Callable[[], None]] = {
    "busy": busy,
    "rate": rate,
    "long": long,
    "suggestions": suggestions,
    "tracked": tracked,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "page", []], help="all by default")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    parser.add_argument("--plot", type=Path, help="the picture to draw")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        if name in PARTS:
            PARTS[name]()
    found = kept("scale")
    lines = table(found)
    print("\n".join(lines))
    if options.write:
        put(options.write, "scale", lines)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
