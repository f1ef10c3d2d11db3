"""How often `[search] stop = "auto"` stops a search too early, on tables of real trainings.

Studies of 40 trials are replayed, and the rule is asked as in a study. The rule as published (Makarova et al. 2022) is
asked beside it, with the constants of Optuna's Terminator. No seed is one that the rule's constants were chosen on.

    python -m benchmarks.stopping [--seeds 20] [--write docs/search-quality.md]
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.lookup_tables import RECIPES, LookupTable
from benchmarks.pages import put_as_measured
from benchmarks.search_quality import replayed
from benchmarks.transfer import file_of
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.first_trials import default_config, first_configs
from hpsearch.search.stopping import FEWEST, SHARE, StopRule
from hpsearch.search.suggesting import Suggester
from hpsearch.testing.synthetic import make_record
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.bayesian import STARTUP_TRIALS
from hpsearch.tuners.surrogate import Surrogate

TRIALS, FIRST_SEED = 40, 100


def study(table: LookupTable, tuner: str, algorithm: str, seed: int) -> StudyRecord:
    """A study of 40 trials, with a rule that may stop it."""
    spec = file_of(table)
    changes = {"tuner": tuner, "algorithm": algorithm, "trials": TRIALS, "stop": "auto"}
    spec = spec.model_copy(update={"search": spec.search.model_copy(update=changes), "seed": seed})
    schedule = Schedule(STARTUP_TRIALS, 4) if algorithm == "bayesian" else Schedule()
    record = make_record(spec, schedule=schedule)
    record = replace(record, facts=replace(record.facts, default=default_config(spec, table.space, {})))
    settings = TunerSettings(table.space, table.recipe.direction, seed)
    suggester = Suggester(tuner, algorithm, settings, first=first_configs(spec, record.facts))
    return replace(record, trials=replayed(table, suggester, schedule, TRIALS))


def as_hpsearch_stops(record: StudyRecord) -> int | None:
    """After how many trials hpsearch stops it; None if it does not."""
    rule = StopRule(record)
    return next((n for n in range(TRIALS) if rule.before(n, record.trials[:n], record.space)), None)


def as_published(record: StudyRecord) -> int | None:
    """After how many trials the rule of Makarova et al. stops it.

    The regret is bounded by the best that any config may be, less the worst that the best trial may be. The search ends
    once the bound is below the noise of the best trial's score over its folds.
    """
    surrogate = Surrogate(TunerSettings(record.space, record.objective.direction, record.spec.seed))
    schedule = record.facts.schedule
    ratio = record.facts.validation_ratio(record.objective.metric)
    for n in range(FEWEST, TRIALS):
        if schedule.known(n) // 4 == schedule.known(n - 1) // 4:
            continue
        known = record.trials[: schedule.known(n)]
        fitted = surrogate.fit(known)
        wide = np.sqrt(2 * np.log(len(record.space.searched()) * len(known) ** 2 * np.pi**2 / (6 * 0.1)) / 5)
        best = [known[i].config for i in np.argsort(-fitted.y)[:5]]
        mean, deviation = fitted.process.predict(surrogate.candidates(n, best)[1])
        mean_there, deviation_there = fitted.process.predict(fitted.process.x)
        bound = max((mean + wide * deviation).max(), (mean_there + wide * deviation_there).max())
        bound -= (mean_there - wide * deviation_there).max()
        folds = np.array(min(known, key=record.objective.rank_key).fold_scores)
        if bound * fitted.unit < np.sqrt((1 / len(folds) + ratio) * folds.var(ddof=1)):
            return n
    return None


def behind(table: LookupTable, trials: Sequence[Trial]) -> float:
    """How far the best trial is behind the best of the table, in standard errors."""
    sign = 1.0 if table.recipe.direction == "maximize" else -1.0
    return (sign * table.best - max(sign * (one.score or 0.0) for one in trials)) / table.standard_error


def row(table: LookupTable, name: str, records: Sequence[StudyRecord], stops: Sequence[int | None]) -> str:
    """A line of the table."""
    trained = [TRIALS if stop is None else stop for stop in stops]
    there = np.array([behind(table, record.trials[:n]) for record, n in zip(records, trained, strict=True)])
    whole = np.array([behind(table, record.trials) for record in records])
    stopped = np.array([stop is not None for stop in stops])
    early = int((stopped & (there > 1)).sum())
    return (
        f"| {table.name} | {name} | {stopped.sum()} of {len(stops)} | {np.mean(trained):.1f} | {there.mean():.2f} "
        f"| {whole.mean():.2f} | {(there - whole).max():.2f} | {early} | {(whole > 1).sum()} |"
    )


def lines(seeds: int) -> Iterator[str]:
    """The part of the page, line by line as it is measured."""
    yield from PAGE.format(seeds=seeds, first=FIRST_SEED, share=f"1/{round(1 / SHARE)}", fewest=FEWEST).splitlines()
    for name in RECIPES:
        table = LookupTable(name)
        for algorithm, rules in (
            (("hpsearch", "bayesian"), {"`auto`": as_hpsearch_stops, "as published": as_published}),
            (("optuna", "random"), {"`auto`, random configs": as_hpsearch_stops}),
        ):
            records = [study(table, *algorithm, FIRST_SEED + seed) for seed in range(seeds)]
            for rule, stop in rules.items():
                yield row(table, rule, records, [stop(record) for record in records])


PAGE = """Written by `python -m benchmarks.stopping --seeds {seeds} --write docs/search-quality.md`.

`[search] stop = "auto"` on the same tables: studies of 40 trials, with {seeds} seeds from {first}. The rule asks after
every fourth result from the {fewest}th whether the largest expected improvement is below {share} of the noise of a
score. That share was chosen on seeds 0 to 9 of the same tables, so it may fit these tables better than others.

"As published" is the rule of Makarova et al. (2022, "Automatic Termination for Hyperparameter Optimization") with the
constants of Optuna's Terminator and hpsearch's process: it compares a bound on the regret with the spread of the best
trial's folds, in which the difficulty of the folds counts as noise. Regret is the distance from the table's best in
standard errors of the table (over folds). "Too early" counts the studies that were stopped more than one standard error
behind the table's best; the last column counts those that are as far behind after all 40 trials.

| table | rule | stopped | trials trained | regret then | after 40 | largest loss | too early | after 40 |
|---|---|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Measure, and write the page's part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopping")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    put_as_measured(options.write, "stopping", lines(options.seeds))


if __name__ == "__main__":
    main()
