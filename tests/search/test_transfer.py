"""A study begins with what another study of the same ledger has found."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hpsearch.analysis import begins_with
from hpsearch.core.facts import StudyFacts
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Choice, Config, Constant, Float, Int, Space, config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.changes import check_unchanged
from hpsearch.search.preparation import make_suggester
from hpsearch.search.transfer import CONFIGS, doubts_about, other_study, take
from hpsearch.study import prepare
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from tests.raising import raises
from tests.search.drive import drive

SPEC = make_spec("sqlite:///nowhere.db", tuner="hpsearch", algorithm="bayesian", search='from = "other"')
THERE = Space({
    "learning_rate": Float(0.001, 0.1, log=True),
    "units": Int(8, 256),
    "optimizer": Choice(("adam", "rmsprop")),
    "clip": Float(0.0, 1.0),
    "epochs": Constant(4),
})  # fmt: skip


CONDITIONAL = Space({
    "optimizer": Choice(("adam", "rmsprop")),
    "clip": Float(0.2, 2.0, when={"optimizer": ("adam",)}),
})  # fmt: skip


def finished(configs: Sequence[Config], scores: Sequence[float | None], *, space: Space = THERE) -> StudyRecord:
    """A study called "other"; a score of None is a trial that diverged."""
    record = make_record(make_spec("sqlite:///nowhere.db", name="other"))
    trials = [
        Trial(i, config, TrialState.DIVERGED if score is None else TrialState.COMPLETE, score)
        for i, (config, score) in enumerate(zip(configs, scores, strict=True))
    ]
    return replace(record, space=space, trials=trials, state=StudyState.FINISHED)


def there(rate: float, units: int = 16, optimizer: str = "adam") -> Config:
    return {"learning_rate": rate, "units": units, "optimizer": optimizer, "clip": 0.5, "epochs": 4}


def test_a_few_good_configs_come_first_and_no_neighbours():
    rates = [0.001 * 1.1**i for i in range(40)]
    taken = take(finished([there(rate) for rate in rates], [0.9 - abs(i - 30) / 100 for i in range(40)]), SPEC, THERE)
    found = [one["learning_rate"] for one in taken.configs]
    assert len(found) == CONFIGS
    assert found[0] == pytest.approx(rates[30], rel=0.25)
    near = [max(a, b) / min(a, b) for i, a in enumerate(found) for b in found[i + 1 :]]
    assert min(near) > 100**0.24, "a quarter of the range"
    assert taken.trials == 40


def test_the_luckiest_trial_is_not_the_best():
    """One score that is far above those of its neighbours says less than they do together."""
    configs = [there(0.003 * 1.001**i) for i in range(12)] + [there(0.03 * 1.001**i) for i in range(12)]
    scores = [0.80, 0.81] * 5 + [0.80, 0.93] + [0.91, 0.92] * 6
    assert take(finished(configs, scores), SPEC, THERE).configs[0]["learning_rate"] > 0.02


def test_a_score_that_is_better_when_smaller():
    other = finished([there(0.002), there(0.05)], [0.1, 0.9])
    spec = other.spec.model_copy(
        update={"objective": other.spec.objective.model_copy(update={"metric": "val_loss", "direction": "minimize"})}
    )
    taken = take(replace(other, spec=spec), SPEC, THERE)
    assert (taken.configs[0]["learning_rate"], taken.metric, taken.direction) == (0.002, "val_loss", "minimize")


@pytest.mark.parametrize(
    ("here", "config", "moved", "left_out"),
    [
        ({"units": Int(8, 64)}, {"units": 64}, ("units 200 to 64",), ()),
        ({"units": Int(8, 64, step=8)}, {"units": 64}, ("units 200 to 64",), ()),
        ({"units": Choice((16, 128, 192))}, {"units": 192}, ("units 200 to 192",), ()),
        ({"units": Float(100.0, 300.0)}, {"units": 200}, (), ()),
        ({"units": Choice(("small", "large"))}, {}, (), ("units 200",)),
        ({"optimizer": Choice(("adam", "sgd"))}, {}, (), ("optimizer rmsprop",)),
        ({"optimizer": Choice((0, 1))}, {}, (), ("optimizer rmsprop",)),
        ({"clip": Choice((False, True))}, {}, (), ("clip 0.5",)),
        ({"epochs": Int(2, 8)}, {}, (), ()),
    ],
)
def test_values_of_another_space(here, config, moved, left_out):
    """Numbers move to the nearest value; names that are not here are left out; what was not searched says nothing."""
    space = Space({"learning_rate": Float(0.001, 0.1, log=True), **here})
    taken = take(finished([there(0.01, 200, "rmsprop")], [0.9]), SPEC, space)
    assert taken.configs == ({"learning_rate": 0.01, **config},)
    assert (taken.moved, taken.left_out) == (moved, left_out)
    assert all(space[name].contains(value) for name, value in taken.configs[0].items())


def test_what_the_two_spaces_do_not_share_is_said():
    space = Space(
        {"units": Int(8, 64), "dropout": Float(0.0, 0.5), "layers": Constant(2), "optimizer": Constant("sgd")}
    )
    taken = take(finished([there(0.01, 200)], [0.9]), SPEC, space)
    assert (taken.dropped, taken.opened) == (("learning_rate", "optimizer", "clip"), ("dropout",))
    assert begins_with(taken) == (
        "study other, 1 complete trial by val_accuracy: its best config is trained first, and its results guide the "
        "model; not searched here: learning_rate, optimizer, clip; not searched there: dropout; moved: units 200 to 64"
    )


def test_configs_that_are_the_same_here_are_taken_once():
    space = Space({"units": Int(8, 16), "dropout": Float(0.0, 0.5)})
    other = finished([there(0.01, 100), there(0.01, 250), there(0.01, 8)], [0.9, 0.91, 0.8])
    assert [one["units"] for one in take(other, SPEC, space).configs] == [16, 8]


def test_long_studies_are_taken_in_part():
    configs = [there(0.001 * 1.005**i) for i in range(400)]
    taken = take(finished(configs, [i / 400 if i < 200 else 0.0 for i in range(400)]), SPEC, THERE)
    rates = {one.config["learning_rate"] for one in taken.observations}
    assert len(rates) == 100
    assert {configs[199]["learning_rate"], configs[399]["learning_rate"]} <= rates
    assert len(json.dumps(taken.to_json())) < 30_000, "MySQL's texts hold 65,535 bytes"


@pytest.mark.parametrize(
    ("space", "trials"),
    [
        (Space({"learning_rate": Float(0.001, 0.1)}), [there(0.01)]),
        (Space({"optimizer": Choice(("sgd", "nadam"))}), [there(0.01), there(0.02)]),
        (CONDITIONAL, [there(0.01), there(0.03, 16, "rmsprop")]),
    ],
)
def test_what_is_taken_survives_the_ledger_s_json(space, trials):
    other = finished([*trials, there(0.09)], [*[0.5] * len(trials), None])
    facts = replace(other.facts, taken=take(other, SPEC, space))
    assert StudyFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_nothing_in_common_is_an_error():
    with raises("study-file.nothing-in-common", study="other", ours=("dropout",)) as caught:
        take(finished([there(0.01)], [0.9]), SPEC, Space({"dropout": Float(0.0, 0.5), "units": Constant(8)}))
    assert "it searches learning_rate, units, optimizer, clip; this one dropout" in str(caught.value)


def test_tuners_that_cannot_use_the_results_say_so():
    other = finished([there(0.01)], [0.9])
    spec = make_spec("sqlite:///nowhere.db", tuner="optuna", algorithm="tpe", search='from = "other"')
    taken = take(other, spec, THERE)
    assert (taken.model, len(taken.configs)) == (False, 1)
    doubts = doubts_about(taken, other, spec, make_record(spec).facts.data)
    assert [one for one in doubts if "optuna tpe trains the best configs of study 'other' first and cannot use" in one]


def test_losses_in_other_units_are_doubted():
    other = finished([there(0.01)], [0.9])
    objective = SPEC.objective.model_copy(update={"metric": "val_loss", "direction": "minimize"})
    data = SPEC.data.model_copy(update={"standardize_targets": True})
    spec = SPEC.model_copy(update={"objective": objective, "data": data})
    doubts = doubts_about(take(other, SPEC, THERE), other, spec, make_record(spec).facts.data)
    assert any("the losses of study 'other' are in other units" in one for one in doubts)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({"seed": 3}, False), ({"seed": 4}, True), ({"seed": 4, "source": "sklearn:wine"}, False)],
)
def test_test_rows_that_the_other_study_may_have_searched_on_are_told(changes, wanted):
    other = finished([there(0.01)], [0.9])
    spec = SPEC.model_copy(update={"seed": changes["seed"]})
    if "source" in changes:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"source": changes["source"]})})
    doubts = doubts_about(take(other, spec, THERE), other, spec, make_record(spec).facts.data)
    assert any("rows that are test rows here" in one for one in doubts) is wanted


# In a ledger


def test_a_study_goes_on_alike_when_the_other_one_has_gone(tmp_path):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    options = {"tuner": "hpsearch", "algorithm": "bayesian"}
    other = drive(uri, SyntheticExecutor(), name="other", trials=14, schedule=Schedule(4, 2), **options)
    options |= {"search": 'from = "other"', "schedule": Schedule(6, 2), "seed": 8, "trials": 12}
    alone = drive(uri, SyntheticExecutor(), name="alone", **{**options, "search": ""})
    whole = drive(uri, SyntheticExecutor(), name="whole", **options)
    taken = whole.facts.taken
    assert taken is not None
    assert [config_key(one.config) for one in whole.trials[: len(taken.configs)]] != [
        config_key(one.config) for one in alone.trials[: len(taken.configs)]
    ]
    for config, trial in zip(taken.configs, whole.trials, strict=False):
        assert config.items() <= trial.config.items()
    assert max(one.score for one in whole.trials[:4]) >= other.best.score - 0.005
    stopped = iter([False] * 12 + [True] * 1000)
    drive(uri, SyntheticExecutor(), name="stopped", interrupted=lambda: next(stopped), **options)
    ledger = Ledger(uri)
    assert 4 < len(ledger.load("stopped").trials) < 12
    ledger.delete("other")
    resumed = drive(uri, SyntheticExecutor(), name="stopped", **options)
    assert [one.config for one in resumed.trials] == [one.config for one in whole.trials]
    with raises("study-file.study-changed") as caught:
        check_unchanged(whole, make_spec(uri, name="whole", **{**options, "search": 'from = "alone"'}))
    assert "search.from: was 'other', is 'alone'" in str(caught.value)


def test_a_study_s_suggester_knows_the_results_and_the_configs():
    rates = [0.001 * 1.3**i for i in range(16)]
    taken = take(finished([there(rate) for rate in rates], [0.5 + i / 100 for i in range(16)]), SPEC, THERE)
    history = [Trial(i, there(rate, 8 + i), TrialState.COMPLETE, 0.1 * i) for i, rate in enumerate(rates[:9])]
    found = []
    for one in (taken, replace(taken, model=False), None):
        facts = replace(make_record(SPEC).facts, taken=one)
        suggester = make_suggester(SPEC, THERE, facts, SyntheticExecutor())
        found.append((suggester.suggest([]).config["learning_rate"], suggester.suggest(history).config))
        suggester.close()
    assert found[0][0] == found[1][0] == taken.configs[0]["learning_rate"] != found[2][0]
    assert found[0][1] != found[1][1] == found[2][1]


@pytest.mark.parametrize("tuner", ["optuna", "keras-tuner"])
def test_other_tuners_train_the_configs(tmp_path, tuner):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    drive(uri, SyntheticExecutor(), name="other", trials=6, algorithm="random")
    options = {"tuner": tuner, "algorithm": "random", "trials": 5, "search": 'from = "other"', "seed": 8}
    found = drive(uri, SyntheticExecutor(), **options)
    taken = found.facts.taken
    assert not taken.model
    for config, trial in zip(taken.configs, found.trials, strict=False):
        assert config.items() <= trial.config.items()


def test_mistakes_are_found_before_a_worker_starts(tmp_path):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    spec = make_spec(uri, search='from = "otter"')
    with raises("study-file.unknown-study", study="otter", key="search.from") as caught:
        prepare(spec)
    assert "no study 'otter' in the ledger; it has no other studies" in str(caught.value)
    assert not (tmp_path / "ledger.db").exists()
    Ledger(uri, create=True).create(make_record(make_spec(uri, name="other")))
    with raises("study-file.unknown-study", closest="other") as caught:
        prepare(spec)
    assert "(did you mean 'other'?)" in str(caught.value)
    with raises("study-file.no-complete-trial", study="other", counts={}) as caught:
        prepare(make_spec(uri, search='from = "other"'))
    assert "has no complete trial to begin with (no trials)" in str(caught.value)
    assert other_study(make_spec(uri)) is None
    null = make_record(make_spec(uri, name="other.null0"))
    validation = null.spec.validation.model_copy(update={"null": 0})
    null = replace(null, spec=null.spec.model_copy(update={"validation": validation}))
    Ledger(uri).create(null)
    with raises("study-file.from-null-search", study="other.null0", key="search.from"):
        prepare(make_spec(uri, search='from = "other.null0"'))


def test_a_study_cannot_begin_with_itself():
    with raises("study-file.broken-rules") as caught:
        make_spec("sqlite:///nowhere.db", name="other", search='from = "other"')
    assert "search.from: 'other' is this study itself; name another one" in str(caught.value)
