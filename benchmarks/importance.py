"""Measures what importance says of studies whose truth is known: how often noise is shown, and how often effects are.

Each simulated study has a space of six hyperparameters, one of them conditional, and scores that are the truth plus
normal noise. Configs come from random search, from a *narrowing* search, which changes one of the best configs in half
of its trials and thereby makes hyperparameters depend on each other, and, with ``--tpe``, from Optuna's TPE.

- *noise*: nothing matters.
- *one causal*: the learning rate matters, and five others do not.
- *idle conditional*: the optimizer matters, and its momentum, which only SGD has, does not.
- *true conditional*: only the momentum matters, among the trials that have it.
- *interaction*: learning rate and units matter only together: both low or both high is good.

Beside hpsearch stands Optuna's PED-ANOVA (S. Watanabe et al., IJCAI 2023; its conditional form: KDD 2026), with a floor
made in the same way: the 95 % quantile of the largest importance over 60 permutations of the scores.

    python -m benchmarks.importance [--studies 200] [--first 0] [--tpe] [--write docs/trust-importance.md]
"""

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kept import keep
from hpsearch.analysis import ImportanceInfo, importance_info
from hpsearch.core.space import Choice, Config, Float, Int, Space, Value
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.testing.factories import make_record

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SIZES = (20, 40, 100)
SPACE = Space(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "units": Int(16, 512, log=True),
        "dropout": Float(0.0, 0.5),
        "optimizer": Choice(("sgd", "adam", "rmsprop")),
        "momentum": Float(0.0, 0.99, when={"optimizer": ("sgd",)}),
        "l2": Float(1e-6, 1e-2, log=True),
    }
)
PEER_PERMUTATIONS = 60
Found = frozenset[frozenset[str]]
"""What a method shows: hyperparameters, and pairs of them that act together."""


@dataclass(frozen=True)
class Truth:
    """A space with known truth.

    Attributes:
        score: The score of a config without noise; its noise has a standard deviation of 1.
        causal: What matters; two names for an interaction.
    """

    score: Callable[[Config], float]
    causal: frozenset[str]


def _depth(config: Config, name: str) -> float:
    """A value's place in its range, from 0 to 1."""
    parameter, value = SPACE[name], config[name]
    assert isinstance(parameter, Float | Int)
    assert not isinstance(value, str)
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)


def _together(config: Config) -> float:
    return 1.5 if (_depth(config, "learning_rate") > 0.5) == (_depth(config, "units") > 0.5) else -1.5


TRUTHS = {
    "noise": Truth(lambda _: 0.0, frozenset()),
    "one causal": Truth(lambda c: -12 * (_depth(c, "learning_rate") - 0.6) ** 2, frozenset({"learning_rate"})),
    "idle conditional": Truth(lambda c: 1.5 * (c["optimizer"] == "sgd"), frozenset({"optimizer"})),
    "true conditional": Truth(
        lambda c: 5 * (_depth(c, "momentum") - 0.5) if "momentum" in c else 0.0, frozenset({"momentum"})
    ),
    "interaction": Truth(_together, frozenset({"learning_rate", "units"})),
}


def at(parameter: Float | Int, depth: float) -> Value:
    """The value at a place in the range, from 0 to 1."""
    low, high = parameter.low, parameter.high
    value = low * (high / low) ** depth if parameter.log else low + depth * (high - low)
    return round(value) if isinstance(parameter, Int) else value


def random_config(rng: np.random.Generator) -> Config:
    """A config of random search."""
    config: dict[str, Value] = {}
    for name, one in SPACE.items():
        if not SPACE.is_active(name, config):
            continue
        if isinstance(one, Choice):
            config[name] = one.options[rng.integers(len(one.options))]
        elif isinstance(one, Float | Int):
            config[name] = at(one, rng.random())
    return config


def near(config: Config, rng: np.random.Generator) -> Config:
    """A config with the same choices, and every number moved by about a tenth of its range."""
    moved = dict(config)
    for name in config:
        one = SPACE[name]
        if isinstance(one, Float | Int):
            moved[name] = at(one, float(np.clip(_depth(config, name) + rng.normal(0, 0.1), 0, 1)))
    return moved


@cache
def trials_of(kind: str, sampler: str, seed: int) -> tuple[Trial, ...]:
    """The trials of the longest study; shorter ones are its beginnings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(seed)
    asked = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    done: list[Trial] = []
    for number in range(max(SIZES)):
        config = random_config(rng)
        if sampler == "narrowing" and number >= 10 and rng.random() < 0.5:
            ranked = sorted(done, key=lambda trial: -(trial.score or 0.0))
            config = near(ranked[rng.integers(1 + number // 10)].config, rng)
        elif sampler == "TPE":
            trial, config = asked.ask(), {}
            for name, distribution in distributions().items():
                if SPACE.is_active(name, config):
                    config[name] = trial._suggest(name, distribution)
        score = TRUTHS[kind].score(config) + rng.normal()
        if sampler == "TPE":
            asked.tell(trial, score)
        done.append(Trial(number, config, state=TrialState.COMPLETE, score=score))
    return tuple(done)


def study(kind: str, trials: int, *, sampler: str, seed: int) -> StudyRecord:
    """One simulated study."""
    record = make_record(trials_of(kind, sampler, seed)[:trials])
    return replace(record, space=SPACE, spec=record.spec.model_copy(update={"seed": seed}))


@cache
def distributions() -> dict[str, "BaseDistribution"]:
    """The space in Optuna's terms."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, one in SPACE.items():
        if isinstance(one, Choice):
            found[name] = CategoricalDistribution(one.options)
        elif isinstance(one, Float):
            found[name] = FloatDistribution(one.low, one.high, log=one.log)
        elif isinstance(one, Int):
            found[name] = IntDistribution(one.low, one.high, log=one.log)
    return found


def shown(info: ImportanceInfo) -> Found:
    """What hpsearch shows."""
    return frozenset(
        [*(frozenset({row.name}) for row in info.rows if row.told), *(frozenset(pair.names) for pair in info.pairs)]
    )


def peer(record: StudyRecord) -> Found:
    """What Optuna's PED-ANOVA shows above a floor from permuted scores."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    kinds = distributions()
    stored = optuna.create_study(direction="maximize")
    scores = [float(trial.score or 0.0) for trial in record.trials]
    stored.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(trial.config), distributions={n: kinds[n] for n in trial.config}, value=trial.score
            )
            for trial in record.trials
        ]
    )
    evaluator = PedAnovaImportanceEvaluator()
    rng = np.random.default_rng(record.spec.seed)

    def importances(values: Sequence[float]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return evaluator.evaluate(stored, target=lambda trial: -values[trial.number])

    floor = np.quantile(
        [max(importances(rng.permutation(scores).tolist()).values()) for _ in range(PEER_PERMUTATIONS)], 0.95
    )
    return frozenset(frozenset({name}) for name, value in importances(scores).items() if value > floor)


def tell(found: Found, causal: frozenset[str]) -> dict[str, float]:
    """Whether the truth is found, and whether anything else is shown."""
    return {
        "found": float(bool(causal) and causal in found),
        "wrong": float(any(not one & causal for one in found)),
    }


PEER = "Optuna's PED-ANOVA"


def measure(kind: str, sampler: str, studies: range, peers: int) -> list[dict[str, dict[str, float]]]:
    """For each of SIZES and each method, shares of studies.

    `studies` are their seeds. The peer takes long, so it judges only the first `peers` studies of random search with
    40 trials.
    """
    found = []
    for trials in SIZES:
        told: dict[str, list[dict[str, float]]] = {"hpsearch": [], PEER: []}
        for seed in studies:
            record = study(kind, trials, sampler=sampler, seed=seed)
            info = importance_info(record)
            names = [row.name for row in info.rows]
            above = kind == "idle conditional" and "momentum" in names[: names.index("optimizer")]
            told["hpsearch"].append({**tell(shown(info), TRUTHS[kind].causal), "idle above causal": float(above)})
            if (sampler, trials) == ("random", 40) and seed - studies.start < peers:
                told[PEER].append(tell(peer(record), TRUTHS[kind].causal))
        means = {
            n: {key: float(np.mean([o[key] for o in some])) for key in some[0]} for n, some in told.items() if some
        }
        print(kind, sampler, trials, means, flush=True)
        found.append(means)
    return found


def seconds(trials: int) -> float:
    """Time of the importance in a report of so many trials."""
    rng = np.random.default_rng(1)
    done = [random_config(rng) for _ in range(trials)]
    noisy = [TRUTHS["one causal"].score(config) + rng.normal() for config in done]
    record = make_record(
        tuple(
            Trial(n, config, state=TrialState.COMPLETE, score=score)
            for n, (config, score) in enumerate(zip(done, noisy, strict=True))
        )
    )
    record = replace(record, space=SPACE)
    importance_info(record)
    started = time.perf_counter()
    importance_info(record)
    return time.perf_counter() - started


HEAD = """\
# How far importance can be trusted

`python -m benchmarks.importance --write docs/trust-importance.md` writes this page.

The report and `hpsearch show` list what each hyperparameter explains of the variance of the scores' ranks, and what
chance alone reaches: the *floor*. What lies below its floor is grey and "cannot be told from chance".

- A hyperparameter explains what a smooth fit with two degrees of freedom explains (a smoothing spline over its ranks:
  Wahba 1990), less what the same fit explains of permuted scores on average. Shares need not sum to 100%.
- A conditional hyperparameter is judged among the trials that have it. Nothing is filled in for the others.
- The floor comes from {permutations} permutations of the scores (Altmann et al. 2010), and holds for all
  hyperparameters together (Westfall & Young 1993): in 3% of all studies of pure noise, the largest share exceeds its
  floor; in another 1%, a pair does. That is exact for random search. A search that follows its scores may add to it.
- A search moves all hyperparameters at once, so they depend on each other. The clearest effect is taken out first, and
  the others are judged on what it leaves (Freedman & Lane 1983).
- Pairs are listed where two hyperparameters explain more together than each by itself.

What it does not cover:

- It says what mattered among the trials of this study, not over the whole space. A search that soon stays near the
  optimum leaves little to explain, so less is found than by random search.
- Only complete trials count: pruned and diverged ones have no score to rank.
- Two hyperparameters that always move together cannot be told apart; the clearer one takes the share of both.
- Where only a pair matters, a search that stays near good configs makes other hyperparameters look as if they
  mattered, because single ones are judged before pairs.
- "Act together" refers to ranks: two strong effects that simply add up can look like a pair.

## Measured

{studies} simulated studies in each row. The noise of a score has the standard deviation 1; `benchmarks/importance.py`
has the spaces. The *narrowing* search changes one of the best configs in half of its trials, so that hyperparameters
depend on each other. *Found* is the share of studies in which what matters is above its floor; *wrong*, that in which
anything else is. *PED-ANOVA* is Optuna's (Watanabe et al. 2023, conditional form 2026), which looks at one
hyperparameter at a time, with a floor made in the same way, on the first {peers} of the studies: found / wrong.

The target for pure noise is a *wrong* of at most 5%, pairs included. The rows have a standard error of 1.5%, so those
near 5% cannot be told from it. The narrowing search with 40 trials misses it here, by chance: with 400 other studies
per row (`--studies 400 --first 1000 --truths noise`), *wrong* was 4.3, 6.0 and 3.5% for random search with 20, 40 and
100 trials, and 4.5, 3.0 and 4.5% for the narrowing one, with a standard error of 1.1%.

In *true conditional*, a narrowing search makes the optimizer matter, too: it tunes the momentum of SGD, and SGD thereby
becomes the better optimizer. The table counts that as wrong.

"""


def page(rows: Sequence[Sequence[str]], *, studies: int, peers: int, time_200: float, above: float) -> str:
    """The page in Markdown."""
    from hpsearch.analysis.chance import PERMUTATIONS

    header = ("truth", "search", "trials", "found", "wrong", "PED-ANOVA")
    lines = [HEAD.format(studies=studies, peers=peers, permutations=PERMUTATIONS) + "| " + " | ".join(header) + " |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines.append("")
    lines.append(f"The idle conditional stood above the hyperparameter that matters in {above:.1%} of its studies.")
    lines.append(f"The importance of a study of 200 trials took {time_200:.2f} s.")
    return "\n".join(lines) + "\n"


def _case(case: tuple[str, str], *, studies: range, peers: int) -> list[dict[str, dict[str, float]]]:
    return measure(*case, studies, peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first study; the others follow")
    parser.add_argument("--truths", nargs="*", choices=tuple(TRUTHS), default=tuple(TRUTHS))
    parser.add_argument("--peers", type=int, default=30, help="how many of them Optuna's PED-ANOVA judges, too")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--tpe", action="store_true", help="also search with Optuna's TPE; takes an hour")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file, in Markdown")
    args = parser.parse_args()
    rows, stored, above = [], {}, []
    searches = ("random", "narrowing", *(["TPE"] if args.tpe else []))
    cases = list(itertools.product(args.truths, searches))
    with ProcessPoolExecutor(args.jobs) as pool:
        seeds = range(args.first, args.first + args.studies)
        done = list(pool.map(partial(_case, studies=seeds, peers=args.peers), cases))
    for (kind, sampler), sizes in zip(cases, done, strict=True):
        for trials, got in zip(SIZES, sizes, strict=True):
            stored[f"{kind}, {sampler}, {trials}"] = got
            our, other = got["hpsearch"], got.get(PEER)
            if kind == "idle conditional":
                above.append(our["idle above causal"])
            found, beside = "–", "–" if other is None else f"– / {other['wrong']:.0%}"
            if TRUTHS[kind].causal:
                found = f"{our['found']:.0%}"
                beside = beside if other is None else f"{other['found']:.0%} / {other['wrong']:.0%}"
            rows.append((kind, sampler, str(trials), found, f"{our['wrong']:.1%}", beside))
    time_200 = seconds(200)
    print(f"200 trials: {time_200:.2f} s")
    keep("importance", key="studies", value={"settings": {"studies": args.studies}, "table": stored})
    if args.write:
        text = page(rows, studies=args.studies, peers=args.peers, time_200=time_200, above=float(np.mean(above)))
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
