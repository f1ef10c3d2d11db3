"""Suggestions for KerasTuner code: the code decides which hyperparameters a config has, and it is asked every time."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import keras_tuner
import numpy as np
import pytest

from hpsearch.core.asked import Asked
from hpsearch.core.facts import Task
from hpsearch.core.space import Config, Float, Int, Space, config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ExecutorError
from hpsearch.models import kerastuner_exploration
from hpsearch.models.kerastuner import KerasTunerModel
from hpsearch.models.kerastuner_exploration import Steering
from hpsearch.search.suggesting import Suggester
from hpsearch.tuners.base import TunerSettings
from tests.raising import raises

DATA = TrainingData(np.zeros((4, 2)), np.zeros(4), task=Task.REGRESSION)
Hp = keras_tuner.HyperParameters
Code = Callable[[Hp], Any]

# The code needs no model: only its questions count.


def either(hp: Hp) -> None:
    a, b = hp.Boolean("a"), hp.Boolean("b")
    if a or b:
        hp.Int("n", 5, 8)


def both(hp: Hp) -> None:
    a, b = hp.Boolean("a"), hp.Boolean("b")
    if a and b:
        hp.Int("n", 5, 8)


def above(hp: Hp) -> None:
    if hp.Float("rate", 0.0, 0.5) > 0.2:
        hp.Int("n", 5, 50)


def shared(hp: Hp) -> None:
    if hp.Choice("kind", ["a", "b", "c"]) == "a" or hp.Boolean("deep"):
        hp.Choice("act", ["relu", "tanh"])


def scoped_twice(hp: Hp) -> None:
    hp.Choice("kind", ["a", "b"])
    hp.Boolean("deep")
    with hp.conditional_scope("kind", ["a"]):
        hp.Choice("act", ["relu", "tanh"])
    with hp.conditional_scope("deep", [True]):
        hp.Choice("act", ["relu", "tanh"])


def rare(hp: Hp) -> None:
    if hp.Int("k", 1, 30) == 7:
        hp.Int("n", 5, 50)
    if hp.Int("m", 1, 20) == 7 and hp.Choice("c", ["x", "y"]) == "y":
        hp.Boolean("late")


def refuses(hp: Hp) -> None:
    if hp.Boolean("a"):
        raise ValueError("not with a")
    hp.Int("n", 1, 3)


CONFIGS = {either: 1 + 3 * 4, both: 3 + 4, shared: 2 + 2 * (1 + 2), scoped_twice: 1 + 3 * 2, refuses: 1 + 3}
"""Finite code → the number of its configs."""

SAMPLERS = [("hpsearch", "bayesian"), *(("optuna", one) for one in ("tpe", "cmaes", "qmc", "random", "grid"))]
ORACLES = [("keras-tuner", one) for one in ("bayesian", "random", "grid")]


def suggester(code: Code, tuner: str, algorithm: str, trials: Sequence[Trial] = ()) -> Suggester:
    """As a driver would make it that starts, or goes on, with these trials."""
    model = KerasTunerModel("mine:build", code)
    space = Space(model.discover(DATA, Steering()))
    for trial in trials:
        space = space.extended(trial.found)
    settings = TunerSettings(space, "maximize", 3, startup_trials=3, grid_points=4)
    return Suggester(tuner, algorithm, settings, lambda config: model.asked(config, DATA))


def search(code: Code, tuner: str, algorithm: str, most: int, *, rebuilt: bool = False) -> list[Trial]:
    trials: list[Trial] = []
    one = suggester(code, tuner, algorithm)
    while len(trials) < most:
        if rebuilt:
            one.close()
            one = suggester(code, tuner, algorithm, trials)
        suggestion = one.suggest(trials)
        if suggestion is None:
            break
        score = sum(len(str(value)) for value in suggestion.config.values()) + len(trials) % 3
        number, config = len(trials), suggestion.config
        trials.append(Trial(number, config, TrialState.COMPLETE, score=float(score), epoch=0, found=suggestion.found))
    one.close()
    return trials


def used_by(code: Code, config: Config) -> set[str]:
    """What KerasTuner itself says: the hyperparameters that are active when the code is run."""
    hp = Hp()
    hp.values = dict(config)
    try:
        code(hp)
    except ValueError:
        assert code is refuses
    return {one.name for one in hp.space if hp.is_active(one)}


def test_the_first_trial_has_the_codes_defaults():
    def code(hp: Hp) -> None:
        hp.Int("units", 8, 64, default=24)
        if hp.Choice("kind", ["a", "b"], default="b") == "b":
            hp.Float("rate", 0.0, 0.5, default=0.2)

    model = KerasTunerModel("mine:build", code)
    space = Space(model.discover(DATA, Steering()))
    default = model.asked({}, DATA).values
    settings = TunerSettings(space, "maximize", 3)
    one = Suggester("hpsearch", "bayesian", settings, lambda config: model.asked(config, DATA), first=[default])
    suggestion = one.suggest([])
    assert suggestion is not None
    assert {name: suggestion.config[name] for name in ("units", "kind", "rate")} == default == {
        "units": 24, "kind": "b", "rate": 0.2
    }  # fmt: skip


@pytest.mark.parametrize("code", CONFIGS, ids=lambda code: code.__name__)
@pytest.mark.parametrize(("tuner", "algorithm"), SAMPLERS)
def test_finite_code_is_tried_completely_with_exactly_what_it_uses(code: Code, tuner: str, algorithm: str) -> None:
    trials = search(code, tuner, algorithm, most=40)
    assert all(set(trial.config) == used_by(code, trial.config) for trial in trials)
    assert len({config_key(trial.config) for trial in trials}) == len(trials) == CONFIGS[code]


@pytest.mark.parametrize("code", [above, rare], ids=lambda code: code.__name__)
@pytest.mark.parametrize(("tuner", "algorithm"), SAMPLERS)
def test_a_search_that_is_resumed_before_every_trial_goes_on_alike(code: Code, tuner: str, algorithm: str) -> None:
    kept, resumed = (search(code, tuner, algorithm, most=15, rebuilt=rebuilt) for rebuilt in (False, True))
    assert [(one.config, one.found) for one in kept] == [(one.config, one.found) for one in resumed]
    assert all(set(trial.config) == used_by(code, trial.config) for trial in kept)


def test_what_is_found_while_searching_is_tuned_from_then_on() -> None:
    trials = search(rare, "optuna", "random", most=120)
    found = {name: trial.number for trial in trials for name in trial.found}
    assert "n" in found or "c" in found, "the exploration is not to find what only few configs reach"
    for name, number in found.items():
        assert trials[number].found[name].asked
        assert any(name in trial.config for trial in trials[number:])
    values = {trial.config["n"] for trial in trials if trial.config["k"] == 7}
    assert len(values) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("tuner", "algorithm"), ORACLES)
def test_keras_tuners_oracles_search_such_code_too(tuner: str, algorithm: str) -> None:
    most = 5 if algorithm == "bayesian" else 16  # its model takes seconds
    trials = search(either, tuner, algorithm, most=most)
    assert all(set(trial.config) == used_by(either, trial.config) for trial in trials)
    assert len({config_key(trial.config) for trial in trials}) == len(trials) == min(most, CONFIGS[either])
    if algorithm == "grid":  # in KerasTuner's order: what is asked last changes fastest
        configs = [tuple(trial.config.values()) for trial in trials]
        assert configs[:3] == [(False, False), (False, True, 5), (False, True, 6)]


@pytest.mark.parametrize("start", [0, 11], ids=["from the first build on", "only after the exploration"])
def test_code_with_a_new_name_in_every_build_is_refused(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerastuner_exploration, "_NAMES_AT_MOST", 20)
    built = count()

    def endless(hp: Hp) -> None:
        number = next(built)
        hp.Int(f"units_{number if start <= number else 0}", 1, 2)

    with raises("model.endless-space"):
        search(endless, "optuna", "random", most=80)


def test_values_that_are_given_are_kept_and_the_others_suggested() -> None:
    one = suggester(either, "optuna", "random")
    completed = one.complete([], {"a": True, "n": 7}).config
    assert (completed["a"], completed["n"], completed.keys()) == (True, 7, {"a", "b", "n"})
    assert "n" not in one.complete([], {"a": False, "b": False, "n": 7}).config


def test_a_worker_that_dies_while_it_is_asked_leaves_the_suggestion_as_it_is() -> None:
    def dies(_config: Config) -> Asked | None:
        raise ExecutorError("worker process ended with signal 9", code="worker-died")

    space = Space({"units": Int(1, 9), "rate": Float(0.0, 1.0)})
    one = Suggester("optuna", "random", TunerSettings(space, "maximize", 3), dies)
    suggestion = one.suggest([])
    assert suggestion is not None
    assert space.contains(suggestion.config)
    assert one.asks
