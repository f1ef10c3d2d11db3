"""Which kind of champion predicts best, and how often the winner of a search is worse than the default config.

Ten data sets, each with three seeds, with real training: 12 trials on 5 folds of at most 1,000 rows, all kinds of
``[champion]`` trained and tested on rows that the search never sees. The default config is trial 0 of every search; it
is refitted and tested in the same way as the winner.

    python -m benchmarks.champions [--seeds 3] [--write docs/search.md]

Data sets of Keras are read from its cache (KERAS_HOME); those that are missing there are left out.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

from benchmarks.null_control import searched
from benchmarks.pages import put_as_measured
from hpsearch.core.trial import Trial
from hpsearch.errors import DataError
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker

TRIALS, TOP = 12, 5
KINDS = ("refit", "folds", f"top-{TOP}")

SOURCES: Mapping[str, tuple[str, str]] = {
    "iris": ('source = "sklearn:iris"', "accuracy"),
    "wine": ('source = "sklearn:wine"', "accuracy"),
    "breast cancer": ('source = "sklearn:breast_cancer"', "accuracy"),
    "digits": ('source = "sklearn:digits"', "accuracy"),
    "diabetes": ('source = "sklearn:diabetes"', "mae"),
    "boston": ('source = "keras:boston_housing"', "mae"),
    "california": ('source = "keras:california_housing"\noptions = { unit = 100000.0 }', "mae"),
    "mnist": ('source = "keras:mnist"', "accuracy"),
    "fashion": ('source = "keras:fashion_mnist"', "accuracy"),
    "imdb": ('source = "keras:imdb"\noptions = { words = 1000 }', "accuracy"),
}
"""Data set → keys of ``[data]``, and the metric. Where a set has no test part of its own, half of it is one."""

STUDY = """
name = "{name}"
seed = {seed}
[data]
{source}
{half}
max_rows = 1000
[validation]
folds = 5
[model]
family = "mlp"
[space]
learning_rate = {{ low = 0.001, high = 0.04, log = true }}
batch_size = [32, 64]
epochs = 12
units = [16, 32, 64]
dropout = {{ low = 0.0, high = 0.5 }}
optimizer = ["sgd", "adam", "rmsprop"]
[objective]
metric = "val_{metric}"
direction = "{direction}"
[search]
trials = {trials}
[resources]
executor = "inline"
[tracking]
ledger = "sqlite:///{folder}/ledger.db"
predictions = "none"
[champion]
kind = "top-{top}"
compare = true
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Test scores of one study.

    Attributes:
        kinds: Kind → score.
        default: Of the default config, refitted.
        is_default: Whether the default is the winner.
    """

    kinds: Mapping[str, float]
    default: float
    is_default: bool


def study(name: str, seed: int, folder: Path) -> StudySpec:
    source, metric = SOURCES[name]
    half = "test_fraction = 0.5" if "sklearn" in source else ""
    direction = "minimize" if metric == "mae" else "maximize"
    text = STUDY.format(
        name=f"{name} {seed}",
        seed=seed,
        source=source,
        half=half,
        metric=metric,
        direction=direction,
        trials=TRIALS,
        top=TOP,
        folder=folder,
    )
    return parse_spec(text, folder=folder)


def outcome(name: str, seed: int, folder: Path) -> Outcome:
    spec, metric = study(name, seed, folder), SOURCES[name][1]
    record = searched(spec)
    winners = RefitOrder(tuple(map(_to_refit, record.ranked[:TOP])), folder / "winner")
    kinds = Worker(spec).refit(winners).compared
    default = record.trials[0]
    is_default = default.number == record.ranked[0].number
    one = spec.model_copy(update={"champion": spec.champion.model_copy(update={"kind": "refit", "compare": False})})
    alone = Worker(one).refit(RefitOrder((_to_refit(default),), folder / "default")).test[metric]
    return Outcome({kind: kinds[kind][metric] for kind in KINDS}, alone, is_default)


def _to_refit(trial: Trial) -> ToRefit:
    return ToRefit(trial.number, dict(trial.config), trial.epoch or 1)


def table(seeds: int) -> Iterator[str]:
    """In Markdown, line by line."""
    yield (
        f"Test scores, means over {seeds} seeds, each with other rows: accuracy, or the mean absolute error. "
        "*Worse* counts the studies in which the winner, refitted, tests worse than the default config."
    )
    yield ""
    yield f"| data | {' | '.join(KINDS)} | default config | winner is the default | worse |"
    yield f"|---|{'---:|' * (len(KINDS) + 3)}"
    every: list[tuple[str, Outcome]] = []
    for name in SOURCES:
        found = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found.append(outcome(name, seed, Path(folder)))
                except DataError as error:
                    print(f"{name} is left out: {error.what}")
                    break
        if len(found) < seeds:
            continue
        means = [np.mean([one.kinds[kind] for one in found]) for kind in KINDS]
        default, same = np.mean([one.default for one in found]), sum(one.is_default for one in found)
        worse = sum(_gain(name, one.kinds["refit"], one.default) < 0 for one in found if not one.is_default)
        shown = " | ".join(f"{value:.4f}" for value in (*means, default))
        yield f"| {name} ({SOURCES[name][1]}) | {shown} | {same} of {seeds} | {worse} of {seeds - same} |"
        every += [(name, one) for one in found]
    yield ""
    yield from summary(every)


def summary(every: list[tuple[str, Outcome]]) -> Iterator[str]:
    """How the kinds compare over all studies."""
    for kind in KINDS[1:]:
        gains = [_gain(name, one.kinds[kind], one.kinds["refit"]) for name, one in every]
        better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        yield (
            f"`{kind}` tests better than `refit` in {better} of {len(every)} studies and worse in {worse}; its error "
            f"is {np.mean(gains):.1%} ± {error:.1%} lower on average (standard error over studies)."
        )
        yield ""
    searched_on = [(name, one) for name, one in every if not one.is_default]
    gains = [_gain(name, one.kinds["refit"], one.default) for name, one in searched_on]
    yield (
        f"In {len(every) - len(searched_on)} of {len(every)} studies the default config wins. Of the other "
        f"{len(gains)} winners, {sum(gain < 0 for gain in gains)} test worse than the default; their error is "
        f"{np.mean(gains):.1%} lower on average."
    )


def _gain(name: str, score: float, other: float) -> float:
    """By what share the error of `score` is lower than that of `other`."""
    if SOURCES[name][1] == "accuracy":
        score, other = 1 - score, 1 - other
    return (other - score) / max(other, score, 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as programs:  # most models are built like an earlier one
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", programs)
        put_as_measured(args.write, "champions", table(args.seeds))


if __name__ == "__main__":
    main()
