"""Which bundles are overdue, by a clock that the test sets."""

import pytest

from hpsearch.core.events import (
    Bundle,
    BundleFinished,
    BundleStarted,
    EpochFinished,
    Lane,
    LaneFinished,
    WorkerDied,
)
from hpsearch.core.trial import FoldResult
from hpsearch.search.watchdog import Watchdog
from hpsearch.spec import ResourcesSection


class Clock:
    """Goes as the test says, seen by a driver that looks twice a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def run(self, watchdog: Watchdog, seconds: float) -> list[str]:
        found = []
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            found += [reason for _, reason in watchdog.overdue()]
        return found

    def listen(self, watchdog: Watchdog, seconds: float) -> list[str]:
        found = []
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            found += watchdog.silent()
        return found


def bundle(*trials: int, id: int = 0) -> Bundle:
    return Bundle(id, tuple(Lane(trial, fold, {}) for trial in trials for fold in range(2)))


def epoch(trial: int, number: int, fold: int = 0) -> EpochFinished:
    return EpochFinished(trial, fold, number, {})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watching(clock: Clock, *trials: int, spent: float = 0.0, **limits: float) -> Watchdog:
    watchdog = Watchdog(ResourcesSection(**limits), clock=clock)
    watchdog.submitted(bundle(*trials), spent)
    return watchdog


def test_an_epoch_is_too_long_once_its_worker_has_reported_nothing_for_the_limit(clock: Clock) -> None:
    watchdog = watching(clock, 4, epoch_timeout=10)
    assert clock.run(watchdog, 60) == [], "the worker starts and loads the data"
    watchdog.heard(BundleStarted(0))
    assert clock.run(watchdog, 9) == []
    watchdog.heard(epoch(4, 0))
    assert clock.run(watchdog, 9) == []
    watchdog.heard(epoch(4, 1, fold=1))
    (reason,) = clock.run(watchdog, 60)
    assert reason == "no epoch has ended for 10 s since epoch 2 of fold 1; [resources] epoch_timeout = 10"
    watchdog.heard(WorkerDied(bundle(4), reason, ended=True))
    assert clock.run(watchdog, 60) == []


@pytest.mark.parametrize(("trials", "spent", "allowed"), [((4,), 0.0, 20), ((4,), 12.5, 7), ((4, 5, 6), 0.0, 60)])
def test_a_trial_has_its_time_over_all_bundles_and_trials_together_that_of_all(
    clock: Clock, trials: tuple[int, ...], spent: float, allowed: int
) -> None:
    watchdog = watching(clock, *trials, spent=spent, trial_timeout=20)
    watchdog.heard(BundleStarted(0))
    for second in range(allowed):
        watchdog.heard(epoch(4, second))
        assert clock.run(watchdog, 1) == []
    watchdog.heard(epoch(4, 99))
    (reason,) = clock.run(watchdog, 1)
    together = " together with 2 others" if len(trials) > 1 else ""
    words = "1 min 00 s" if len(trials) > 1 else "20 s"
    assert reason == f"it has trained for {words}{together}; [resources] trial_timeout = 20"


def test_other_bundles_news_do_not_count(clock: Clock) -> None:
    watchdog = watching(clock, 4, epoch_timeout=10)
    watchdog.submitted(bundle(5, id=1), 0.0)
    for number in (0, 1):
        watchdog.heard(BundleStarted(number))
    found = []
    for second in range(15):
        watchdog.heard(epoch(5, second))
        found += clock.run(watchdog, 1)
    assert len(found) == 1
    watchdog.heard(BundleFinished(1))
    assert watchdog.running == "trial 4"


def test_the_time_in_which_the_driver_itself_was_suspended_is_no_workers_fault(clock: Clock) -> None:
    watchdog = watching(clock, 4, epoch_timeout=30, trial_timeout=100)
    watchdog.heard(BundleStarted(0))
    clock.now += 7200
    assert not list(watchdog.overdue())
    assert not list(watchdog.silent())
    assert clock.run(watchdog, 24) == []
    assert len(clock.run(watchdog, 10)) == 1


def test_silence_is_told_once_and_again_after_the_next_sign_of_life(clock: Clock) -> None:
    watchdog = watching(clock, 4, 5)
    watchdog.heard(BundleStarted(0))
    assert len(clock.listen(watchdog, 700)) == 1, "before the first epoch of all, after ten minutes"
    watchdog.heard(epoch(4, 0))
    watchdog.heard(LaneFinished(4, FoldResult(0, {}, 0.0, 1.0), 1))
    watchdog = watching(clock, 4, 5)
    watchdog.heard(BundleStarted(0))
    clock.run(watchdog, 1)
    watchdog.heard(epoch(4, 0))
    (said,) = clock.listen(watchdog, 1000)
    assert said == (
        "the worker of trials 4, 5 has reported nothing for 2 min 00 s since epoch 1 of fold 0; "
        "[resources] epoch_timeout would end it"
    )
    watchdog.heard(epoch(4, 1))  # 1,000 s are usual from here on
    assert clock.listen(watchdog, 9000) == []
    assert len(clock.listen(watchdog, 2000)) == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"epoch_timeout": 9000.0, "trial_timeout": 9500.0}, "epoch_timeout = 9000 will end it"),
        ({"trial_timeout": 9500.0}, "trial_timeout = 9500 will end it"),
    ],
)
def test_silence_names_the_limit_that_is_set(clock: Clock, limits: dict, said: str) -> None:
    watchdog = watching(clock, 4, **limits)
    watchdog.heard(BundleStarted(0))
    assert clock.listen(watchdog, 700)[0].endswith(f"; [resources] {said}")


def test_a_stop_waits_for_half_a_minute_or_twice_the_longest_epoch(clock: Clock) -> None:
    watchdog = watching(clock, 4)
    watchdog.heard(BundleStarted(0))
    assert watchdog.patience == 30
    clock.run(watchdog, 40)
    watchdog.heard(epoch(4, 0))
    assert watchdog.stop() == "the running epochs of trial 4 to end, 1 min 20 s at most"
    clock.run(watchdog, 80)
    assert not watchdog.out_of_patience
    clock.run(watchdog, 1)
    assert watchdog.out_of_patience
