"""The driver with limits: what is trained, what is entered, and what is counted; only the training is synthetic."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from hpsearch.core.constraints import Constraints
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState
from hpsearch.errors import ModelError, StudyError
from hpsearch.ledger.store import Ledger
from hpsearch.search.changes import with_trials
from hpsearch.search.feasibility import none_feasible
from hpsearch.search.progress import Progress
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.search.drive import drive

SIZE = Constraints.of({"parameters": 3000}, {})
AT_MOST = "at_most = { parameters = 3000 }"


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize(("tuner", "algorithm"), [("optuna", "tpe"), ("hpsearch", "bayesian"), ("optuna", "random")])
def test_a_model_that_is_too_large_is_not_trained_and_the_others_are(ledger: str, tuner: str, algorithm: str) -> None:
    executor = SyntheticExecutor(limits=SIZE)
    record = drive(ledger, executor, objective=AT_MOST, tuner=tuner, algorithm=algorithm)
    large = {trial.number for trial in record.trials if int(trial.config["units"]) > 30}
    assert large
    assert large == {trial.number for trial in record.infeasible}
    assert {trial for trial, _ in executor.trained} == {trial.number for trial in record.trials} - large
    for trial in record.infeasible:
        parameters = 100 * int(trial.config["units"])
        assert (trial.folds, trial.score, trial.parameters) == ((), None, parameters)
        wanted = f"{parameters:,} parameters, at most 3,000; not trained"
        assert trial.failure == Failure(FailureKind.INFEASIBLE, wanted)
        assert trial.measured == {"parameters": float(parameters)}
    assert {trial.number for trial in record.ranked} == {trial.number for trial in record.trials} - large
    assert all(trial.state is TrialState.COMPLETE for trial in record.ranked)


def test_models_are_measured_once_per_trial_and_only_if_they_are_limited(ledger: str, tmp_path: Path) -> None:
    executor = SyntheticExecutor(limits=SIZE)
    drive(ledger, executor, objective=AT_MOST, trials=6, fold_rule="forgiving")
    found = [trial for bundle in executor.bundles for trial in bundle.measure]
    assert sorted(found) == list(range(6))
    free = SyntheticExecutor()
    drive(f"sqlite:///{tmp_path}/other.db", free, objective="at_least = { val_accuracy = 0.1 }", trials=4)
    assert not any(bundle.measure for bundle in free.bundles)


def test_a_curve_is_judged_at_the_epoch_of_the_score_and_the_trial_keeps_its_score(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor(), objective="at_most = { val_loss = 0.28 }", algorithm="random")
    assert record.infeasible
    assert record.ranked
    for trial in (*record.ranked, *record.infeasible):
        at_epoch = sum(fold.curves["val_loss"][trial.epoch - 1] for fold in trial.folds) / len(trial.folds)
        assert trial.measured == {"val_loss": pytest.approx(at_epoch)}
        assert (trial.state is TrialState.COMPLETE) == (at_epoch <= 0.28)
        assert trial.score is not None
        assert len(trial.folds) == 3
    violations = [one.measured["val_loss"] for one in record.infeasible]
    assert violations == sorted(violations), "the nearest comes first"


def test_optunas_own_best_trial_keeps_the_limits_too(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor(), objective="at_least = { val_loss = 0.3 }", algorithm="random")
    best_of_all = max((*record.ranked, *record.infeasible), key=lambda trial: trial.score)
    assert best_of_all.state is TrialState.INFEASIBLE, "else this test shows nothing"
    study = optuna.load_study(study_name="synthetic", storage=ledger)
    assert study.best_trial.number == record.best.number
    states = {one.number: one.state for one in study.trials}
    assert states[best_of_all.number] is optuna.trial.TrialState.COMPLETE


def test_infeasible_trials_are_no_failures(ledger: str) -> None:
    """All trials are too large, and more than ``max_failures`` of them: the search goes to its end."""
    tiny = Constraints.of({"parameters": 1}, {})
    record = drive(
        ledger, SyntheticExecutor(limits=tiny), objective="at_most = { parameters = 1 }", search="max_failures = 2"
    )
    assert [trial.state for trial in record.trials] == [TrialState.INFEASIBLE] * 12
    error = none_feasible(record)
    assert isinstance(error, StudyError)
    assert (error.code, error.exit_code) == ("study.no-feasible-trial", 8)
    smallest = min(record.trials, key=lambda trial: (trial.measured["parameters"], trial.number))
    assert error.values["trial"] == smallest.number
    assert f"The nearest is trial {smallest.number}: " in error.what
    assert "12 of 12 are infeasible" in error.what
    assert "crown" not in error.hint, "what was not trained cannot be crowned"
    assert "--trials 32" in error.hint


def test_if_none_is_feasible_the_error_names_the_nearest_that_can_be_crowned(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor(), objective="at_least = { val_accuracy = 0.99 }", trials=4)
    best = max(record.infeasible, key=lambda trial: trial.score)
    assert f"hpsearch crown synthetic {best.number}" in none_feasible(record).hint


def test_a_trial_without_the_limited_curve_fails_with_what_it_records(ledger: str) -> None:
    # A rehearsal would have found it; code may still record other curves later on.
    with pytest.raises(ModelError) as caught:
        drive(ledger, SyntheticExecutor(), objective="at_least = { val_recall = 0.9 }")
    text = "the model records no 'val_recall', which has a limit; it records loss, accuracy, val_loss"
    assert text in str(caught.value)


def test_pruning_does_not_compare_with_trials_that_break_a_limit(tmp_path: Path) -> None:
    """The best ones break it: compared with them, the others would be pruned."""
    pruned = {}
    for name, limit in (("free", ""), ("limited", "at_least = { val_loss = 0.24 }")):
        record = drive(
            f"sqlite:///{tmp_path}/{name}.db",
            SyntheticExecutor(),
            objective=limit,
            algorithm="random",
            pruning="successive-halving",
            trials=30,
            epochs=8,
        )
        pruned[name] = {trial.number for trial in record.trials if trial.state is TrialState.PRUNED}
    assert pruned["limited"], "trials are still pruned by their score"
    assert pruned["limited"] < pruned["free"]


def test_a_resumed_study_measures_nothing_again_and_suggests_the_same(ledger: str, tmp_path: Path) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(limits=SIZE), objective=AT_MOST)
    left = [15]

    def interrupted() -> bool:
        left[0] -= 1
        return left[0] < 0

    first = SyntheticExecutor(limits=SIZE)
    drive(ledger, first, objective=AT_MOST, interrupted=interrupted)
    second = SyntheticExecutor(limits=SIZE)
    record = drive(ledger, second, objective=AT_MOST)
    assert [trial.config for trial in record.trials] == [trial.config for trial in whole.trials]
    assert [trial.state for trial in record.trials] == [trial.state for trial in whole.trials]
    before = {trial for bundle in first.bundles for trial in bundle.measure}
    after = {trial for bundle in second.bundles for trial in bundle.measure}
    assert before
    assert after
    assert not before & after


def test_a_driver_that_is_killed_after_a_measurement_leaves_a_trial_that_is_still_not_trained(ledger: str) -> None:
    drive(ledger, SyntheticExecutor(limits=SIZE), objective=AT_MOST, trials=2)
    book = Ledger(ledger)
    record = book.load("synthetic")
    config = {**record.trials[0].config, "units": 64}
    book.start_trial("synthetic", Trial(2, config, started=5.0), record.space)
    book.add_measured("synthetic", 2, 6400, {"parameters": 6400.0})
    book.set_spec("synthetic", with_trials(record.spec, 3))
    executor = SyntheticExecutor(limits=SIZE)
    after = drive(ledger, executor, objective=AT_MOST, trials=3)
    assert after.trials[2].state is TrialState.INFEASIBLE
    assert after.trials[2].failure.message == "6,400 parameters, at most 3,000; not trained"
    assert not executor.bundles


def test_what_a_running_trial_was_measured_to_be_is_read_back(ledger: str) -> None:
    drive(ledger, SyntheticExecutor(), trials=1)
    book = Ledger(ledger)
    record = book.load("synthetic")
    trial = record.trials[0]
    assert trial.measured == {}
    book.start_trial("synthetic", replace(trial, number=1, state=TrialState.RUNNING), record.space)
    book.add_measured("synthetic", 1, 1234, {"parameters": 1234.0})
    read = book.load("synthetic").trials[1]
    assert (read.parameters, read.measured) == (1234, {"parameters": 1234.0})


def test_the_live_view_shows_the_best_trial_that_keeps_the_limits(ledger: str) -> None:
    progress = Progress()

    record = drive(
        ledger, SyntheticExecutor(), objective="at_least = { val_loss = 0.3 }", algorithm="random", observer=progress
    )
    progress.open(record)
    assert progress.best.number == record.best.number
    assert f"{len(record.infeasible)} infeasible" in progress.summary()
