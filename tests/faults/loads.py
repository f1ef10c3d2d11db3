"""Files with mutations, loaded: each ends in an error of hpsearch's own or in a study or data set, soon and in little
memory.

``python -m tests.faults.loads --studies 10000 --data 1000`` prints what came out. The exit code is 1 if anything is
wrong.
"""

import argparse
import faulthandler
import itertools
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hpsearch.core.space import Space
from hpsearch.errors import DataError, HpsearchError, SpecError
from hpsearch.ledger import codec
from hpsearch.proposal.reading import read as read_for_proposal
from hpsearch.pruning import make_pruner
from hpsearch.search.first_trials import check_tries, default_config
from hpsearch.search.preparation import smallest_config, tuner_settings
from hpsearch.spec import StudySpec, load_spec, make_space, parse_spec
from hpsearch.training.worker import Worker
from hpsearch.tuners import make_tuner

from .loads_data import DataFile, data_files
from .loads_studies import TEXTS, study_files
from .loads_studies import _value as toml

MOST_SECONDS = 2.0
"""Of processor time, for one file."""

MOST_BYTES = 500_000_000
"""Of memory, for one file."""

LONGEST = 25_000
"""Characters of a message."""

HANGS_AFTER_S = 60


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        code: ``"valid"``, the error's code, or the exception's type and place.
        seconds: Processor time.
        peak: Bytes of memory more than before.
        fault: What is wrong; empty if nothing is.
    """

    code: str
    seconds: float
    peak: int
    fault: str = ""


def load_study(path: Path) -> None:
    """What every command does with a study file, as far as it needs neither data nor Keras."""
    spec, _ = load_spec(path)
    assert codec.spec_from_json(codec.spec_to_json(spec)).name == spec.name
    space = make_space(spec)
    assert dict(codec.space_from_json(codec.space_to_json(space))) == dict(space)
    _use(spec, space)


def _use(spec: StudySpec, space: Space) -> None:
    assert space.contains(smallest_config(space))
    space.size()
    space.grid_size(spec.search.grid_points)
    default_config(spec, space, {})
    check_tries(spec, space)
    make_pruner(spec.pruning, spec.make_objective(), validation_ratio=0.25)
    if spec.search.algorithm != "gp":  # needs PyTorch
        tuner = make_tuner(spec.search.tuner, spec.search.algorithm, tuner_settings(spec, space))
        if spec.search.tuner == "hpsearch":
            config = tuner.suggest(())
            assert config is None or space.contains(config)
        tuner.close()


def load_data(path: Path, section: dict[str, object]) -> None:
    """What a worker does with a data file before it builds a model, and what ``hpsearch init --data`` does."""
    spec = _study_of(path, section)
    if path.suffix != ".npz":
        with suppress(DataError):
            read_for_proposal(path)
    facts = Worker(spec).describe_data()
    assert facts.rows > 0


def _study_of(path: Path, section: dict[str, object]) -> StudySpec:
    lines = [f"{key} = {toml(value)}" for key, value in {"source": str(path), **section}.items()]
    head = 'name = "x"\n[validation]\nfolds = 2\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'
    return parse_spec(head + 'direction = "minimize"\n[data]\n' + "\n".join(lines), folder=path.parent)


def judge(load: Callable[[], None], own: tuple[type[HpsearchError], ...]) -> Outcome:
    """Load a file and say what came out.

    Args:
        load: Loads it.
        own: The errors that it may end in.
    """
    before, begun, fault = _reset_peak(), time.process_time(), ""
    faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load()
        code = "valid"
    except own as error:
        code, text = error.code, str(error)
        if len(text) > LONGEST:
            fault = "long message"
        if "please report it" in error.hint:  # the boundary has caught what no check has foreseen
            code, fault = f"{code}: {text.partition(' cannot be ')[2][:250]}", "unexplained"
    except Exception as error:  # what this is all about
        place = traceback.extract_tb(error.__traceback__)[-1]
        code = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:100]}"
        fault = "traceback"
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds, peak = time.process_time() - begun, max(0, _memory("VmHWM") - before)
    fault = fault or ("slow" if seconds > MOST_SECONDS else "large" if peak > MOST_BYTES else "")
    return Outcome(code, seconds, peak, fault)


def judge_study(folder: Path, data: bytes) -> Outcome:
    """What becomes of a study file."""
    path = folder / "study.toml"
    path.write_bytes(data)
    return judge(lambda: load_study(path), (SpecError,))


def judge_data(folder: Path, file: DataFile) -> Outcome:
    """What becomes of a data file."""
    path = folder / f"data{file.suffix}"
    path.write_bytes(file.data)
    return judge(lambda: load_data(path, file.section), (SpecError, DataError))


def _reset_peak() -> int:
    """Let the kernel count the peak anew; returns the memory now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not Linux, or not allowed: the peak is that of the whole process
        return _memory("VmHWM")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


@dataclass
class Tally:
    """All outcomes of one kind of file."""

    kind: str
    outcomes: list[Outcome] = field(default_factory=list)
    faults: list[Path] = field(default_factory=list)

    def add(self, outcome: Outcome, keep: Callable[[], Path]) -> None:
        self.outcomes.append(outcome)
        if outcome.fault:
            path = keep()
            self.faults.append(path)
            print(
                f"FAULT {outcome.fault}: {outcome.code} ({outcome.seconds:.1f} s, {outcome.peak / 1e6:.0f} MB): {path}"
            )

    def lines(self) -> Iterator[str]:
        codes = Counter(one.code for one in self.outcomes)
        count = Counter(one.fault for one in self.outcomes)
        yield f"{self.kind}: {len(self.outcomes):,} files, {codes['valid']:,} of them valid"
        yield (
            f"  slowest {max(one.seconds for one in self.outcomes):.2f} s, "
            f"largest {max(one.peak for one in self.outcomes) / 1e6:.0f} MB"
        )
        yield (
            f"  tracebacks {count['traceback']}, unexplained {count['unexplained']}, slow {count['slow']}, "
            f"large {count['large']}, long messages {count['long message']}"
        )
        yield from (f"  {n:6,} {code}" for code, n in codes.most_common())


def run(
    kind: str, cases: "st.SearchStrategy[Any]", judged: Callable[[Any], Outcome], folder: Path, count: int, begin: int
) -> Tally:
    """Judge so many files; those with a fault are kept in `folder`."""
    tally, numbers = Tally(kind), itertools.count()

    @seed(begin)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def each(case: Any) -> None:
        def keep() -> Path:
            suffix, data = (case.suffix, case.data) if isinstance(case, DataFile) else (".toml", case)
            path = folder / f"{kind.replace(' ', '-')}-{next(numbers)}{suffix}"
            path.write_bytes(data)
            if isinstance(case, DataFile):
                path.with_suffix(f"{suffix}.txt").write_text(repr(case.section), encoding="utf-8")
            return path

        tally.add(judged(case), keep)

    each()
    return tally


def main() -> int:
    """Run as a command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--data", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for files with a fault")
    asked = parser.parse_args()
    faulthandler.enable()
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="loads-"))
    keep.mkdir(parents=True, exist_ok=True)
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        judge_study(folder, TEXTS[0].encode())  # what is imported for the first file is not its cost
        judge_data(folder, DataFile(".csv", b"a,y\n1,2\n"))
        for kind, cases, judged, count in (
            ("study files", study_files(), lambda case: judge_study(folder, case), asked.studies),
            ("data files", data_files, lambda case: judge_data(folder, case), asked.data),
        ):
            if count:
                begun = time.monotonic()
                tally = run(kind, cases, judged, keep, count, asked.seed)
                print("\n".join(tally.lines()), f"\n  in {time.monotonic() - begun:.0f} s", flush=True)
                faults += len(tally.faults)
    print(f"{faults} faults" + (f", kept in {keep}" if faults else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
