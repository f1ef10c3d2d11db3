"""Hurts studies in every way that we know, resumes them, and compares them with one that was left alone.

    python -m tests.faults [--share 1.0] [--seed 0] [--only KIND ...] [--write docs/reliability.md]
"""

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from hpsearch.errors import HpsearchError
from hpsearch.tracking.mlflow.address import resolve_address
from hpsearch.tracking.mlflow.client import connect, quiet
from hpsearch.tracking.settings import mlflow_settings
from tests.faults import trainer
from tests.faults.kinds import KINDS, HangError, NotHereError, Try, ended
from tests.faults.outcome import Outcome, differences, outcome_of
from tests.faults.runs import begin

RESUMES = 3
"""A study must end well by its third resume: the first two may meet what the fault has left behind."""

Found = tuple[str, str, str]
"""Kind, verdict and what was seen."""


def undisturbed(folder: Path, template: Path) -> tuple[Outcome, float]:
    """The study as nothing happens to it, and how long that takes, seconds."""
    shutil.copytree(template, folder / "mlruns")
    began = time.monotonic()
    run = begin(folder)
    if ended(run):
        raise RuntimeError(run.said)
    return outcome_of(folder, trainer.NAME), time.monotonic() - began


def judge(kind: str, number: int, folder: Path, template: Path, expected: Outcome, seconds: float) -> Found:
    """Do one fault, resume, and compare."""
    one = Try(folder, random.Random(f"{kind} {number}"), seconds, template)
    try:
        KINDS[kind][0](one)
        code = _resumed(one)
        found = outcome_of(one.folder, trainer.NAME)
    except NotHereError as error:
        return kind, "not here", str(error)
    except HangError as error:
        return kind, "hang", str(error)
    except (Exception, HpsearchError):
        return kind, "error", traceback.format_exc()
    said = one.folder.parent.glob(f"{folder.name}*.log")
    if any("Traceback (most recent call last)" in log.read_text(errors="replace") for log in said):
        return kind, "traceback", next(iter(one.folder.parent.glob(f"{folder.name}*.log"))).read_text()[-3000:]
    if code:
        return kind, "no resume", next(iter(one.folder.parent.glob(f"{folder.name}*.log"))).read_text()[-3000:]
    if different := differences(found, expected):
        lost = any("lost" in line for line in different)
        return kind, "lost" if lost else "doubled or different", "\n".join(different[:8])
    return kind, "as undisturbed", ""


def _resumed(one: Try) -> int:
    code = 0
    for _ in range(RESUMES):
        code = ended(one.begin())
        if code == 0:
            found = outcome_of(one.folder, trainer.NAME)
            if not found.wrong:
                return 0
    return code


def _one(job: tuple[str, int, Path, Path, Outcome, float]) -> Found:
    kind, number, folder, *others = job
    found = judge(kind, number, folder, *others)
    if found[1] in ("as undisturbed", "not here"):
        for path in folder.parent.glob(f"{folder.name}*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    return found


def run(counts: dict[str, int], folder: Path, *, workers: int = 2) -> Iterable[Found]:
    """Do as many faults of each kind as `counts` says."""
    template = folder / "template"
    template.mkdir(parents=True)
    with mlflow_settings(), quiet():
        spec = trainer.make_spec(trainer.LEDGER, uri=f"sqlite:///{template}/mlflow.db")
        child = multiprocessing.get_context("fork").Process(target=_make, args=(spec,))
        child.start()  # a fork must find no open connection
        child.join()
    expected, seconds = undisturbed(folder / "undisturbed", template)
    print(f"an undisturbed study takes {seconds:.1f} s", flush=True)
    jobs = [
        (kind, number, folder / f"{place}-{number}", template, expected, seconds)
        for place, (kind, count) in enumerate(counts.items())
        for number in range(count)
    ]
    random.Random(0).shuffle(jobs)
    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=20) as pool:
        yield from pool.imap_unordered(_one, jobs)


def _make(spec: trainer.Any) -> None:
    with quiet():
        connect(resolve_address(spec.tracking))


def main() -> int:
    """Print a line per fault that went wrong, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of each kind")
    parser.add_argument("--only", nargs="+", choices=list(KINDS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for what went wrong")
    options = parser.parse_args()
    counts = {kind: max(1, round(options.share * count)) for kind, (_, count) in KINDS.items()}
    counts = {kind: count for kind, count in counts.items() if not options.only or kind in options.only}
    table: dict[str, Counter[str]] = defaultdict(Counter)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        for kind, verdict, seen in run(counts, options.keep or Path(temporary), workers=options.workers):
            table[kind][verdict] += 1
            if verdict != "as undisturbed":
                print(f"--- {kind}: {verdict}\n{seen}", flush=True)
    for kind in counts:
        print(f"| {kind} | {table[kind].total()} | {', '.join(f'{n} {what}' for what, n in table[kind].items())} |")
    total: Counter[str] = sum(table.values(), Counter())
    print(f"{total.total()} faults in {(time.monotonic() - began) / 60:.1f} min: {dict(total)}")
    return int(total.total() != total["as undisturbed"] + total["not here"])


if __name__ == "__main__":
    sys.exit(main())
