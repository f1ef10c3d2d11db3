"""``[search] stop = "auto"``: a search ends when what it can still gain is less than its folds can tell."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hpsearch.analysis import provenance_info
from hpsearch.core.facts import Stopped, StudyFacts
from hpsearch.core.rehearsed import Undefined
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Choice, Constant, Float, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.changes import check_unchanged, with_trials
from hpsearch.search.observer import Observer
from hpsearch.search.starting import _asked_to_go_on, _more_than_stopped
from hpsearch.search.stopping import FEWEST, SHARE, StopRule, check_folds
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.gain import ExpectedGain
from tests.raising import raises
from tests.search.drive import drive

RNG = np.random.default_rng(5)
SPACE = Space({"rate": Float(0.0, 1.0)})


def study(*, stop: str = "auto", folds: int = 5, trials: int = 40, schedule: Schedule | None = None) -> StudyRecord:
    search = f'stop = "{stop}"'
    spec = make_spec(
        "sqlite:///nowhere.db", tuner="hpsearch", algorithm="bayesian", folds=folds, trials=trials, search=search
    )
    return replace(make_record(spec, schedule=schedule or Schedule(6, 4)), space=SPACE)


def trial(number: int, rate: float, folds) -> Trial:
    folds = tuple(map(float, folds))
    return Trial(number, {"rate": rate}, TrialState.COMPLETE, float(np.mean(folds)), fold_scores=folds)


def trials(count: int, truth, noise: float, *, hard=0.0, low=0.0, high=1.0) -> list[Trial]:
    rates = low + (high - low) * (np.arange(count) * 0.618 % 1)
    return [trial(i, rate, truth(rate) + hard + noise * RNG.normal(size=5)) for i, rate in enumerate(rates)]


def test_the_search_ends_when_nothing_can_be_gained_and_not_before():
    done = trials(24, lambda _rate: 0.9, 0.01)
    stopped = StopRule(study()).after(done, 24, SPACE)
    assert stopped is not None
    assert stopped.gain < SHARE * stopped.noise
    assert (stopped.trials, stopped.planned, stopped.overruled) == (24, 40, False)
    rising = trials(16, lambda rate: 0.9 - (rate - 0.5) ** 2, 0.01, high=0.25)
    assert StopRule(study()).after(rising, 16, SPACE) is None
    exact = trials(16, lambda rate: 0.9 - (rate - 0.5) ** 2 + 0.1 * math.sin(40 * rate), 1e-5)
    assert StopRule(study()).after(exact, 16, SPACE) is None


def test_a_smaller_score_may_be_better():
    record = study()
    objective = record.spec.objective.model_copy(update={"metric": "val_loss", "direction": "minimize"})
    record = replace(record, spec=record.spec.model_copy(update={"objective": objective}))
    done = trials(24, lambda rate: (rate - 0.9) ** 2, 0.01, high=0.6)
    assert StopRule(record).after(done, 24, SPACE) is None
    assert StopRule(study()).after(done, 24, SPACE) is not None, "the largest is at 0, where it has been tried"


def test_the_noise_is_that_of_the_residuals():
    """What is hard in a fold for all trials decides nothing between them; bad trials have noise of their own."""
    hard = np.array([0.0, 0.3, -0.2, 0.1, 0.05])
    done = trials(20, lambda _rate: 0.5, 0.01)
    shifted = [trial(one.number, one.config["rate"], np.array(one.fold_scores) + hard) for one in done]
    rule = StopRule(study())
    assert rule._noise(shifted) == pytest.approx(rule._noise(done), rel=0.3)
    many = StopRule(study())._noise(trials(400, lambda _rate: 0.5, 0.01))
    assert many == pytest.approx(0.01 * math.sqrt(1 / 5 + 1 / 4), rel=0.1), "k-fold variance × (1/k + 1/(k - 1))"
    wild = [trial(20 + i, 0.1, 0.1 + 0.3 * RNG.normal(size=5)) for i in range(10)]
    assert rule._noise([*done, *wild]) == pytest.approx(rule._noise(done), rel=0.5)


@pytest.mark.parametrize(
    "done",
    [
        [],
        trials(1, lambda _rate: 0.5, 0.01),
        [Trial(i, {"rate": i / 20}, TrialState.FAILED) for i in range(12)],
        [Trial(i, {"rate": i / 20}, TrialState.DIVERGED) for i in range(12)],
        [trial(i, i / 20, [0.5]) for i in range(12)],
        [trial(i, i / 20, [0.5] * 5) for i in range(12)],
        [trial(i, i / 20, [0.5, 0.6, math.inf]) for i in range(12)],
    ],
)
def test_where_nothing_is_known_of_the_noise_the_search_goes_on(done):
    assert StopRule(study()).after(done, len(done), SPACE) is None


def test_diverged_and_pruned_trials_teach_where_not_to_look():
    done = trials(12, lambda rate: 0.9 - rate / 10, 0.002, high=0.4)
    lost = [Trial(12 + i, {"rate": 0.5 + i / 10}, TrialState.DIVERGED) for i in range(6)]
    gain = ExpectedGain(TunerSettings(SPACE, "maximize", 1))
    assert gain.after([*done, *lost]) >= 0
    pruned = [replace(one, state=TrialState.PRUNED) for one in done]
    assert gain.after(pruned) == gain.after(done)


def test_a_space_that_has_been_tried_has_nothing_to_gain():
    space = Space({"rate": Choice((1, 2, 3)), "fixed": Constant(4)})
    done = [Trial(i, {"rate": i + 1, "fixed": 4}, TrialState.COMPLETE, i / 10) for i in range(3)]
    gain = ExpectedGain(TunerSettings(space, "maximize", 1))
    assert gain.after(done) == 0.0
    assert gain.after(done[:2]) > 0.0
    assert gain.after([*done[:2], Trial(2, {"rate": 3, "fixed": 4})]) == 0.0, "a running trial cannot be tried again"
    assert ExpectedGain(TunerSettings(Space({"fixed": Constant(4)}), "maximize", 1)).after(done) is None


@pytest.mark.parametrize(
    ("schedule", "asked"),
    [
        (Schedule(6, 4), [10, 14, 18, 22]),
        (Schedule(6, 8), [14, 22]),
        (Schedule(), [12, 16, 20]),
        (Schedule(12, 4), [12, 16, 20]),
        (Schedule(lag=7), [19, 23]),
    ],
)
def test_the_rule_is_asked_after_every_fourth_result_whatever_the_timing(monkeypatch, schedule, asked):
    seen = []
    rule = StopRule(study(schedule=schedule))
    monkeypatch.setattr(rule, "after", lambda known, begun, space: seen.append((begun, len(known))))
    done = trials(24, lambda _rate: 0.5, 0.01)
    for number in range(24):
        rule.before(number, done[:number], SPACE)
        rule.before(number, done[:number], SPACE)
    assert [begun for begun, _ in seen] == asked
    assert all(FEWEST <= known == schedule.known(begun) for begun, known in seen)


@pytest.mark.parametrize(
    ("folds", "undefined", "refused"),
    [(1, (), True), (2, (), False), (2, (0,), True), (3, (0,), False)],
)
def test_one_fold_cannot_say_how_noisy_it_is(folds, undefined, refused):
    record = study(folds=max(folds, 2))
    data = replace(record.facts.data, folds=record.facts.data.folds[:1] * folds)
    missing = (Undefined("val_accuracy", undefined, "one class"),) if undefined else ()
    if refused:
        with raises("study-file.one-fold", key="search.stop"):
            check_folds(record.spec, data, missing)
    else:
        check_folds(record.spec, data, missing)
    check_folds(study(stop="none", folds=2).spec, data, missing)


# In a study

OPTIONS = {
    "tuner": "hpsearch",
    "algorithm": "bayesian",
    "trials": 40,
    "search": 'stop = "auto"',
    "schedule": Schedule(4, 4),
    "epochs": 2,
}


class Notes(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_study_that_has_stopped_stays_so_until_it_is_asked_to_go_on(tmp_path):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    watching = Notes()
    done = drive(uri, SyntheticExecutor(), observer=watching, **OPTIONS)
    stopped = done.facts.stopped
    assert stopped is not None
    assert FEWEST <= len(done.trials) == stopped.trials < 40
    assert watching.notes == list(done.notes) == [stopped.text]
    assert stopped.text.startswith(f"stopped after {stopped.trials} of 40 trials: no untried config is expected to")
    assert provenance_info(done).search["ended"] == stopped.text
    assert StudyFacts.from_json(json.loads(json.dumps(done.facts.to_json()))) == done.facts

    again = SyntheticExecutor()
    assert drive(uri, again, **OPTIONS).trials == done.trials
    assert not again.trained

    ledger = Ledger(uri)
    for wanted in (None, stopped.trials):
        assert _asked_to_go_on(done, ledger, wanted, watching) == (done, False)
    assert [_more_than_stopped(done, with_trials(done.spec, n)) for n in (39, 40, 41)] == [None, None, 41]
    on, goes_on = _asked_to_go_on(done, ledger, stopped.trials + 4, watching)
    assert goes_on
    assert on.facts.stopped == replace(stopped, overruled=True)
    assert _more_than_stopped(on, with_trials(done.spec, 60)) is None
    assert f"{stopped.trials + 4} trials were asked for" in watching.notes[-1]
    ledger.set_spec("synthetic", with_trials(done.spec, stopped.trials + 9))
    assert len(drive(uri, SyntheticExecutor(), **OPTIONS).trials) == stopped.trials + 9
    assert _asked_to_go_on(on, ledger, 60, watching) == (on, False)


@pytest.mark.slow
def test_the_decision_depends_neither_on_timing_nor_on_interruptions(tmp_path):
    done = drive(f"sqlite:///{tmp_path}/ledger.db", SyntheticExecutor(), **OPTIONS)
    stopped = done.facts.stopped
    assert stopped is not None
    several = drive(f"sqlite:///{tmp_path}/several.db", SyntheticExecutor(slots=4, order=lambda n: n - 1), **OPTIONS)
    assert [one.config for one in several.trials] == [one.config for one in done.trials]
    assert several.facts.stopped == stopped

    interrupted = iter([False] * 25 + [True] * 1000)
    other = f"sqlite:///{tmp_path}/interrupted.db"
    drive(other, SyntheticExecutor(), interrupted=lambda: next(interrupted), **OPTIONS)
    assert len(Ledger(other).load("synthetic").trials) < stopped.trials
    assert drive(other, SyntheticExecutor(), **OPTIONS).facts.stopped == stopped


def test_taking_the_rule_out_of_the_file_lets_the_study_go_on(tmp_path):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(uri, create=True)
    record = make_record(make_spec(uri, search='stop = "auto"'))
    ledger.create(replace(record, facts=replace(record.facts, stopped=Stopped(12, 40, 0.001, 0.02))))
    without = make_spec(uri)
    check_unchanged(ledger.load("synthetic"), without)
    watching = Notes()
    on, goes_on = _asked_to_go_on(ledger.set_spec("synthetic", without), ledger, None, watching)
    assert goes_on
    assert on.facts.stopped.overruled
    assert watching.notes == ['the search goes on after 12 trials: stop = "auto" is no longer in the study file']


def test_other_tuners_are_stopped_too(tmp_path):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    options = {
        **OPTIONS,
        "tuner": "optuna",
        "algorithm": "random",
        "schedule": Schedule(lag=3),
    }
    done = drive(uri, SyntheticExecutor(slots=2), **options)
    assert (done.facts.stopped is None) == (len(done.trials) == 40)
