"""The registries: what is built in is what it must be, and names lead to it."""

import os
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from hpsearch.core import registry as registry_module
from hpsearch.core.facts import EnginePlan
from hpsearch.core.registries import ALL, ENGINES
from hpsearch.core.registry import Entry, Registry
from hpsearch.doctor.plugins import loaders
from hpsearch.errors import ModelError, SpecError
from hpsearch.pruning.base import Pruner
from hpsearch.spec import READ_BACK, PruningSection, SearchSection, StudySpec
from hpsearch.testing.contracts.lanes import make_spec
from hpsearch.training.engines import CannotTrainError, Engine, make_engine
from hpsearch.training.problem import Problem

BUILT_IN = [
    pytest.param(load, name, id=f"{registry.group}-{name}")
    for registry, load in loaders()
    for name, entry in registry.entries.items()
    if entry.package == "hpsearch"
]


@pytest.mark.parametrize(("load", "name"), BUILT_IN)
def test_every_built_in_address_leads_to_what_its_registry_promises(load, name: str) -> None:
    assert load(name) is not None


def test_doctor_knows_all_registries() -> None:
    assert tuple(registry for registry, _ in loaders()) == ALL
    assert len({registry.group for registry in ALL}) == len(ALL)


@pytest.fixture
def pruners(monkeypatch) -> Registry:
    points = [
        EntryPoint("mine", "hpsearch.pruning.median:MedianPruner", "hpsearch.pruners"),
        EntryPoint("built-in", "pathlib:Path", "hpsearch.pruners"),
        EntryPoint("mine", "pathlib:Path", "hpsearch.pruners"),
        EntryPoint("nested", "hpsearch.pruning:base.Pruner", "hpsearch.pruners"),
    ]
    monkeypatch.setattr(registry_module, "entry_points", lambda *, group: points)
    return Registry("hpsearch.pruners", "pruning method", {"built-in": "hpsearch.pruning.racing:RacingPruner"})


def test_built_in_names_win_then_those_found_first(pruners: Registry) -> None:
    assert pruners.names() == ("built-in", "mine", "nested")
    assert pruners.load_class("built-in", Pruner).__name__ == "RacingPruner"
    assert pruners.load_class("mine", Pruner).__name__ == "MedianPruner"
    assert pruners.load_class("nested", Pruner) is Pruner
    assert [(entry.name, entry.address) for entry in pruners.hidden] == [
        ("built-in", "pathlib:Path"),
        ("mine", "pathlib:Path"),
    ]


def test_an_unknown_name_is_an_error_with_the_closest_one(pruners: Registry) -> None:
    with pytest.raises(SpecError) as caught:
        pruners.load_class("buildin", Pruner)
    assert caught.value.code == "study-file.unknown-name"
    assert caught.value.values == {"group": "hpsearch.pruners", "name": "buildin"}
    assert "did you mean 'built-in'?" in str(caught.value)


@pytest.mark.parametrize(
    "address", ["no_such_module:x", "hpsearch.pruning:nothing", "hpsearch.pruning", "pathlib:Path"]
)
def test_an_address_that_leads_nowhere_or_elsewhere_is_a_broken_plugin(address: str) -> None:
    with pytest.raises(SpecError) as caught:
        Registry("hpsearch.pruners", "pruning method", {"x": address}).load_class("x", Pruner)
    assert caught.value.code == "study-file.broken-plugin"
    assert caught.value.values["address"] == address


def test_a_study_file_takes_only_known_names() -> None:
    with pytest.raises(ValueError, match=r"must be one of none, median, "):
        PruningSection.model_validate({"method": "medain"})


def test_a_study_from_the_ledger_may_name_what_is_no_longer_installed() -> None:
    raw = {
        "name": "s",
        "data": {"source": "gone:rows"},
        "model": {"family": "gone"},
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
        "search": {"tuner": "gone", "algorithm": "gone"},
        "pruning": {"method": "gone"},
        "resources": {"engine": "gone", "executor": "gone"},
        "folder": ".",
    }
    spec = StudySpec.model_validate(raw, context=READ_BACK)
    assert (spec.search.tuner, spec.pruning.method, spec.model.family) == ("gone", "gone", "gone")
    with pytest.raises(ValueError, match=r"search\.tuner"):
        StudySpec.model_validate(raw)
    with pytest.raises(ValueError, match="algorithm"):
        SearchSection.model_validate({"tuner": "optuna", "algorithm": "gone"})


class PickyEngine(Engine):
    """Trains nothing."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def plan(self) -> EnginePlan:
        raise CannotTrainError("it is Monday")

    def train(self, bundle, stopped):
        yield from ()


def test_an_engine_that_cannot_train_the_problem_says_why(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "picky", SimpleNamespace(PickyEngine=PickyEngine))
    monkeypatch.setitem(ENGINES.entries, "picky", Entry("picky", "picky:PickyEngine", "picky 1.0"))
    spec = make_spec()
    resources = spec.resources.model_copy(update={"engine": "picky"})
    problem = Problem.load(spec.model_copy(update={"resources": resources}))
    with pytest.raises(ModelError) as caught:
        make_engine(problem)
    assert caught.value.code == "model.cannot-train"
    assert caught.value.values == {"engine": "picky", "reason": "it is Monday"}
