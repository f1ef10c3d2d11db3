"""Measures the p values of the null control on data whose inputs tell nothing about the targets, and on some that do.

On noise, p should be at most α in a share α of the studies. First with real training: 60 rows with coin flips as
labels, 3 trials on 3 folds, and the null searches of ``run --null``.

Then what the rules for groups and time are for. The searches are of 4 models that train in no time (ridge regressions
and nearest neighbours); folds and permutations are hpsearch's own. *Any order* permutes all targets as if rows did
not depend on each other.

- *rows*: 80 rows, coin flips.
- *groups of one label*: 20 groups of 2 to 6 rows that lie close together; each group flips a coin.
- *groups of several labels*: 16 groups of 5 rows; most labels of a group are equal.
- *time*: inputs and targets are autoregressions that know nothing of each other.
- *signal*: 80 rows, and one input that tells the label in 4 of 5 rows.

    python -m benchmarks.null_control [--trained 20] [--studies 500] [--write docs/trust.md]
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.pages import put_as_measured
from hpsearch.analysis import null_info
from hpsearch.core.facts import NullScores, StudyFacts
from hpsearch.core.folds import Fold, RowTraits, make_folds
from hpsearch.core.seeds import derive
from hpsearch.data.dataset import Part
from hpsearch.data.permuted import permuted
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import make_suggester, prepare_study
from hpsearch.search.watchdog import Watchdog
from hpsearch.spec import StudySpec, parse_spec

SEARCHES, ALPHAS = 9, (0.1, 0.2, 0.5)

STUDY = """
name = "{name}"
seed = {seed}
[data]
source = "rows.npz"
test_fraction = 0.0
[validation]
folds = 3
[model]
family = "mlp"
layers = 1
[space]
learning_rate = {{ low = 0.01, high = 0.1, log = true }}
units = 8
dropout = {{ low = 0.0, high = 0.4 }}
optimizer = "adam"
batch_size = 32
epochs = 6
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
algorithm = "random"
trials = 3
[resources]
executor = "inline"
engine = "fused"
[tracking]
ledger = "sqlite:///{folder}/ledger.db"
"""


def searched(spec: StudySpec, like: StudyFacts | None = None) -> StudyRecord:
    """The search of a study, without its refit."""
    with ExitStack() as stack:
        prepared = prepare_study(spec, stack, like)
        ledger = Ledger(spec.tracking.ledger, create=True)
        record = StudyRecord(spec.name, spec, "", prepared.space, prepared.facts, created=0.0)
        ledger.create(record)
        with closing(make_suggester(spec, prepared.space, record.facts, prepared.executor)) as suggester:
            Driver(
                record,
                ledger,
                executor=prepared.executor,
                suggester=suggester,
                monitor=PruningMonitor(record),
                observer=Observer(),
                interrupted=lambda: False,
                watchdog=Watchdog(spec.resources),
            ).search()
        return ledger.load(spec.name)


def best(spec: StudySpec) -> float:
    found = searched(spec).best
    assert found is not None
    assert found.score is not None
    return found.score


def trained(study: int, folder: Path) -> float:
    """The p value of a study of coin flips, with real training."""
    rng = np.random.default_rng(derive(study, "trained"))
    np.savez(folder / "rows.npz", x=rng.normal(size=(60, 3)), y=rng.integers(0, 2, 60))
    spec = parse_spec(STUDY.format(name=f"study {study}", seed=study, folder=folder), folder=folder)
    record = searched(spec)
    scores = []
    for index in range(SEARCHES):
        validation = spec.validation.model_copy(update={"null": index})
        null = spec.model_copy(update={"name": f"{spec.name} null{index}", "validation": validation})
        found = searched(null, record.facts).best
        assert found is not None
        assert found.score is not None
        scores.append(found.score)
    facts = replace(record.facts, null=NullScores(tuple(scores), spec.search.trials))
    info = null_info(replace(record, facts=facts))
    assert info is not None
    return info.p


def rows_of(kind: str, rng: np.random.Generator) -> Part:
    """Rows of one kind; see above."""
    if kind == "time":
        walks = rng.normal(size=(80, 4))
        for i in range(1, len(walks)):
            walks[i] += 0.9 * walks[i - 1]
        return Part(walks[:, :3], walks[:, 3], time=np.arange(len(walks)))
    sizes = {"groups of one label": rng.integers(2, 7, 20), "groups of several labels": np.full(16, 5)}
    size = sizes.get(kind, np.ones(80, dtype=np.intp))
    groups = np.repeat(np.arange(len(size)), size)
    x = rng.normal(size=(len(size), 3))[groups] + (0.3 if kind in sizes else 0.0) * rng.normal(size=(len(groups), 3))
    y = rng.integers(0, 2, len(size))[groups]
    if "several" in kind:
        y = np.where(rng.random(len(y)) < 0.15, 1 - y, y)
    if kind == "signal":
        y = np.where(rng.random(len(y)) < 0.2, x[:, 0] < 0, x[:, 0] > 0).astype(np.intp)
    return Part(x, y, groups=groups if kind in sizes else None)


def best_of(part: Part, seed: int) -> float:
    """The best score of a search: accuracy, or the negative error over time."""
    method: Literal["time-series", "group", "stratified"]
    if part.time is not None:
        method, traits = "time-series", RowTraits(len(part), time=part.time)
    elif part.groups is not None:
        method, traits = "group", RowTraits(len(part), part.y, groups=part.groups)
    else:
        method, traits = "stratified", RowTraits(len(part), part.y)
    folds = make_folds(method, traits, folds=4, repeats=1, fraction=0.3, seed=seed)
    scores = np.mean([_fold_scores(part, fold) for fold in folds], axis=0)
    return float(scores.max())


def _fold_scores(part: Part, fold: Fold) -> list[float]:
    assert not isinstance(part.x, Mapping)
    x, y = part.x.astype(float), part.y.astype(float)
    known, asked, targets = x[fold.train], x[fold.validation], y[fold.train]
    mean = targets.mean()
    said = []
    for penalty in (0.1, 30.0):
        gram = known.T @ known + penalty * np.eye(known.shape[1])
        said.append(mean + asked @ np.linalg.solve(gram, known.T @ (targets - mean)))
    nearest = np.argsort(((asked[:, None] - known[None]) ** 2).sum(axis=2), axis=1)
    said += [targets[nearest[:, :count]].mean(axis=1) for count in (1, 7)]
    truth = y[fold.validation]
    if part.time is not None:
        return [-float(np.abs(one - truth).mean()) for one in said]
    return [float(((one > 0.5) == (truth > 0.5)).mean()) for one in said]


def quick(kind: str, study: int) -> dict[str, float]:
    """The p value by the rules, and with all targets in any order."""
    part = rows_of(kind, np.random.default_rng(derive(study, kind)))
    own = best_of(part, study)
    ways = {"by the rules": [permuted(part, seed=study, index=i, in_order=False)[0] for i in range(SEARCHES)]}
    if part.groups is not None or part.time is not None:
        rng = np.random.default_rng(derive(study, "any order"))
        ways["any order"] = [replace(part, y=rng.permutation(part.y)) for _ in range(SEARCHES)]
    return {
        way: (1 + sum(best_of(one, study) >= own for one in others)) / (SEARCHES + 1) for way, others in ways.items()
    }


def line(data: str, way: str, p: list[float]) -> str:
    """A row of the table."""
    shares = " | ".join(f"{np.mean(np.array(p) <= alpha + 1e-9):.2f}" for alpha in ALPHAS)
    return f"| {data} | {way} | {len(p)} | {shares} | {np.mean(p):.2f} |"


def lines(studies: int, by_training: int, folder: Path) -> Iterator[str]:
    """The section of the page."""
    yield f"{SEARCHES} null searches per study, so the least p is {1 / (SEARCHES + 1):.1f}."
    yield ""
    yield f"| data | targets permuted | studies | {' | '.join(f'p ≤ {alpha}' for alpha in ALPHAS)} | mean p |"
    yield f"|{'---|' * (4 + len(ALPHAS))}"
    for kind in ("rows", "groups of one label", "groups of several labels", "time", "signal"):
        found = [quick(kind, study) for study in range(studies)]
        for way in found[0]:
            yield line(kind, way, [one[way] for one in found])
    yield line("rows, real training", "by the rules", [trained(study, folder) for study in range(by_training)])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--trained", type=int, default=20, help="studies with real training")
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # one for all: it has the compiled programs
        put_as_measured(args.write, "null", lines(args.studies, args.trained, Path(folder)))


if __name__ == "__main__":
    main()
