"""Trials that are stopped between folds, by the driver with synthetic training and in a real study with ``fit``."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hpsearch import analysis, study
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.search.drive import drive


class Killed(BaseException):
    """Ends the driver where ``kill -9`` might."""


class Killing(Observer):
    """Kills the driver once a fold is in the ledger and before anything follows from it."""

    def __init__(self, after: int) -> None:
        self.left = after

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def told(record: StudyRecord) -> list[object]:
    return [
        (dict(t.config), t.state, t.score, t.fold_scores, [f.fold for f in t.folds], t.failure and t.failure.message)
        for t in record.trials
    ]


RULES = {"trials": 14, "folds": 4, "fold_rule": "aggressive"}


def test_a_stopped_trial_has_its_first_folds_is_pruned_and_not_ranked(tmp_path: Path) -> None:
    executor = SyntheticExecutor()
    record = drive(f"sqlite:///{tmp_path}/ledger.db", executor, **RULES)
    pruned = [trial for trial in record.trials if trial.state is TrialState.PRUNED]
    complete = [trial for trial in record.trials if trial.state is TrialState.COMPLETE]
    assert pruned
    assert len(complete) + len(pruned) == 14
    for trial in pruned:
        assert [fold.fold for fold in trial.folds] == list(range(len(trial.folds)))
        assert 0 < len(trial.folds) == len(trial.fold_scores) < 4
        assert trial.score == pytest.approx(sum(trial.fold_scores) / len(trial.fold_scores))
        assert trial.failure.kind == "pruned"
        assert trial.failure.message.startswith(f"after {len(trial.folds)} of 4 folds: ")
        assert trial not in record.ranked
    assert all(len(bundle.lanes) == 1 for bundle in executor.bundles), "fold by fold"
    assert analysis.cost_info(record).saved_epochs == 4 * sum(4 - len(trial.folds) for trial in pruned)
    assert len(executor.trained) == sum(len(trial.folds) for trial in record.trials)


@pytest.mark.parametrize("after", [1, 6, 9, 15, 21])
@pytest.mark.parametrize("window", [1, 3])
def test_after_a_kill_the_decisions_are_those_of_an_uninterrupted_study(
    tmp_path: Path, after: int, window: int
) -> None:
    whole = drive(
        f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(slots=window), schedule=Schedule(lag=window - 1), **RULES
    )
    ledger = f"sqlite:///{tmp_path}/killed.db"
    first = SyntheticExecutor(slots=window)
    with pytest.raises(Killed):
        drive(ledger, first, schedule=Schedule(lag=window - 1), observer=Killing(after), **RULES)
    second = SyntheticExecutor(slots=window)
    resumed = drive(ledger, second, schedule=Schedule(lag=window - 1), **RULES)
    assert told(resumed) == told(whole)
    assert not set(first.trained[:after]) & set(second.trained), "a finished fold was trained again"


def test_timing_of_parallel_workers_changes_no_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, judge, compared = [], PruningMonitor.folds, []

    def folds(self: PruningMonitor, results: Mapping[int, FoldResult], known: Sequence[Trial]) -> str | None:
        compared.append(known)
        return judge(self, results, known)

    monkeypatch.setattr(PruningMonitor, "folds", folds)
    for seed in range(4):
        executor = SyntheticExecutor(slots=3, order=random.Random(seed).randrange)
        runs.append(
            drive(f"sqlite:///{tmp_path}/{seed}.db", executor, schedule=Schedule(lag=2), trials_per_bundle=2, **RULES)
        )
    assert all(trial.state.finished for known in compared for trial in known), "whatever the timing"
    assert any(trial.state is TrialState.PRUNED for trial in runs[0].trials)
    assert all(told(run) == told(runs[0]) for run in runs)


def test_a_worker_that_dies_changes_no_decision(tmp_path: Path) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), **RULES)
    died: list[int] = []

    def dies(bundle: object) -> bool:
        died.append(1)
        return len(died) in (3, 9)

    record = drive(f"sqlite:///{tmp_path}/died.db", SyntheticExecutor(dies=dies), **RULES)
    assert told(record) == told(whole)


STUDY = """
name = "{name}"
seed = 5
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
family = "mlp"
[space]
learning_rate = {{ low = 0.000001, high = 0.1, log = true }}
epochs = 1
batch_size = 32
units = 4
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
startup_trials = 1
batch = 1
trials = 4
[pruning]
folds = "aggressive"
[resources]
engine = "fit"
backend = "jax"
executor = "inline"
[tracking]
ledger = "sqlite:///ledger.db"
uri = "http://127.0.0.1:1"
"""


@pytest.mark.slow
def test_a_fit_study_that_is_killed_goes_on_with_the_same_decisions(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("whole", "killed"):
        Path(f"{name}.toml").write_text(STUDY.format(name=name))
    whole = study.run("whole.toml").record
    folds = [len(trial.folds) for trial in whole.trials]
    assert any(trial.state is TrialState.PRUNED for trial in whole.trials)
    stopped = next(trial for trial in whole.trials if trial.state is TrialState.PRUNED)
    with pytest.raises(Killed):
        study.run("killed.toml", observer=Killing(sum(folds[: stopped.number + 1])))
    resumed = study.resume("killed", ledger="sqlite:///ledger.db").record
    assert told(resumed) == told(whole)
    assert analysis.cost_info(resumed).saved_epochs == sum(2 - count for count in folds)
