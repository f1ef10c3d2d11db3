"""Random models, trained by the fused engine and by Keras ``fit``: the same curves, or a refusal with its reason.

``python -m tests.engines.fuzzing --cases 300 --seed 0`` (``make fuzz-engine``). A case that differs is made smaller and
printed, with the line that runs it alone.
"""

import os
import sys

if __name__ == "__main__":  # programs are tiny and many: what they cost is their compilation
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from hpsearch.core.events import Bundle, Lane, LaneFailed, LaneFinished
from hpsearch.core.folds import Fold
from hpsearch.data.dataset import Dataset, Part, TrainingData
from hpsearch.models.builder import ModelBuilder
from hpsearch.spec import parse_spec
from hpsearch.training.engines.base import CannotTrainError, Engine
from hpsearch.training.engines.fit import FitEngine, release
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem

from .fuzzed_models import Case, build, data_of, random_case

TOLERANCE = 1e-5
"""Of a curve's values, relative to the largest of them, or 1."""

STUDY = """
name = "fuzzed"
seed = {seed}
[data]
source = "nowhere:load"
[model]
build = "nowhere:build"
[objective]
metric = "val_loss"
direction = "minimize"
[space]
learning_rate = {{ low = 0.001, high = 0.02 }}
strength = {{ low = 0.001, high = 0.1 }}
silence = {{ low = 0.0, high = 0.4 }}
batch_size = {batch_size}
epochs = {epochs}
"""

Ends = Mapping[tuple[int, int], LaneFinished | LaneFailed]
Curve = np.ndarray[Any, np.dtype[np.float64]]

NUDGE = 1e-7
"""About what float32 rounds by."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case, and why.

    The kinds are ``"alike"``, ``"refused"``, ``"failed alike"``, ``"differs"`` and ``"rounding"``: it differs, but not
    by more than two runs of ``fit`` whose initial weights are equal but for rounding. Adaptive optimizers do this: they
    turn a gradient that is truly 0, and computed as 1e-8, into a whole step.
    """

    kind: str
    text: str = ""


def problem_of(case: Case, *, nudge: float = 0.0) -> Problem:
    """A study of the case: three folds of different sizes.

    Args:
        case: What to train.
        nudge: How far to move initial weights, relative to their size.
    """
    x, y, task = data_of(case)
    rows = np.random.default_rng(case.seed + 1).permutation(case.rows)
    parts = np.split(rows, [case.rows // 4, case.rows // 4 + case.rows // 3])
    folds = tuple(Fold(n, np.sort(np.setdiff1d(rows, part)), np.sort(part)) for n, part in enumerate(parts))
    classes = {"classes": ("a", "b", "c"), "binary": ("a", "b"), "regression": ()}[case.task]
    text = STUDY.format(seed=case.seed, batch_size=case.batch_size, epochs=case.epochs)
    problem = Problem(parse_spec(text), Dataset("fuzzed", Part(x, y), None, task, classes), folds)
    problem.__dict__["builder"] = ModelBuilder("fuzzed:build", partial(_nudged, case, nudge))
    return problem


def _nudged(case: Case, nudge: float, config: Mapping[str, Any], data: TrainingData) -> keras.Model:
    model, draws = build(case, config, data), np.random.default_rng(0)
    for weight in model.trainable_variables if nudge else ():
        weight.assign(weight.value * (1 + nudge * draws.choice([-1.0, 1.0], weight.shape)).astype(weight.dtype))
    return model


def lanes_of(case: Case) -> list[Lane]:
    """Two lanes of other trials and folds, and of other dynamic values. Noise is silent: masks are drawn otherwise."""
    fixed = {"batch_size": case.batch_size, "epochs": case.epochs, "silence": 0.0}
    values = [{"learning_rate": 0.003, "strength": 0.01}, {"learning_rate": 0.017, "strength": 0.07}]
    lanes = [Lane(trial, fold, {**fixed, **one}) for trial, one in enumerate(values) for fold in range(3)]
    first = case.seed % len(lanes)  # cases take turns: what takes time is to compile, for every fold that differs
    return [lanes[first], lanes[first - 4]]


def compare(case: Case) -> Outcome:
    """Train a case with both engines."""
    problem, lanes = problem_of(case), lanes_of(case)
    try:
        engine = FusedEngine(problem, jobs_at_once=1)
        engine.plan()
    except CannotTrainError as error:
        return Outcome("refused", str(error))
    fused = _ends(engine, lanes)
    if notes := engine.take_notes():
        return Outcome("refused", "; ".join(notes))
    fit = _ends(FitEngine(problem), lanes)
    for (trial, fold), wanted in fit.items():
        if found := _difference(fused[trial, fold], wanted):
            other = _ends(FitEngine(problem_of(case, nudge=NUDGE)), lanes)[trial, fold]
            by_rounding = not _difference(fused[trial, fold], wanted, at_most=other)
            return Outcome("rounding" if by_rounding else "differs", f"trial {trial}, fold {fold}: {found}")
    failed = next((end for end in fit.values() if isinstance(end, LaneFailed)), None)
    return Outcome("failed alike", _text(failed)) if failed else Outcome("alike")


def _ends(engine: Engine, lanes: list[Lane]) -> Ends:
    events = engine.train(Bundle(0, tuple(lanes)), frozenset)
    ends: dict[tuple[int, int], LaneFinished | LaneFailed] = {}
    for event in events:
        if isinstance(event, LaneFinished):
            ends[event.trial, event.result.fold] = event
        elif isinstance(event, LaneFailed):
            ends[event.trial, event.fold] = event
    return ends


def _text(end: LaneFinished | LaneFailed) -> str:
    return end.failure.message if isinstance(end, LaneFailed) else "finished"


def _difference(
    fused: LaneFinished | LaneFailed,
    fit: LaneFinished | LaneFailed,
    at_most: LaneFinished | LaneFailed | None = None,
) -> str:
    """The curves that differ; with `at_most`, only those whose difference is 3 times as large as of `fit` from it."""
    if isinstance(fused, LaneFailed) or isinstance(fit, LaneFailed):
        both = isinstance(fused, LaneFailed) and isinstance(fit, LaneFailed) and fused.failure.kind == fit.failure.kind
        return "" if both else f"fused: {_text(fused)}; fit: {_text(fit)}"
    if fused.result.curves.keys() != fit.result.curves.keys():
        return f"curves {sorted(fused.result.curves)} and {sorted(fit.result.curves)}"
    worst = ""
    for name, values in fit.result.curves.items():
        mine, wanted = np.array(fused.result.curves[name]), np.array(values)
        allowed = TOLERANCE
        if isinstance(at_most, LaneFinished):
            allowed = max(allowed, 3 * _off(np.array(at_most.result.curves[name]), wanted))
        if not (np.isnan(mine) == np.isnan(wanted)).all() or _off(mine, wanted) > allowed:
            worst += f" {name} {mine.tolist()} instead of {wanted.tolist()}"
    return worst.strip()


def _off(one: Curve, wanted: Curve) -> float:
    scale = max(1.0, float(np.nanmax(np.abs(wanted), initial=0.0)))
    return float(np.nanmax(np.abs(one - wanted), initial=0.0)) / scale


def smaller(case: Case) -> Iterator[Case]:
    """The case with one part less, or a plainer one."""
    for name in ("odd", "blocks", "options", "metrics"):
        parts: tuple[Any, ...] = getattr(case, name)
        for place in range(len(parts)):
            yield replace(case, **{name: parts[:place] + parts[place + 1 :]})
    plain: dict[str, Any] = {
        "style": "functional", "rate": "fixed", "optimizer": ("SGD", 1), "loss": 0, "epochs": 1, "batch_size": 64,
    }  # fmt: skip
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield replace(case, **{name: value})


def minimal(case: Case) -> Case:
    """The smallest case found that still differs."""
    for one in smaller(case):
        if _kind(one) == "differs":
            return minimal(one)
    return case


def _kind(case: Case) -> str:
    try:
        return compare(case).kind
    except Exception:  # a case made smaller may be one that cannot be built
        return "error"


def written(case: Case) -> str:
    """Python that runs a case."""
    values = ", ".join(f"{one.name}={getattr(case, one.name)!r}" for one in fields(case))
    return (
        f"from tests.engines.fuzzed_models import Case\nfrom tests.engines.fuzzing import compare\n"
        f"print(compare(Case({values})))"
    )


def main(arguments: list[str]) -> int:
    """Run cases and print what came of them; returns 1 if one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.fuzzing")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the first case; the others follow")
    parser.add_argument("--keep", action="store_true", help="print a case that differs as it is, not made smaller")
    parser.add_argument("--verbose", action="store_true", help="print a line for every case")
    options = parser.parse_args(arguments)
    kinds, reasons, began = Counter[str](), Counter[str](), time.time()
    for number, seed in enumerate(range(options.seed, options.seed + options.cases), start=1):
        case = random_case(seed)
        outcome = compare(case)
        kinds[outcome.kind] += 1
        if outcome.kind == "refused":
            reasons[outcome.text] += 1
        if outcome.text or options.verbose:
            print(f"{seed}: {outcome.kind}: {outcome.text}".removesuffix(": "), flush=True)
        if outcome.kind == "differs":
            print(written(case if options.keep else minimal(case)), flush=True)
        if number % 5 == 0:
            release()
    total = sum(kinds.values())
    shares = ", ".join(f"{count} {kind} ({count / total:.0%})" for kind, count in kinds.most_common())
    print(f"{total} cases from seed {options.seed} in {time.time() - began:.0f} s: {shares}")
    return 1 if kinds["differs"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
