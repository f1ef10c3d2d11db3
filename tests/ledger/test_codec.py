"""The JSON of the ledger: what is written is read back, whatever has become of the study file's schema since."""

import math
from dataclasses import replace

import pytest

from hpsearch.core.facts import NestedScores, StudyFacts
from hpsearch.core.space import Choice, Constant, Float, Int, Space
from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.ledger import codec
from hpsearch.testing.synthetic import make_record, make_spec

SPEC = make_spec("sqlite:///mlruns/ledger.db", search="max_hours = 2.5").model_copy(update={"folder": "/home/me"})

SPACE = Space(
    {
        "optimizer": Choice(("sgd", "adam")),
        "momentum": Float(0.0, 1.0, when={"optimizer": ("sgd",)}),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.0, 0.5, step=0.1),
        "wide": Float(0.0, 4.0, step=2),
        "units": Int(8, 64, step=8),
        "layers": Int(1, 4),
        "size": Int(1, 1024, log=True),
        "flags": Choice((True, 1.5, "a")),
        "batch_norm": Constant(False),
    }
)


def test_a_study_file_comes_back_as_it_was() -> None:
    assert codec.spec_from_json(codec.spec_to_json(SPEC)) == SPEC


def test_keys_that_the_study_file_no_longer_has_are_dropped() -> None:
    raw = codec.spec_to_json(SPEC)
    search, data = raw["search"], raw["data"]
    assert isinstance(search, dict)
    assert isinstance(data, dict)
    raw |= {
        "search": {**search, "patience": 3},
        "data": {**data, "options": {"words": 10_000}},
        "cluster": {"nodes": 2},
    }
    spec = codec.spec_from_json(raw)
    assert spec.search == SPEC.search
    assert spec.data.options == {"words": 10_000}


def test_sections_that_may_be_missing_are_cleaned_too() -> None:
    raw = codec.spec_to_json(SPEC)
    validation = raw["validation"]
    assert isinstance(validation, dict)
    raw["validation"] = {**validation, "outer": {"folds": 3, "index": 1, "seed": 9}}
    outer = codec.spec_from_json(raw).validation.outer
    assert outer is not None
    assert (outer.folds, outer.index) == (3, 1)


def test_hyperparameters_that_model_fixes_are_kept() -> None:
    raw = codec.spec_to_json(SPEC)
    raw["model"] = {"family": "mlp", "build": None, "layers": 3}
    assert codec.spec_from_json(raw).model.model_extra == {"layers": 3}


def test_a_renamed_key_of_an_older_format_is_read_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = codec.spec_to_json(SPEC)
    raw["random_seed"] = raw.pop("seed")
    monkeypatch.setitem(
        codec.SPEC_UPGRADES, 1, lambda old: {("seed" if key == "random_seed" else key): old[key] for key in old}
    )
    assert codec.spec_from_json(raw, format=1) == SPEC


def test_a_space_comes_back_as_it_was() -> None:
    again = codec.space_from_json(codec.space_to_json(SPACE))
    assert list(again) == list(SPACE)
    assert repr(again) == repr(SPACE)


@pytest.mark.parametrize("raw", [{"low": True, "high": 2}, {"values": 3}, {"value": None}, 5])
def test_a_damaged_hyperparameter_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        codec.space_from_json({"units": raw})  # type: ignore[dict-item]


def test_later_facts_win_over_those_of_the_head() -> None:
    first = make_record(SPEC).facts
    later = replace(first, compile_seconds=3.5, nested=NestedScores("mae", (1.0,), (2.0,)))
    assert codec.facts_from_json(first.to_json(), later.to_json()) == later
    assert codec.facts_from_json(first.to_json(), {}) == first
    assert StudyFacts.from_json(later.to_json()) == later


def test_an_outcome_comes_back_with_values_that_are_not_finite() -> None:
    fold = FoldResult(1, {"loss": (math.inf, -math.inf, 5e-324)}, started=1.0, seconds=2.0)
    failure = Failure(FailureKind.DIVERGED, "loss is inf", fold=1, epoch=0)
    trial = Trial(3, {}, TrialState.DIVERGED, score=math.inf, folds=(fold,), failure=failure, finished=7.0)
    assert codec.Outcome.from_json(codec.Outcome.of(trial).to_json()) == codec.Outcome.of(trial)


def test_messages_name_the_version_that_began_a_study() -> None:
    record = make_record(SPEC)
    machine = replace(record.facts.machine, versions={"hpsearch": "0.2.0"})
    head = codec.head_to_json(replace(record, facts=replace(record.facts, machine=machine)))
    assert codec.made_by({"hpsearch": head}) == "0.2.0"
    assert codec.made_by({"hpsearch": {"facts": {"versions": {"hpsearch": "0.1.0"}}}}) == "0.1.0"
    assert codec.made_by({}) == "another version"
