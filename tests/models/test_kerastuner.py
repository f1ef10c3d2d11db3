"""The space of KerasTuner code, steered by a study file. The code needs no model: only its questions count."""

import keras_tuner
import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.core.space import Choice, Constant, Int, Parameter
from hpsearch.data.dataset import TrainingData
from hpsearch.models.kerastuner import KerasTunerModel
from hpsearch.models.kerastuner_exploration import Steering
from hpsearch.spec import make_space, parse_spec
from hpsearch.spec.assembly import given_names, steered
from tests.raising import raises

DATA = TrainingData(np.zeros((4, 2)), np.zeros(4), task=Task.REGRESSION)
STUDY = """
name = "s"
[data]
source = "sklearn:iris"
[model]
build = "mine:build"
[objective]
metric = "val_loss"
direction = "minimize"
[space]
{}
"""


def layered(hp):
    for i in range(hp.Int("num_layers", 1, 3)):
        hp.Int(f"units_{i}", 4, 16)


def discovered(model: object, entries: str = "") -> tuple[dict[str, Parameter], object]:
    spec = parse_spec(STUDY.format(entries))
    steering = Steering(given_names(spec), lambda name, declared: steered(spec, name, declared))
    found = KerasTunerModel("mine:build", model).discover(DATA, steering)
    return found, make_space(spec, found)


def test_a_narrowed_hyperparameter_keeps_the_condition_of_the_code():
    _, space = discovered(layered, "units_2 = [5, 6]")
    assert space["units_2"] == Choice((5, 6), when={"num_layers": (3,)})


def test_a_value_that_the_code_does_not_declare_shows_what_it_leads_to():
    _, space = discovered(layered, "num_layers = 5")
    assert [name for name in space if name.startswith("units")] == [f"units_{i}" for i in range(5)]
    _, space = discovered(layered, "num_layers = { low = 2, high = 4 }")
    assert space["units_3"] == Int(4, 16, when={"num_layers": (4,)})


def test_what_the_study_file_rules_out_elsewhere_may_still_be_named():
    _, space = discovered(layered, "num_layers = 1\nunits_2 = 8")
    assert space["units_2"] == Constant(8, asked=True)


@pytest.mark.parametrize("read", [lambda hp: hp.get("width"), lambda hp: hp["width"], lambda hp: hp.values["width"]])
def test_the_study_file_supplies_what_the_code_only_reads(read):
    _, space = discovered(read, "width = [8, 16]")
    assert space["width"] == Choice((8, 16))
    assert KerasTunerModel("mine:build", read).asked({"width": 8, "other": 1}, DATA).part({"width": 8, "other": 1}) == {
        "width": 8
    }
    with raises("model.reads-undeclared", name="width"):
        discovered(read)


def test_a_name_that_no_code_asks_for_is_refused():
    with raises("study-file.broken-rules") as caught:
        discovered(layered, "unit_0 = 8")
    (problem,) = caught.value.values["problems"]
    assert (problem.code, problem.closest) == ("unknown-hyperparameter", "units_0")


class Fitted(keras_tuner.HyperModel):
    def build(self, hp):
        hp.Choice("batch_size", [16, 32])

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.get("batch_size"), shuffle=hp.Boolean("shuffle"), **kwargs)


class Unshuffled(Fitted):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=False, **kwargs)


def test_fit_reads_what_build_declares_and_may_tune_the_row_order():
    found, _ = discovered(Fitted())
    assert found == {"batch_size": Choice((16, 32)), "shuffle": Choice((False, True))}
    with raises("model.undeclared", name="shuffle"):
        discovered(Unshuffled())
    assert discovered(Unshuffled(), "shuffle = false")[1]["shuffle"] == Constant(False)
