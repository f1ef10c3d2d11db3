"""How many trials a search needs, on tables of real trainings (`benchmarks.lookup_tables`).

Searches know results as they do in a study: by its schedule. Peers are called as their documentation says, one trial
after the other, on the same space. A trial's score is its mean over five folds.

    python -m benchmarks.search_quality [--seeds 50] [--write docs/search-quality.md]
"""

import argparse
import contextlib
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.lookup_tables import RECIPES, LookupTable
from benchmarks.pages import put
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Choice, Config, Constant, Float, Int, Parameter, Value
from hpsearch.core.trial import Trial, TrialState
from hpsearch.search.first_trials import default_config, nearest
from hpsearch.search.suggesting import Suggester
from hpsearch.spec import parse_spec
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.bayesian import STARTUP_TRIALS

if TYPE_CHECKING:
    import keras_tuner
    import optuna

TRIALS = 40

Search = Callable[[LookupTable, int], list[float]]
"""Table and seed → the scores of its trials, in order."""


def hpsearch_study(tuner: str, algorithm: str, schedule: Schedule, *, begins_with_default: bool = True) -> Search:
    """A study of hpsearch with this schedule."""

    def search(table: LookupTable, seed: int) -> list[float]:
        settings = TunerSettings(table.space, table.recipe.direction, seed)
        spec = parse_spec(table.recipe.study(table.name, "x", searched=True))
        first = [default_config(spec, table.space, {})] if begins_with_default else []
        trials = replayed(table, Suggester(tuner, algorithm, settings, first=first), schedule)
        return [float(one.score or 0.0) for one in trials]

    return search


def replayed(table: LookupTable, suggester: Suggester, schedule: Schedule, count: int = TRIALS) -> list[Trial]:
    """The trials of a study on a table."""
    trials: list[Trial] = []
    for number in range(count):
        known = schedule.known(number)
        found = suggester.suggest([one if one.number < known else Trial(one.number, one.config) for one in trials])
        if found is None:
            break
        folds = tuple(map(float, table.scores(found.config)))
        score = float(np.mean(folds))
        trials.append(Trial(number, found.config, state=TrialState.COMPLETE, score=score, fold_scores=folds))
    suggester.close()
    return trials


def optuna_by_hand(table: LookupTable, seed: int) -> list[float]:
    """Optuna's default sampler with ask and tell, conditions by `if`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=table.recipe.direction, sampler=optuna.samplers.TPESampler(seed=seed))
    scores = []
    for _ in range(TRIALS):
        trial = study.ask()
        config: dict[str, Value] = {}
        for name, one in table.space.items():
            if table.space.is_active(name, config):
                config[name] = _suggested(trial, name, one)
        scores.append(float(table.scores(config).mean()))
        study.tell(trial, scores[-1])
    return scores


def _suggested(trial: "optuna.Trial", name: str, one: Parameter) -> Value:
    match one:
        case Constant():
            return one.value
        case Choice():
            return one.options[trial.suggest_categorical(name, range(len(one.options)))]
        case Float():
            return trial.suggest_float(name, one.low, one.high, log=one.log)
        case Int():
            return trial.suggest_int(name, one.low, one.high, log=one.log)


def keras_tuner_by_hand(table: LookupTable, seed: int) -> list[float]:
    """KerasTuner's Bayesian oracle, one trial after the other; it repeats no config."""
    import keras_tuner
    from keras_tuner.oracles import BayesianOptimizationOracle

    hp = keras_tuner.HyperParameters()
    for name, one in table.space.items():
        _declare(hp, name, one)
    direction = table.recipe.direction[:3]
    oracle = BayesianOptimizationOracle(
        objective=keras_tuner.Objective("score", direction), max_trials=TRIALS, seed=seed, hyperparameters=hp
    )
    scores: list[float] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        oracle._set_project_dir(folder, "oracle")
        _let_oracle_search(oracle, table, scores)
    return scores


def _let_oracle_search(oracle: Any, table: LookupTable, scores: list[float]) -> None:
    from keras_tuner.engine import trial as trial_module

    while len(scores) < TRIALS:
        trial = oracle.create_trial("tuner0")
        if trial.status == trial_module.TrialStatus.STOPPED:
            break
        values: Config = trial.hyperparameters.values
        config = {name: values[name] for name in table.space if name in values}
        config = {name: nearest(table.space[name], value) for name, value in config.items()}
        active: dict[str, Value] = {}
        for name in table.space:
            if table.space.is_active(name, active):
                active[name] = config[name]
        scores.append(float(table.scores(active).mean()))
        oracle.update_trial(trial.trial_id, {"score": scores[-1]})
        trial.status = trial_module.TrialStatus.COMPLETED
        oracle.end_trial(trial)


def _declare(hp: "keras_tuner.HyperParameters", name: str, one: Parameter) -> None:
    match one:
        case Constant():
            hp.Fixed(name, one.value)
        case Choice():
            hp.Choice(name, list(one.options))
        case Float():
            hp.Float(name, one.low, one.high, sampling="log" if one.log else "linear")
        case Int():
            hp.Int(name, one.low, one.high)


SEARCHES: dict[str, Search] = {
    "**hpsearch, default on a CPU**": hpsearch_study("hpsearch", "bayesian", Schedule(STARTUP_TRIALS, 4)),
    "**hpsearch, default on a GPU**": hpsearch_study("hpsearch", "bayesian", Schedule(STARTUP_TRIALS, 8)),
    "the same, one trial at a time": hpsearch_study("hpsearch", "bayesian", Schedule(STARTUP_TRIALS, 1)),
    "the same, not beginning with the default": hpsearch_study(
        "hpsearch", "bayesian", Schedule(STARTUP_TRIALS, 4), begins_with_default=False
    ),
    "hpsearch, `tpe`": hpsearch_study("optuna", "tpe", Schedule(10, 4)),
    "Optuna TPE by hand": optuna_by_hand,
    "KerasTuner Bayesian": keras_tuner_by_hand,
    "random": hpsearch_study("optuna", "random", Schedule(), begins_with_default=False),
}


@dataclass(frozen=True)
class Quality:
    """How well a search did on a table, over all seeds.

    Attributes:
        hit: Median number of the first trial within one standard error of the best; one more than all if none is.
        regrets: Mean distance of the best score so far from the table's best after 10, 20 and 40 trials, and the
            standard error of each mean.
    """

    hit: float
    regrets: tuple[tuple[float, float], ...]


def quality(table: LookupTable, runs: Sequence[list[float]]) -> Quality:
    """What some searches of a table have reached."""
    sign = 1.0 if table.recipe.direction == "maximize" else -1.0
    away = np.array([[sign * (table.best - score) for score in (run + [run[-1]] * TRIALS)[:TRIALS]] for run in runs])
    best = np.minimum.accumulate(away, axis=1)
    hits = [int(np.argmax(row <= table.standard_error)) + 1 if row[-1] <= table.standard_error else TRIALS + 1
            for row in best]  # fmt: skip
    regrets = tuple(
        (float(best[:, n - 1].mean()), float(best[:, n - 1].std() / np.sqrt(len(runs)))) for n in (10, 20, 40)
    )
    return Quality(float(np.median(hits)), regrets)


def measured(table: LookupTable, seeds: int, searches: Sequence[str]) -> dict[str, Quality]:
    """How well each search does on a table."""
    found = {}
    for search in searches:
        began = time.perf_counter()
        count = min(seeds, 20) if search == "KerasTuner Bayesian" else seeds
        found[search] = quality(table, [SEARCHES[search](table, seed) for seed in range(count)])
        print(f"{table.name}: {search}: {found[search]} in {time.perf_counter() - began:.0f} s", flush=True)
    return found


def section(table: LookupTable, found: Mapping[str, Quality]) -> str:
    """The part of the page about one table."""
    blind = found.get("random")
    lines = [
        f"### {table.name}",
        "",
        f"`{table.recipe.source}`, {table.recipe.metric}, {len(table.means)} configs × 5 folds. Best "
        f"{table.best:.4g}; one standard error is {table.standard_error:.2g}.",
        "",
        "| search | trials to the best, median | of random's | regret after 10 | after 20 | of random's | after 40 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for search, one in found.items():
        shares = ("", "") if blind is None else (f"{one.hit / blind.hit:.2f}", _share(one, blind))
        cells = [f"{mean:.4f} ± {error:.4f}" for mean, error in one.regrets]
        lines.append(f"| {search} | {one.hit:g} | {shares[0]} | {cells[0]} | {cells[1]} | {shares[1]} | {cells[2]} |")
    return "\n".join(lines) + "\n"


def _share(one: Quality, blind: Quality) -> str:
    return f"{one.regrets[1][0] / blind.regrets[1][0]:.2f}" if blind.regrets[1][0] else ""


PAGE = """Written by `python -m benchmarks.search_quality --seeds {seeds} --write docs/search-quality.md`.{missing}

Each table holds the scores of all configs of a grid: real trainings on five folds, by `python -m
benchmarks.lookup_tables`. A search is replayed on it with {seeds} seeds (KerasTuner, which is slow: 20). Ranges of the
space are real ranges; scores between two nodes of the grid are interpolated. "Trials to the best" counts the trials
until one is within one standard error (over folds) of the grid's best. Regret is how far the best score so far is from
the grid's best; ± is the standard error of the mean over seeds.

hpsearch knows results as in a study: the first {startup} trials know none, and then each batch of 4 (on a GPU 8) knows
all before it. The peers train one trial after the other, so they know more for every suggestion.

What this does not say: the tables are small networks on small data, with two to six hyperparameters. Where a table's
best config lies at the documented default, beginning with the default is an advantage that another model need not have;
a row without it shows how large it is.

{sections}"""


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_quality")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--tables", nargs="*", default=list(RECIPES))
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    sections: dict[str, str] = {}
    for name in options.tables:  # after each of them, so that a run that is stopped leaves what it has measured
        table = LookupTable(name)
        sections[name] = section(table, measured(table, options.seeds, options.searches))
        if options.write:
            put(options.write, "searches", _page(options.seeds, sections, options.searches).splitlines())


def _page(seeds: int, sections: Mapping[str, str], searches: Sequence[str]) -> str:
    lacking = [f"the table {name}" for name in RECIPES if name not in sections]
    lacking += [f"the search {name.strip('*')}" for name in SEARCHES if name not in searches]
    missing = f" Not measured: {', '.join(lacking)}." if lacking else ""
    return PAGE.format(seeds=seeds, startup=STARTUP_TRIALS, sections="\n".join(sections.values()), missing=missing)


if __name__ == "__main__":
    main()
