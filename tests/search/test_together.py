"""Trials whose folds end early, apart or together: scores, pruning, and studies that are interrupted."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hpsearch.core.events import EpochFinished
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.refitting import to_refit
from hpsearch.testing.synthetic import SyntheticExecutor, curve, make_record, make_spec
from tests.search.drive import drive

MEAN = """
[[training.callbacks]]
kind = "EarlyStopping"
monitor = "val_accuracy"
min_delta = 0.03
patience = 1
restore_best_weights = true
scope = "mean"
"""


def told(trials):
    return [(one.config, one.state, one.score, one.epoch, [fold.curves for fold in one.folds]) for one in trials]


@pytest.fixture
def whole(tmp_path: Path):
    """A study that nothing has disturbed."""
    return drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), search=MEAN, epochs=12, trials=5)


def test_all_folds_end_together_by_their_mean_and_the_trial_is_complete(whole) -> None:
    for trial in whole.trials:
        assert trial.state is TrialState.COMPLETE
        folds = [curve(trial.config, fold, 12)["val_accuracy"] for fold in range(3)]
        mean = [sum(values) / 3 for values in zip(*folds, strict=True)]
        gains = [after - before for before, after in pairwise(mean)]
        stop = next(epoch for epoch, gain in enumerate(gains, start=2) if gain < 0.03)
        assert [(fold.epochs, fold.stopped, fold.kept) for fold in trial.folds] == [(stop, True, stop - 1)] * 3
        assert trial.epoch == stop - 1 == trial.refit_epochs
        assert trial.score == pytest.approx(mean[stop - 2])
        assert trial.parameters == 100 * int(trial.config["units"])


def test_timing_deaths_and_interruptions_change_nothing(whole, tmp_path: Path) -> None:
    schedule = Schedule(startup=4, batch=1)
    several = drive(
        f"sqlite:///{tmp_path}/several.db",
        SyntheticExecutor(slots=3, order=lambda waiting: waiting - 1),
        schedule=schedule, search=MEAN, epochs=12, trials=5,
    )  # fmt: skip
    assert told(several.trials) == told(whole.trials)
    died = set()

    def dies(bundle):
        first = not died & {*bundle.trials}
        died.update(bundle.trials)
        return first

    deadly = drive(f"sqlite:///{tmp_path}/d.db", SyntheticExecutor(dies=dies), search=MEAN, epochs=12, trials=5)
    assert died
    assert told(deadly.trials) == told(whole.trials)
    steps = iter(range(1000))
    uri = f"sqlite:///{tmp_path}/stopped.db"
    half = drive(uri, SyntheticExecutor(), interrupted=lambda: next(steps) > 9, search=MEAN, epochs=12, trials=5)
    assert any(not trial.state.finished for trial in half.trials)
    assert told(drive(uri, SyntheticExecutor(), search=MEAN, epochs=12, trials=5).trials) == told(whole.trials)


def record_with(trials, **changes):
    spec = make_spec("sqlite:///none.db", pruning="median", epochs=12, **changes)
    return replace(make_record(spec), trials=tuple(trials))


CONFIG = {"learning_rate": 0.01, "batch_size": 32, "epochs": 12, "units": 8, "dropout": 0.0, "optimizer": "adam"}


def ended(number: int, *curves: tuple[float, ...], stopped: bool = False) -> Trial:
    folds = tuple(
        FoldResult(fold, {"val_accuracy": values}, 0.0, 1.0, stopped=stopped) for fold, values in enumerate(curves)
    )
    return Trial(number, CONFIG, TrialState.COMPLETE, score=0.5, epoch=len(curves[0]), folds=folds)


def test_a_fold_that_has_ended_early_does_not_keep_its_trial_from_being_pruned() -> None:
    rising = tuple(0.1 * (epoch + 1) for epoch in range(9)) + (0.9,) * 3
    monitor = PruningMonitor(record_with([ended(number, rising, rising, rising) for number in range(5)]))
    monitor.start(Trial(5, CONFIG))
    for epoch in range(3):  # as good as the others' average so far
        for fold in range(3):
            assert monitor.epoch(EpochFinished(5, fold, epoch, {"val_accuracy": 0.2}), 12) is None
    monitor.fold_ended(5, FoldResult(0, {"val_accuracy": (0.2, 0.2, 0.2)}, 0.0, 1.0, stopped=True))
    assert monitor.epoch(EpochFinished(5, 1, 3, {"val_accuracy": 0.2}), 12) is None
    assert "after 4 epochs" in str(monitor.epoch(EpochFinished(5, 2, 3, {"val_accuracy": 0.2}), 12))


def test_trials_that_have_ended_early_stay_rivals_with_their_last_values() -> None:
    early = (0.5, 0.6, 0.7)
    monitor = PruningMonitor(record_with([ended(n, early, early, early, stopped=True) for n in range(5)]))
    monitor.start(Trial(5, CONFIG))
    rising = [0.6, 0.6, 0.6, 0.6, 0.6, 0.6]  # the others' average is 0.6, 0.625, …
    reasons = [
        monitor.epoch(EpochFinished(5, fold, epoch, {"val_accuracy": value}), 12)
        for epoch, value in enumerate(rising)
        for fold in range(3)
    ]
    assert [reason is not None for reason in reasons[8::3]] == [False, True, True, True]


def test_the_refit_trains_for_the_median_and_with_the_folds_median_rates() -> None:
    folds = tuple(
        FoldResult(n, {"val_accuracy": (0.5,) * len(rates), "learning_rate": rates}, 0.0, 1.0, stopped=True, kept=kept)
        for n, (rates, kept) in enumerate([((0.1,) * 2, 1), ((0.1, 0.1, 0.01, 0.01), 3), ((0.1, 0.05, 0.05), 2)])
    )
    order = to_refit(Trial(0, CONFIG, TrialState.COMPLETE, score=0.5, epoch=2, folds=folds))
    assert order.epochs == 2
    assert order.fold_epochs == (1, 3, 2)
    assert order.rates == (0.1, 0.1, 0.05, 0.05)
    assert order.fold_rates[1] == (0.1, 0.1, 0.01, 0.01)
    plain = Trial(0, CONFIG, TrialState.COMPLETE, score=0.5, epoch=2, folds=ended(0, (0.1, 0.2, 0.1)).folds)
    assert (to_refit(plain).epochs, to_refit(plain).rates) == (2, ())
