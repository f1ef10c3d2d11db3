"""The driver on real tuners and a real ledger; only the training is synthetic."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.events import Bundle
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Constant
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState
from hpsearch.errors import ExecutorError, ModelError, StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.observer import Observer
from hpsearch.testing.synthetic import SyntheticExecutor, curve
from tests.search.drive import drive
from tests.tuners.support import ALGORITHMS

PAIRS = [
    pytest.param(tuner, algorithm, marks=[pytest.mark.slow] if tuner == "keras-tuner" else [])
    for tuner, algorithms in ALGORITHMS.items()
    for algorithm in algorithms
]


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def configs(record: StudyRecord) -> list[dict]:
    return [dict(trial.config) for trial in record.trials]


def test_every_trial_has_all_folds_and_the_score_of_its_mean_curve(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor())
    assert len(record.trials) == 12
    for trial in record.trials:
        assert trial.state is TrialState.COMPLETE
        assert [fold.fold for fold in trial.folds] == [0, 1, 2]
        expected = [curve(trial.config, fold, 4)["val_accuracy"][-1] for fold in range(3)]
        assert trial.fold_scores == tuple(expected)
        assert trial.score == pytest.approx(sum(expected) / 3)
        assert trial.epoch == 4
        assert trial.parameters == 100 * int(trial.config["units"])
    assert record.best == max(record.trials, key=lambda trial: (trial.score, -trial.number))


def test_the_ledger_is_an_optuna_study_that_its_tools_understand(ledger: str) -> None:
    import optuna

    record = drive(ledger, SyntheticExecutor())
    study = optuna.load_study(study_name="synthetic", storage=ledger)
    assert study.best_trial.number == record.best.number
    assert study.best_value == record.best.score
    fixed = {name for name, one in record.space.items() if isinstance(one, Constant)}
    assert study.best_params == {name: one for name, one in record.best.config.items() if name not in fixed}
    assert {"std", "epoch", "seconds"} <= set(study.best_trial.user_attrs) <= {"std", "epoch", "seconds", "weights"}
    assert list(study.trials[0].intermediate_values) == [0, 1, 2, 3]
    assert study.trials[0].system_attrs["fold:1"]["curves"]["val_accuracy"] == list(
        record.trials[0].folds[1].curves["val_accuracy"]
    )
    for figure in (
        optuna.visualization.plot_optimization_history(study),
        optuna.visualization.plot_intermediate_values(study),
        optuna.visualization.plot_slice(study, params=["learning_rate"]),
    ):
        assert figure.data


@pytest.mark.parametrize(("tuner", "algorithm"), PAIRS)
def test_after_kill_9_and_resume_the_sequence_is_that_of_an_uninterrupted_study(
    tmp_path: Path, tuner: str, algorithm: str
) -> None:
    if algorithm == "gp":
        pytest.importorskip("torch", reason="the gp extra is not installed")
    trials = 9 if tuner == "keras-tuner" else 12
    slots = 2
    options: dict[str, Any] = {"tuner": tuner, "algorithm": algorithm, "trials": trials}
    options["schedule"] = Schedule(startup=4, batch=slots)
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(slots=slots), **options)
    ledger = f"sqlite:///{tmp_path}/killed.db"
    kill_at = 22
    numbers = map(str, (trials, kill_at, slots))
    trained = tmp_path / "trained.json"
    command = [sys.executable, "-m", "tests.search.drive", ledger, str(trained), tuner, algorithm, *numbers]
    assert subprocess.run(command, check=False).returncode == -9
    before = json.loads(trained.read_text())
    executor = SyntheticExecutor(slots=slots)
    resumed = drive(ledger, executor, **options)
    assert configs(resumed) == configs(whole)
    assert [trial.score for trial in resumed.trials] == [trial.score for trial in whole.trials]
    assert 0 < len(before) < 3 * trials
    assert not {tuple(lane) for lane in before} & set(executor.trained), "a finished fold was trained again"
    assert len(before) + len(executor.trained) == 3 * trials


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes"])
def test_timing_of_parallel_workers_does_not_change_the_suggestions(tmp_path: Path, algorithm: str) -> None:
    runs = []
    for seed in range(3):
        shuffled = random.Random(seed)
        executor = SyntheticExecutor(slots=3, order=shuffled.randrange)
        runs.append(drive(f"sqlite:///{tmp_path}/{seed}.db", executor, schedule=Schedule(lag=2), algorithm=algorithm))
    assert configs(runs[0]) == configs(runs[1]) == configs(runs[2])


@pytest.mark.parametrize(
    ("schedule", "known"),
    [
        (Schedule(lag=2), [0, 0, 0, 1, 2, 3, 4, 5]),
        (Schedule(startup=3, batch=2), [0, 0, 0, 3, 3, 5, 5, 7]),
        (Schedule(startup=3, batch=2, lag=1), [0, 0, 0, 2, 2, 4, 4, 6]),
        (Schedule(batch=4), [0, 0, 0, 0, 4, 4, 4, 4]),
    ],
)
def test_a_suggestion_waits_for_the_results_that_it_may_know(ledger: str, schedule: Schedule, known: list[int]) -> None:
    seen: list[tuple[str, int]] = []

    class Watching(Observer):
        def trial_started(self, trial: Trial) -> None:
            seen.append(("began", trial.number))

        def trial_finished(self, trial: Trial) -> None:
            seen.append(("ended", trial.number))

    assert [schedule.known(number) for number in range(8)] == known
    drive(ledger, SyntheticExecutor(slots=3), schedule=schedule, observer=Watching(), trials=8)
    for number, before in enumerate(known):
        assert {("ended", one) for one in range(before)} <= set(seen[: seen.index(("began", number))])


def test_an_exhausted_space_ends_the_study_with_a_word(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor(), algorithm="grid", trials=10_000)
    assert len(record.trials) == 3 * 8 * 3 * 2
    assert record.notes == ("space exhausted: all 144 configs have been tried",)


def test_a_diverged_lane_ends_its_trial_visibly_and_the_study_goes_on(ledger: str) -> None:
    fate = {(2, 1): Failure(FailureKind.DIVERGED, "loss is nan in epoch 1", epoch=1)}
    record = drive(ledger, SyntheticExecutor(fate=lambda *lane: fate.get(lane)))
    assert record.trials[2].state is TrialState.DIVERGED
    assert record.trials[2].score is None
    assert record.trials[2].failure == Failure(FailureKind.DIVERGED, "loss is nan in epoch 1", fold=1, epoch=1)
    assert sum(trial.state is TrialState.COMPLETE for trial in record.trials) == 11
    assert record.trials[2] not in record.ranked


def test_the_first_trials_error_stops_the_study_with_its_traceback(ledger: str) -> None:
    failure = Failure(FailureKind.ERROR, "ValueError: bad units", traceback="Traceback: …build.py, line 3")
    with pytest.raises(ModelError) as caught:
        drive(ledger, SyntheticExecutor(fate=lambda trial, fold: failure))
    assert "the first trial failed: ValueError: bad units" in str(caught.value)
    assert "build.py, line 3" in str(caught.value)
    assert "hpsearch resume synthetic" in caught.value.hint


def test_later_errors_fail_their_trial_until_there_are_too_many_in_a_row(ledger: str) -> None:
    failure = Failure(FailureKind.ERROR, "ValueError: bad units", traceback="tb")
    broken = {2, 4, 5, 7, 8, 9}
    with pytest.raises(StudyError) as caught:
        drive(ledger, SyntheticExecutor(fate=lambda trial, fold: failure if trial in broken else None))
    assert "3 trials failed in a row (max_failures = 3); the last, trial 9: ValueError: bad units" in str(caught.value)
    # Nothing is lost: the study goes on from there once the cause is mended.
    record = drive(ledger, SyntheticExecutor())
    states = [trial.state for trial in record.trials]
    assert [number for number, state in enumerate(states) if state is TrialState.FAILED] == sorted(broken)
    assert len(states) == 12


def test_the_trials_of_a_bundle_whose_worker_died_train_again_each_alone(ledger: str, tmp_path: Path) -> None:
    together = {"schedule": Schedule(batch=4), "trials_per_bundle": 4, "trials": 8}
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), **together)
    first: list[bool] = []

    def dies(_: Bundle) -> bool:
        first.append(True)
        return len(first) == 1

    executor = SyntheticExecutor(dies=dies)
    record = drive(ledger, executor, **together)
    assert [len(bundle.trials) for bundle in executor.bundles] == [4, 1, 1, 1, 1, 4]
    assert len(executor.trained) == len(set(executor.trained)) == 8 * 3
    assert [trial.score for trial in record.trials] == [trial.score for trial in whole.trials]
    assert record.notes == ("worker process ended with signal 9; trials 0, 1, 2, 3: trained again, 2 times at most",)


def test_a_trial_that_keeps_killing_its_worker_fails_and_the_others_complete(ledger: str) -> None:
    executor = SyntheticExecutor(dies=lambda bundle: 2 in bundle.trials)
    record = drive(ledger, executor, schedule=Schedule(batch=4), trials_per_bundle=4, trials=6)
    assert [trial.number for trial in record.trials if trial.state is not TrialState.COMPLETE] == [2]
    assert record.trials[2].failure == Failure(
        "worker", "worker process ended with signal 9 (3 times; max_retries = 2)"
    )
    assert sum(2 in bundle.trials for bundle in executor.bundles) == 3


def test_workers_that_keep_dying_end_the_study_as_the_machines_fault(ledger: str) -> None:
    with pytest.raises(ExecutorError, match="3 trials failed in a row") as caught:
        drive(ledger, SyntheticExecutor(dies=lambda bundle: True))
    assert caught.value.exit_code == 7


def test_an_interrupted_study_keeps_finished_folds_and_resumes(ledger: str, tmp_path: Path) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor())
    epochs = iter(range(10_000))
    done = [0]
    first = SyntheticExecutor(on_epoch=lambda: done.append(next(epochs)))
    halfway = drive(ledger, first, interrupted=lambda: done[-1] >= 17)
    assert halfway.trials[-1].state is TrialState.RUNNING
    second = SyntheticExecutor()
    resumed = drive(ledger, second)
    assert configs(resumed) == configs(whole)
    assert not set(first.trained) & set(second.trained)


def test_pruned_trials_keep_their_curves_and_are_not_ranked(ledger: str) -> None:
    record = drive(ledger, SyntheticExecutor(), pruning="successive-halving", trials=24, epochs=8)
    pruned = [trial for trial in record.trials if trial.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert 3 <= trial.folds[0].epochs < 8
        assert trial.failure.kind == "pruned"
        assert trial.failure.message
        assert trial.score is not None
    assert record.best.state is TrialState.COMPLETE
    assert all(trial not in record.ranked for trial in pruned)


@pytest.mark.parametrize("algorithm", ["tpe", "bayesian"])
def test_any_number_of_workers_up_to_a_batch_gives_the_same_study(tmp_path: Path, algorithm: str) -> None:
    tuner = "hpsearch" if algorithm == "bayesian" else "optuna"
    runs, busy = [], []
    for slots in (1, 2, 4):
        executor = SyntheticExecutor(slots=slots)
        runs.append(
            drive(
                f"sqlite:///{tmp_path}/{slots}.db",
                executor,
                schedule=Schedule(startup=4, batch=4),
                trials_per_bundle=8,
                tuner=tuner,
                algorithm=algorithm,
            )
        )
        busy.append([len(bundle.trials) for bundle in executor.bundles])
    assert configs(runs[0]) == configs(runs[1]) == configs(runs[2])
    assert busy == [[4, 4, 4], [2] * 6, [1] * 12], "workers share a batch"
