"""How much scores flatter models whose epoch was chosen on the rows that score them.

Half of the rows are split into five folds, the other half is test rows: many times, each time other rows. Every fold
trains a network for 40 epochs, and each epoch is measured on the fold's validation rows and on the test rows. The score
is then read as hpsearch reads it, and compared with what the very same models reach on the test rows.

    python -m benchmarks.early_stopping [--splits 20] [--write docs/search.md]
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import put_as_measured
from hpsearch.core.callbacks import EarlyStopping, Stopper, together
from hpsearch.core.events import Bundle, Lane, LaneFinished
from hpsearch.core.folds import Fold
from hpsearch.core.out_of_fold import lane_file
from hpsearch.spec import make_space, parse_spec
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem

Floats = NDArray[np.floating]

FOLDS, EPOCHS = 5, 40

DATA = {
    "wine (accuracy)": ("sklearn:wine", 178),
    "breast cancer (accuracy)": ("sklearn:breast_cancer", 569),
    "digits (accuracy)": ("sklearn:digits", 600),
    "diabetes (mae)": ("sklearn:diabetes", 442),
}

STUDY = """
name = "early-stopping"
[data]
source = "{source}"
max_rows = {rows}
test_fraction = 0.0
[model]
family = "mlp"
[objective]
metric = "val_loss"
[space]
layers = 1
units = 32
batch_size = 32
optimizer = "adam"
learning_rate = 0.01
dropout = 0.0
epochs = {epochs}
"""


def curves(source: str, rows: int, splits: int) -> tuple[Floats, Floats, bool]:
    """The metric, higher being better, on validation and on test rows, of shape ``(splits, folds, epochs)``.

    The last value says whether it is an accuracy.
    """
    spec = parse_spec(STUDY.format(source=source, rows=rows, epochs=EPOCHS))
    with tempfile.TemporaryDirectory() as folder:
        problem = Problem.load(spec, predictions=folder)
        count = len(problem.dataset.train)
        folds, sizes = list[Fold](), list[int]()
        for split in range(splits):
            order = np.random.default_rng(split).permutation(count)
            inner, test = order[: count // 2], order[count // 2 :]
            for validation in np.array_split(inner, FOLDS):
                train = np.setdiff1d(inner, validation)
                folds.append(Fold(len(folds), train, np.concatenate([validation, test])))
                sizes.append(len(validation))
        problem = replace(problem, folds=tuple(folds))
        config = {name: one.grid(1)[0] for name, one in make_space(spec).items()}
        lanes = tuple(Lane(0, fold, config) for fold in range(len(folds)))
        ended = list(FusedEngine(problem).train(Bundle(0, lanes), frozenset))
        assert sum(isinstance(one, LaneFinished) for one in ended) == len(lanes)
        found = [_measured(problem, lane_file(Path(folder), 0, fold), sizes[fold]) for fold in range(len(folds))]
    shaped = np.array(found).reshape(splits, FOLDS, 2, EPOCHS)
    return shaped[:, :, 0], shaped[:, :, 1], problem.dataset.task.has_classes


def _measured(problem: Problem, file: Path, size: int) -> tuple[Floats, Floats]:
    kept = np.load(file)
    y, predicted = kept["y"], kept["predicted"]
    if not problem.dataset.task.has_classes:
        right = -np.abs(predicted.reshape(len(predicted), len(y)) - y)
    elif predicted.shape[-1] == 1 or predicted.ndim == 2:
        right = (predicted.reshape(len(predicted), len(y)) > 0.5) == y
    else:
        right = predicted.argmax(axis=-1) == y
    return right[:, :size].mean(axis=1), right[:, size:].mean(axis=1)


WAYS = ("best epoch of the mean curve", 'EarlyStopping, scope = "mean"', "EarlyStopping in each fold")


def chosen(way: str, curves: Floats) -> list[int]:
    """The epoch of each fold that counts, from 0."""
    rule = EarlyStopping("metric", patience=5, restore_best_weights=True)
    if way == WAYS[0]:
        return [int(curves.mean(axis=0).argmax())] * FOLDS
    if way == WAYS[1]:
        return [(together(rule, "maximize", curves.tolist())[1] or 1) - 1] * FOLDS
    return [_kept(rule, one.tolist()) - 1 for one in curves]


def _kept(rule: EarlyStopping, curve: list[float]) -> int:
    stopper = Stopper(rule, "maximize")
    for epoch, value in enumerate(curve):
        if stopper.ends(epoch, value):
            break
    return stopper.kept or 1


def table(splits: int) -> Iterator[str]:
    """The lines of the table."""
    yield "How much better the score is than what the same models reach on test rows; ± is a standard error. The last"
    yield "epoch, which nobody chooses, has no such difference on average: that of each split is subtracted."
    yield ""
    yield f"| data | rows that validate a fold | {' | '.join(WAYS)} |"
    yield "|---|---:|---:|---:|---:|"
    for name, (source, rows) in DATA.items():
        validation, test, higher = curves(source, rows, splits)
        cells = []
        for way in WAYS:
            gaps = []
            for val, new in zip(validation, test, strict=True):
                at = chosen(way, val)
                gap = val - new
                gaps.append(np.mean([gap[fold, epoch] for fold, epoch in enumerate(at)]) - gap[:, -1].mean())
            digits = 4 if higher else 2
            cells.append(f"{np.mean(gaps):+.{digits}f} ± {np.std(gaps, ddof=1) / np.sqrt(splits):.{digits}f}")
        yield f"| {name} | {round(rows / 2 / FOLDS)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    put_as_measured(args.write, "early-stopping", table(args.splits))


if __name__ == "__main__":
    main()
