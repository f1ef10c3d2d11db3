"""Hurts studies in every way that we know, resumes them, and compares them with one that was left alone.

python -m tests.faults [--share 1.0] [--only KIND ...] [--write docs/reliability.md]
"""

import argparse
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pages import put
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.client import connect, quiet
from hpsearch.tracking.settings import mlflow_settings
from tests.faults import kinds, real, trainer
from tests.faults.kinds import HangError, NotHereError, Try
from tests.faults.outcome import Outcome, differences, outcome_of
from tests.faults.runs import begin
from tests.faults.server import mlflow_server

RESUMES = 3
"""A study must end well by its third resume: the first two may meet what the fault has left behind."""
GOOD, NOT_HERE = "as undisturbed", "not here"


@dataclass(frozen=True)
class Bed:
    """What faults of one sort need.

    Attributes:
        template: The ``mlruns`` that a study starts with.
        expected: The outcome of the study that is left alone.
        seconds: How long that takes.
        tolerance: Relative, for real numbers: a lane that is trained alone runs another compiled program.
        start: Runs the study in the folder of a try to its end, and returns its exit code.
        server: Port of MLflow's server; None without one.
        database: Its database.
    """

    template: Path
    expected: Outcome
    seconds: float
    tolerance: float
    start: Callable[[Try], int]
    server: int | None = None
    database: Path | None = None


@dataclass(frozen=True)
class Found:
    """What became of a fault: its kind, a verdict, and what was seen if that is not the good one."""

    kind: str
    verdict: str
    seen: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with the study."""
        return self.verdict.startswith((GOOD, NOT_HERE))


def all_kinds() -> dict[str, tuple[Callable[[Try], None], int]]:
    """Name → what happens, and how often in a full run."""
    return {**kinds.KINDS, **real.KINDS}


def judge(kind: str, number: int, folder: Path, bed: Bed) -> Found:
    """Do one fault, resume, and compare."""
    one = Try(folder, random.Random(f"{kind} {number}"), bed.seconds, bed.template, server=bed.server)
    database = bed.database if "server" in kind else None
    try:
        with one.stack:
            all_kinds()[kind][0](one)
            code, found, how = _resumed(one, bed, database)
    except NotHereError as error:
        return Found(kind, NOT_HERE, str(error))
    except HangError as error:
        return Found(kind, "hang", f"{error}\n{_said(folder)}")
    except Exception:  # whatever it is, it goes into the table
        return Found(kind, "error", f"{traceback.format_exc()}\n{_said(folder)}")
    if "Traceback (most recent call last)" in (said := _said(folder)):
        return Found(kind, "traceback", said)
    if code:
        return Found(kind, "no resume", said)
    if different := differences(found, bed.expected, bed.tolerance):
        lost = any("lost" in line for line in different)
        return Found(kind, "lost" if lost else "doubled or different", "\n".join(different[:8]))
    return Found(kind, GOOD + how)


def _resumed(one: Try, bed: Bed, database: Path | None) -> tuple[int, Outcome, str]:
    """The exit code of the last resume, the outcome, and what more than one resume it took."""
    name = real.NAME if bed.start is _start_real else one.options.get("name", trainer.NAME)
    for turn in range(RESUMES):
        code = bed.start(one)
        if code == 0:
            how = f", by resume {turn + 1}" * (turn > 0) + ", and a sync" * kinds.catch_up(one, name)
            found = outcome_of(one.folder, name, database)
            if not found.wrong or turn == RESUMES - 1:
                return code, found, how
    return code, bed.expected, ""


def _said(folder: Path) -> str:
    logs = sorted(folder.parent.glob(f"{folder.name}*.log"))
    return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs)


def _start(one: Try) -> int:
    return kinds.ended(one.begin())


def _start_real(one: Try) -> int:
    return real.ended(real.start(one.folder))


def _one(job: tuple[str, int, Path, Bed]) -> Found:
    kind, number, folder, bed = job
    found = judge(kind, number, folder, bed)
    if found.is_good:
        for path in folder.parent.glob(f"{folder.name}*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    return found


def run(counts: Mapping[str, int], folder: Path, *, workers: int = 2) -> Iterator[Found]:
    """Do as many faults of each kind as `counts` says."""
    template = folder / "template"
    template.mkdir(parents=True)
    with ExitStack() as stack:
        served = any("server" in kind for kind in counts)
        server = stack.enter_context(mlflow_server(folder)) if served else None
        _make_template(template)
        beds = {}
        if not counts.keys() <= real.KINDS.keys():
            beds["synthetic"] = _synthetic_bed(folder, template, server)
        if counts.keys() & real.KINDS.keys():
            beds["real"] = _real_bed(folder, template)
        for name, bed in beds.items():
            print(f"an undisturbed {name} study takes {bed.seconds:.1f} s", flush=True)
        jobs = [
            (kind, number, folder / f"try{place}-{number}", beds["real" if kind in real.KINDS else "synthetic"])
            for place, (kind, count) in enumerate(counts.items())
            for number in range(count)
        ]
        random.Random(0).shuffle(jobs)
        with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=20) as pool:
            yield from pool.imap_unordered(_one, jobs)


def _make_template(template: Path) -> None:
    """An empty MLflow database, made in a process of its own: a fork must find no open connection."""
    spec = trainer.make_spec(trainer.LEDGER, uri=f"sqlite:///{template}/mlflow.db")

    def make() -> None:
        with mlflow_settings(), quiet():
            connect(resolve_address(spec.tracking))

    child = multiprocessing.get_context("fork").Process(target=make)
    child.start()
    child.join()


def _synthetic_bed(folder: Path, template: Path, server: int | None) -> Bed:
    _preload(folder, template)
    one = Try(folder / "undisturbed", random.Random(0), 0.0, template)
    one.prepare()
    began = time.monotonic()
    if _start(one):
        raise RuntimeError(_said(one.folder))
    expected = outcome_of(one.folder, trainer.NAME)
    return Bed(template, expected, time.monotonic() - began, 0.0, _start, server, folder / "mlflow.db")


def _preload(folder: Path, template: Path) -> None:
    """Import whatever a study imports, so that what is forked later has it."""
    modules = folder / "modules"
    one = Try(folder / "first", random.Random(0), 0.0, template)
    one.prepare()
    run = begin(one.folder, after=lambda: _tell(modules))
    if kinds.ended(run):
        raise RuntimeError(run.said)
    for name in modules.read_text().split():
        with suppress(Exception):  # whatever cannot be imported alone
            importlib.import_module(name)


def _tell(modules: Path) -> None:
    modules.write_text("\n".join(sys.modules))


def _real_bed(folder: Path, template: Path) -> Bed:
    """The second of two studies counts: the first one compiles their programs."""
    seconds = 0.0
    for turn in ("compiling", "undisturbed"):
        one = Try(folder / f"real-{turn}", random.Random(0), 0.0, template)
        real.prepare(one)
        began = time.monotonic()
        if _start_real(one):
            raise RuntimeError(_said(one.folder))
        seconds = time.monotonic() - began
        if turn == "compiling":
            template = folder / "real-template"
            shutil.copytree(folder / "template", template)
            shutil.copytree(one.folder / "mlruns" / "cache", template / "cache")
    return Bed(template, outcome_of(one.folder, real.NAME), seconds, 1e-5, _start_real)


def table(found: Mapping[str, Counter[str]], minutes: float) -> list[str]:
    """The faults, kind by kind, in Markdown."""
    lines = ["| fault | tries | what the resumed study was |", "|---|---|---|"]
    for kind, verdicts in found.items():
        told = ", ".join(f"{verdict}: {count}" for verdict, count in verdicts.items())
        lines.append(f"| {kind} | {verdicts.total()} | {told} |")
    total: Counter[str] = sum(found.values(), Counter())
    bad = sum(count for verdict, count in total.items() if not Found("", verdict).is_good)
    lines += ["", f"{total.total()} faults in {minutes:.0f} minutes; {bad} studies were not as the undisturbed one."]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what went wrong, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of each kind")
    parser.add_argument("--only", nargs="+", choices=list(all_kinds()))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for what went wrong")
    parser.add_argument("--write", type=Path, help="page for the table")
    options = parser.parse_args(arguments)
    counts = {kind: max(1, round(options.share * count)) for kind, (_, count) in all_kinds().items()}
    counts = {kind: count for kind, count in counts.items() if not options.only or kind in options.only}
    found: dict[str, Counter[str]] = {kind: Counter() for kind in counts}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_STATE_HOME"] = temporary  # the key that seals champions is not the developer's
        for one in run(counts, options.keep or Path(temporary), workers=options.workers):
            found[one.kind][one.verdict] += 1
            if not one.is_good:
                print(f"--- {one.kind}: {one.verdict}\n{one.seen}", flush=True)
            if options.write:
                so_far = table(found, (time.monotonic() - began) / 60)
                put(options.write, "faults", [*so_far, "", "*Unfinished: the run was stopped here.*"])
    lines = table(found, (time.monotonic() - began) / 60)
    print("\n".join(lines))
    if options.write:
        put(options.write, "faults", lines)
    return int(not all(Found(kind, verdict).is_good for kind in found for verdict in found[kind]))


if __name__ == "__main__":
    sys.exit(main())
