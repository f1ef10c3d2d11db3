"""What tuners learn from trials that break a limit."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.space import Config, Float, Int, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts import TUNER_RULES, TunerCase
from hpsearch.tuners import TunerSettings, make_tuner
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.gaussian_process import GaussianProcess
from hpsearch.tuners.keras_tuner import Oracle, OracleProcess
from hpsearch.tuners.optuna import Mirror
from hpsearch.tuners.surrogate import Fitted

SPACE = Space({"units": Int(1, 400), "rate": Float(0.001, 1.0, log=True)})
SIZE = Constraints.of({"parameters": 100.0}, {})
AND_RECALL = Constraints.of({"parameters": 100.0}, {"val_recall": 0.5})


def run(pair: tuple[str, str], constraints: Constraints, judge: Callable[[int, Config], Trial], n: int) -> list[Trial]:
    """A study of `n` trials whose results are given at once."""
    tuner = make_tuner(*pair, TunerSettings(SPACE, "maximize", 5, 6, constraints=constraints))
    history: list[Trial] = []
    try:
        for number in range(n):
            config = tuner.suggest(history)
            assert config is not None
            history.append(judge(number, config))
    finally:
        tuner.close()
    return history


def larger_is_better(number: int, config: Config) -> Trial:
    """A model that is larger scores better, and is not trained if it is too large."""
    units = float(config["units"])
    measured = {"parameters": units}
    if units > 100:
        return Trial(number, config, TrialState.INFEASIBLE, measured=measured)
    score = units / 400 - abs(math.log10(float(config["rate"])) + 2) / 10
    return Trial(number, config, TrialState.COMPLETE, score=score, epoch=1, measured=measured)


def trained_in_any_case(number: int, config: Config) -> Trial:
    """The same, but what breaks the limit is known after training only."""
    units = float(config["units"])
    recall = 1.0 - units / 200  # 0.5 at 100 units
    score = units / 400 - abs(math.log10(float(config["rate"])) + 2) / 10
    state = TrialState.INFEASIBLE if recall < 0.5 else TrialState.COMPLETE
    return Trial(number, config, state, score=score, epoch=1, measured={"val_recall": recall})


PAIRS = [("hpsearch", "bayesian"), ("optuna", "tpe")]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("trained", [False, True])
def test_a_sampler_that_is_told_stays_within_the_limit_and_one_that_is_not_does_not(
    pair: tuple[str, str], trained: bool
) -> None:
    judge = trained_in_any_case if trained else larger_is_better
    limits = Constraints.of({}, {"val_recall": 0.5}) if trained else SIZE
    told = run(pair, limits, judge, 40)[20:]
    kept = sum(trial.state is TrialState.COMPLETE for trial in told)
    # A quarter of the space keeps it, and the best score is just at the limit. TPE goes beyond it more often.
    assert kept >= {"bayesian": 13, "tpe": 8}[pair[1]], f"{kept} of 20 trials keep the limit"
    blind = run(
        pair, NO_CONSTRAINTS, lambda n, config: Trial(n, config, TrialState.COMPLETE, float(config["units"])), 40
    )
    assert sum(float(trial.config["units"]) <= 100 for trial in blind[20:]) <= kept / 2


def test_bayesian_finds_the_best_trial_within_the_limit() -> None:
    found = [one for one in run(("hpsearch", "bayesian"), SIZE, larger_is_better, 40) if one.score is not None]
    best = max(found, key=lambda trial: trial.score)
    assert 80 <= float(best.config["units"]) <= 100
    assert best.score > 0.2


def test_bayesian_looks_for_the_limit_while_nothing_keeps_it() -> None:
    """All of the design is too large: only the process on the limit says where to look."""
    tight = Constraints.of({"parameters": 3.0}, {})

    def judge(number: int, config: Config) -> Trial:
        measured = {"parameters": float(config["units"])}
        if measured["parameters"] > 3:
            return Trial(number, config, TrialState.INFEASIBLE, measured=measured)
        return Trial(number, config, TrialState.COMPLETE, score=1.0, epoch=1, measured=measured)

    history = run(("hpsearch", "bayesian"), tight, judge, 16)
    assert all(trial.state is TrialState.INFEASIBLE for trial in history[:6])
    assert any(trial.state is TrialState.COMPLETE for trial in history[6:])


def test_without_limits_a_sequence_is_what_it_was() -> None:
    def complete(number: int, config: Config) -> Trial:
        return Trial(number, config, TrialState.COMPLETE, score=float(config["units"]), epoch=1)

    one = run(("hpsearch", "bayesian"), NO_CONSTRAINTS, complete, 12)
    # A limit that all trials keep by far changes merits by next to nothing.
    assert one[:6] == run(("hpsearch", "bayesian"), SIZE, complete, 12)[:6]


@pytest.mark.parametrize("pair", [*PAIRS, ("optuna", "cmaes")], ids="-".join)
@pytest.mark.parametrize("rule", TUNER_RULES, ids=lambda rule: rule.__name__)
def test_tuners_with_limits_keep_the_contract(pair: tuple[str, str], rule: Callable[[TunerCase], None]) -> None:
    def make(settings: TunerSettings):
        return make_tuner(*pair, TunerSettings(settings.space, settings.direction, settings.seed,
                                               settings.startup_trials, constraints=AND_RECALL))  # fmt: skip

    rule(TunerCase(make))


def test_a_rebuilt_tuner_suggests_the_same_after_trials_that_break_limits() -> None:
    history = run(("hpsearch", "bayesian"), SIZE, larger_is_better, 14)
    for pair in PAIRS:
        kept = make_tuner(*pair, TunerSettings(SPACE, "maximize", 5, 6, constraints=SIZE))
        for number in range(len(history)):
            kept_says = kept.suggest(history[:number])
        anew = make_tuner(*pair, TunerSettings(SPACE, "maximize", 5, 6, constraints=SIZE))
        assert anew.suggest(history[:-1]) == kept_says


def test_keras_tuner_is_told_nothing_of_a_trial_that_breaks_a_limit() -> None:
    settings = TunerSettings(SPACE, "maximize", 5, constraints=SIZE)
    oracle = Oracle("bayesian", settings, OracleProcess(), lambda: None)
    history = [
        Trial(0, {"units": 50, "rate": 0.1}, TrialState.COMPLETE, 0.3, epoch=1, measured={"parameters": 50.0}),
        Trial(1, {"units": 150, "rate": 0.1}, TrialState.INFEASIBLE, 0.9, epoch=1, measured={"parameters": 150.0}),
        Trial(2, {"units": 151, "rate": 0.1}, TrialState.INFEASIBLE, measured={"parameters": 151.0}),
    ]
    assert [(one["number"], one["score"]) for one in oracle._trials(history)] == [(0, 0.3)]


def test_optunas_samplers_find_the_margins_where_they_look() -> None:
    mirror = Mirror(Dimensions(SPACE), "maximize", AND_RECALL)
    config: Config = {"units": 150, "rate": 0.1}
    trials = [
        Trial(0, {"units": 50, "rate": 0.1}, TrialState.COMPLETE, 0.3, epoch=1,
              measured={"parameters": 50.0, "val_recall": 0.75}),
        Trial(1, config, TrialState.INFEASIBLE, measured={"parameters": 150.0}),
        Trial(2, {"units": 51, "rate": 0.2}, TrialState.DIVERGED),
        Trial(3, {"units": 52, "rate": 0.2}, TrialState.INFEASIBLE, 0.9, epoch=1,
              measured={"parameters": 52.0, "val_recall": 0.25}),
    ]  # fmt: skip
    study = mirror.follow(trials)
    told = study.get_trials()
    assert [one.state for one in told] == [optuna.trial.TrialState.COMPLETE] * 4
    assert list(told[0].constraints.values()) == [-0.5, -0.5]
    assert list(told[1].constraints.values()) == [0.5, 0.0]
    assert list(told[2].constraints.values()) == [0.0, 0.0]
    assert list(told[3].constraints.values()) == [-0.48, 0.5]
    # What was not trained counts as worse than the worst score: 0.3 less half the range of 0.6.
    assert [one.value for one in told] == [0.3, pytest.approx(0.0), pytest.approx(0.0), 0.9]
    assert study.best_trial.number == 0


def test_the_best_that_is_believed_may_be_of_a_trial_that_still_runs() -> None:
    x, y = np.array([[0.0], [0.5], [1.0]]), np.array([-1.0, 0.0, 1.0])
    process = GaussianProcess.fit(x, y, np.array([0]))
    waiting = process.with_observations(np.array([[0.8]]), np.array([3.0]))
    trials = [larger_is_better(number, {"units": number + 1, "rate": 0.01}) for number in range(3)]
    fitted = Fitted(process, y, 1.0, [0, 1, 2])
    assert fitted.best(trials, waiting) > fitted.best(trials, process) + 0.5
    broken = [replace(one, state=TrialState.INFEASIBLE) for one in trials]
    assert fitted.best([*broken[:2], trials[2]], waiting) > 0.5
    assert fitted.best(broken, waiting) is None
