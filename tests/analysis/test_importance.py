"""Importance on studies whose truth is known: noise stays below its floor, effects rise above theirs."""

import math
import random
from dataclasses import replace

import pytest

from hpsearch import analysis
from hpsearch.core.space import Choice, Float, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.factories import make_record

FIVE = {f"x{i}": Float(0.0, 1.0) for i in range(5)}


def scored(space, count, score, *, seed=0):
    """A study of random configs whose scores are the truth plus normal noise of standard deviation 1."""
    rng = random.Random(seed)
    trials = []
    for number in range(count):
        config = {}
        for name, one in space.items():
            if space.is_active(name, config):
                config[name] = rng.choice(one.options) if isinstance(one, Choice) else rng.uniform(one.low, one.high)
        trials.append(Trial(number, config, state=TrialState.COMPLETE, score=score(config) + rng.gauss(0, 1)))
    record = make_record(tuple(trials))
    return replace(record, space=space, spec=record.spec.model_copy(update={"seed": seed}))


def told(record):
    info = analysis.importance_info(record)
    return {row.name for row in info.rows if row.told} | {pair.label for pair in info.pairs}


def test_pure_noise_stays_below_the_floor():
    """Promised: at most 5 % of studies show anything. More than 12 of 100 have odds below 0.2 % under the promise."""
    shown = [told(scored(Space(FIVE), 30, lambda config: 0.0, seed=seed)) for seed in range(100)]
    assert sum(map(bool, shown)) <= 12


def test_one_causal_hyperparameter_is_told_from_five_of_noise():
    space = Space({"lr": Float(0.0, 1.0), **FIVE})
    shown = [told(scored(space, 60, lambda config: -20 * (config["lr"] - 0.5) ** 2, seed=seed)) for seed in range(20)]
    assert sum("lr" in one for one in shown) >= 19
    assert sum(bool(one - {"lr"}) for one in shown) <= 4


def test_a_conditional_one_without_effect_never_stands_above_its_cause():
    space = Space({"kind": Choice(("a", "b", "c")), **FIVE, "inner": Float(0.0, 1.0, when={"kind": ("a",)})})
    for seed in range(20):
        record = scored(space, 40, lambda config: 2.5 * (config["kind"] == "a"), seed=seed)
        info = analysis.importance_info(record)
        names = [row.name for row in info.rows]
        assert names.index("kind") < names.index("inner")
        inner = info.rows[names.index("inner")]
        assert inner.conditional
        assert inner.trials == sum("inner" in trial.config for trial in record.trials)


def test_a_conditional_one_with_effect_is_told_and_nothing_is_filled_in():
    space = Space({"kind": Choice(("a", "b")), **FIVE, "inner": Float(0.0, 1.0, when={"kind": ("a",)})})
    record = scored(space, 80, lambda config: 6 * (config["inner"] - 0.5) if "inner" in config else 0.0)
    assert analysis.importance_info(record).rows[0].name == "inner"
    moved = replace(record, space=Space({**space, "inner": Float(-9.0, 99.0, when={"kind": ("a",)})}))
    assert analysis.importance_info(moved).rows == analysis.importance_info(record).rows, "its range has no say"


def test_an_interaction_is_a_pair_and_the_contour_shows_it():
    record = scored(Space(FIVE), 100, lambda c: 2.0 if (c["x1"] > 0.5) == (c["x3"] > 0.5) else -2.0)
    info = analysis.importance_info(record)
    assert [set(pair.names) for pair in info.pairs] == [{"x1", "x3"}]
    assert "act together" in info.sentence
    contour = analysis.contour_info(record, importance=info)
    assert {contour.x.name, contour.y.name} == {"x1", "x3"}


def test_a_search_that_moves_all_at_once_does_not_make_noise_matter():
    """Half of the trials are near one config, where one hyperparameter is good, as the later ones of a search are."""
    wrong = 0
    for seed in range(20):
        record, rng = scored(Space(FIVE), 60, lambda config: 0.0, seed=seed), random.Random(seed)
        trials = []
        for trial in record.trials:
            near = trial.number >= 30
            config = {n: 0.7 + 0.1 * (value - 0.5) if near else value for n, value in trial.config.items()}
            score = -12 * (config["x0"] - 0.7) ** 2 + rng.gauss(0, 1)
            trials.append(replace(trial, config=config, score=score))
        wrong += bool(told(replace(record, trials=tuple(trials))) - {"x0"})
    assert wrong <= 4


def test_failed_runs_and_other_units_change_nothing():
    record = scored(Space(FIVE), 40, lambda config: 6 * config["x0"])
    bad = min(record.trials, key=lambda trial: trial.score)
    odd = [replace(t, score=-1e9 if t is bad else 3 * t.score + 7) for t in record.trials]
    assert analysis.importance_info(replace(record, trials=tuple(odd))) == analysis.importance_info(record)


@pytest.mark.parametrize("count", [8, 9, 12])
def test_few_trials_many_levels_and_rare_conditions_give_no_false_certainty(count):
    space = Space(
        {
            "kind": Choice(tuple(f"level {i}" for i in range(30))),
            "inner": Float(0.0, 1.0, when={"kind": ("level 1",)}),
            **{f"x{i}": Float(0.0, 1.0) for i in range(40)},
        }
    )
    info = analysis.importance_info(scored(space, count, lambda config: 0.0))
    assert all(math.isfinite(row.share) and (row.floor is None or math.isfinite(row.floor)) for row in info.rows)
    assert sum(row.told for row in info.rows) <= 1
