"""What a study begins with: the model's defaults, and what the study file wants tried."""

import pytest

from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.search.first_trials import check_tries, default_config, nearest
from hpsearch.spec import make_space, parse_spec
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.raising import raises
from tests.search.drive import drive

STUDY = """
name = "first"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
[objective]
metric = "val_accuracy"
direction = "maximize"
[space]
learning_rate = { low = 0.02, high = 0.04 }
units = [8, 16, 32]
momentum = { low = 0.0, high = 0.9, when = { optimizer = ["sgd"] } }
optimizer = ["adam", "sgd"]
epochs = 3
"""


@pytest.mark.parametrize(
    ("parameter", "value", "wanted"),
    [
        (Float(0.01, 0.04), 0.02, 0.02),
        (Float(0.01, 0.04), 0.001, 0.01),
        (Float(0.01, 0.04), "adam", 0.01),
        (Float(0.0, 0.5, step=0.05), 0.21, 0.2),
        (Int(8, 64), 100, 64),
        (Int(8, 64, step=8), 30, 32),
        (Choice((16, 32)), 128, 32),
        (Choice(("sgd", "rmsprop")), "adam", "sgd"),
        (Choice((False, True)), 1, False),
        (Constant("relu"), "tanh", "relu"),
    ],
)
def test_the_nearest_value_of_a_range(parameter, value, wanted):
    assert nearest(parameter, value) == wanted
    assert parameter.contains(nearest(parameter, value))


def test_a_familys_defaults_are_moved_into_the_space():
    spec = parse_spec(STUDY)
    space = make_space(spec)
    found = default_config(spec, space, {})
    assert space.contains(found)
    assert (found["learning_rate"], found["units"], found["optimizer"]) == (0.02, 32, "adam")
    assert "momentum" not in found


def test_code_without_defaults_has_none():
    spec = parse_spec(STUDY.replace('family = "mlp"', 'build = "some.where:build"'))
    assert default_config(spec, make_space(spec), {}) == {}
    assert default_config(spec, make_space(spec), {"units": 16})["units"] == 16


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("unit = 16", "unknown-hyperparameter", "search.try.1.unit: not in the space (did you mean 'units'?)"),
        ("units = 17", "outside-space", "search.try.1.units: 17 is outside the space"),
        ("learning_rate = 0.5", "outside-space", "search.try.1.learning_rate: 0.5 is outside the space"),
        ("momentum = 0.5", "inactive-value", "search.try.1.momentum: momentum is used with optimizer = 'sgd' only"),
        ('optimizer = "adam"\nmomentum = 0.5', "inactive-value", "momentum is used with optimizer = 'sgd' only"),
    ],
)
def test_what_the_space_does_not_have_cannot_be_tried(line, code, text):
    spec = parse_spec(STUDY + f"[[search.try]]\nunits = 8\n[[search.try]]\n{line}\n")
    with raises(f"study-file.{code}") as caught:
        check_tries(spec, make_space(spec))
    assert text in str(caught.value)


def test_a_value_may_be_tried_with_what_it_needs():
    spec = parse_spec(STUDY + '[[search.try]]\noptimizer = "sgd"\nmomentum = 0.5\n')
    check_tries(spec, make_space(spec))


def test_a_study_begins_with_what_is_given_and_goes_on_after_a_resume(tmp_path):
    first = [{"learning_rate": 0.02, "units": 16}, {"optimizer": "sgd"}, {"learning_rate": 0.02, "units": 16}]
    options = {"first": first, "schedule": Schedule(4, 2), "tuner": "hpsearch", "algorithm": "bayesian"}
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), **options)
    assert (whole.trials[0].config["learning_rate"], whole.trials[0].config["units"]) == (0.02, 16)
    assert whole.trials[1].config["optimizer"] == "sgd"
    ledger = f"sqlite:///{tmp_path}/stopped.db"
    stopped = iter([False] * 3 + [True] * 1000)
    drive(ledger, SyntheticExecutor(), interrupted=lambda: next(stopped), **options)
    resumed = drive(ledger, SyntheticExecutor(), **options)
    assert [one.config for one in resumed.trials] == [one.config for one in whole.trials]
