"""What it is worth to begin with another study (`[search] from`), on tables of real trainings.

A study of 40 trials on one table is the other study; a study on another table begins with it, or does not. Misleading
studies have their scores turned upside down, so that their best configs are their worst.

    python -m benchmarks.transfer [--seeds 20] [--write docs/search-quality.md]
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.lookup_tables import LookupTable
from benchmarks.pages import put_as_measured
from benchmarks.search_quality import replayed
from hpsearch.core.schedule import Schedule
from hpsearch.core.transfer import Transferred
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.first_trials import default_config, first_configs
from hpsearch.search.suggesting import Suggester
from hpsearch.search.transfer import take
from hpsearch.spec import SearchSection, StudySpec, parse_spec
from hpsearch.testing.synthetic import make_record
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.bayesian import STARTUP_TRIALS

THERE, HERE = 40, 20
"""Trials of the other study, and of the one that begins with it."""

PAIRS = (("digits", "fashion"), ("fashion", "digits"), ("california", "boston"), ("boston", "california"))

Other = Callable[[LookupTable, int], StudyRecord | None]
"""Table and seed → the other study."""


def file_of(table: LookupTable) -> StudySpec:
    """A study file that searches a table's space with hpsearch's defaults."""
    spec = parse_spec(table.recipe.study(table.name, "x", searched=True))
    return spec.model_copy(update={"search": SearchSection()})


def study(table: LookupTable, seed: int, trials: int, taken: Transferred | None = None) -> StudyRecord:
    """A finished study with hpsearch's defaults on a CPU."""
    spec = file_of(table)
    record = make_record(spec)
    facts = replace(record.facts, default=default_config(spec, table.space, {}), taken=taken)
    settings = TunerSettings(table.space, table.recipe.direction, seed, taken=facts.guide)
    suggester = Suggester("hpsearch", "bayesian", settings, first=first_configs(spec, facts))
    return replace(record, facts=facts, trials=replayed(table, suggester, Schedule(STARTUP_TRIALS, 4), trials))


def upside_down(record: StudyRecord) -> StudyRecord:
    """The same study, if the best of its configs were the worst."""
    scores = [one.score for one in record.trials if one.score is not None]
    ends = min(scores) + max(scores)
    trials = [one if one.score is None else replace(one, score=ends - one.score) for one in record.trials]
    return replace(record, trials=trials)


@dataclass(frozen=True)
class Measured:
    """How studies on a table went.

    Attributes:
        hit: Median number of the first trial within one standard error of the best; one more than all if none is.
        regrets: After 10 and 20 trials in standard errors of the table, and the standard error of each mean.
    """

    hit: float
    regrets: tuple[tuple[float, float], ...]


def measured(table: LookupTable, records: Sequence[StudyRecord]) -> Measured:
    """What the studies have reached."""
    sign = 1.0 if table.recipe.direction == "maximize" else -1.0
    scores = [[one.score or 0.0 for one in record.trials] for record in records]
    away = sign * (table.best - np.array([(row + [row[-1]] * HERE)[:HERE] for row in scores])) / table.standard_error
    best = np.minimum.accumulate(away, axis=1)
    hits = [int(np.argmax(row <= 1)) + 1 if row[-1] <= 1 else HERE + 1 for row in best]
    regrets = tuple(
        (float(best[:, n - 1].mean()), float(best[:, n - 1].std() / np.sqrt(len(records)))) for n in (10, HERE)
    )
    return Measured(float(np.median(hits)), regrets)


def lines(seeds: int) -> Iterator[str]:
    """The part of the page, line by line as it is measured."""
    yield from PAGE.format(seeds=seeds).splitlines()
    others: dict[str, list[StudyRecord]] = {}
    for there, here in PAIRS:
        table = LookupTable(here)
        spec = file_of(table)
        if there not in others:
            others[there] = [study(LookupTable(there), 1000 + seed, THERE) for seed in range(seeds)]
        rows: dict[str, list[Transferred | None]] = {
            "none": [None] * seeds,
            there: [take(one, spec, table.space) for one in others[there]],
            f"{there}, its configs only": [replace(take(one, spec, table.space), model=False) for one in others[there]],
            f"{there}, upside down": [take(upside_down(one), spec, table.space) for one in others[there]],
        }
        for name, taken in rows.items():
            found = measured(table, [study(table, seed, HERE, one) for seed, one in enumerate(taken)])
            cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in found.regrets]
            hit = f"{found.hit:g}" if found.hit <= HERE else f"more than {HERE}"
            yield f"| {here} | {name} | {hit} | {cells[0]} | {cells[1]} |"


PAGE = """Written by `python -m benchmarks.transfer --seeds {seeds} --write docs/search-quality.md`.

`[search] from` on the same tables, with {seeds} seeds: a study of 20 trials that begins with a finished study of 40
trials on another table. Both search with the defaults on a CPU. digits and fashion have the learning rate, the
optimizer, the units and the dropout in common; california and boston only the learning rate and the units. "Upside
down" is a study whose scores are turned round: its best configs are its worst, which no real study is likely to be.
Regret is in standard errors of the table (over folds); ± is the standard error of the mean over seeds.

What this does not say: two pairs of small networks on small data say little about other models, and nothing about
studies whose score has another scale of noise.

| study on | from | trials to the best, median | regret after 10 | after 20 |
|---|---|---:|---:|---:|"""


def main() -> None:
    """Measure, and write the page's part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    put_as_measured(options.write, "transfer", lines(options.seeds))


if __name__ == "__main__":
    main()
