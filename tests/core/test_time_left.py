"""How long a study still takes, on a clock of the test's own."""

import time

import pytest

from hpsearch.core.time_left import TimeLeft


def trained(left: TimeLeft, trial: int, *, at: float, pause: float, epochs: int, seconds: float) -> float:
    """One trial: a pause, then epochs; returns the time after."""
    for number in range(epochs):
        at += seconds + (pause if number == 0 else 0.0)
        left.epoch(trial, at)
    return at


def test_what_is_compiled_once_is_not_counted_for_every_trial() -> None:
    left, now = TimeLeft(0.0), 0.0
    for trial in range(4):
        left.trial_started(trial, "one program for all")
        now = trained(left, trial, at=now, pause=30.0 if trial == 0 else 0.0, epochs=10, seconds=0.1)
    left.estimate(now, epochs=160, trials=16)
    assert left.at(now) == pytest.approx(16.0, rel=0.05)


def test_trials_with_programs_of_their_own_have_pauses_of_their_own() -> None:
    left, now = TimeLeft(0.0), 0.0
    for trial in range(4):
        left.trial_started(trial, trial)
        now = trained(left, trial, at=now, pause=30.0, epochs=10, seconds=0.1)
    left.estimate(now, epochs=160, trials=16)
    assert left.at(now) == pytest.approx(16.0 + 16 * 30.0, rel=0.05)


def test_no_more_programs_are_expected_than_there_can_be() -> None:
    left, now = TimeLeft(0.0, programs=6), 0.0
    for trial in range(4):
        left.trial_started(trial, trial)
        now = trained(left, trial, at=now, pause=30.0, epochs=10, seconds=0.1)
    left.estimate(now, epochs=160, trials=16)
    assert left.at(now) == pytest.approx(16.0 + 2 * 30.0, rel=0.05)


def test_the_rate_is_that_of_late() -> None:
    left, now = TimeLeft(0.0), 0.0
    left.trial_started(0, "a")
    now = trained(left, 0, at=now, pause=0.0, epochs=10, seconds=1.0)
    now = trained(left, 0, at=now, pause=0.0, epochs=10, seconds=0.1)
    left.estimate(now, epochs=100, trials=0)
    assert left.at(now) == pytest.approx(10.0, rel=0.05)


def test_it_never_rises_while_nothing_changes_and_never_falls_below_nothing() -> None:
    left = TimeLeft(0.0)
    assert left.at(1.0) is None
    left.trial_started(0, "a")
    now = trained(left, 0, at=0.0, pause=1.0, epochs=5, seconds=1.0)
    left.estimate(now, epochs=10, trials=0)
    told = [left.at(now + later) for later in (0.0, 1.0, 9.0, 60.0)]
    assert told == sorted(told, reverse=True)
    assert told[0] - told[1] == pytest.approx(1.0)
    assert told[-1] == 0.0


def test_programs_that_running_trials_still_compile_are_counted() -> None:
    left = TimeLeft(0.0)
    for trial in range(3):
        left.trial_started(trial, trial)
    now = trained(left, 0, at=0.0, pause=30.0, epochs=10, seconds=0.1)
    left.estimate(now, epochs=20, trials=0)
    assert left.at(now) == pytest.approx(2.0 + 2 * 30.0, rel=0.05)


def test_many_epochs_cost_no_more_each_than_few() -> None:
    """The live view is told of every epoch by the driver's thread."""

    def seconds(epochs: int) -> float:
        left = TimeLeft(0.0)
        left.trial_started(0, 0)
        began = time.process_time()
        for number in range(epochs):
            left.epoch(0, float(number))
            left.estimate(float(number), epochs=10.0, trials=1)
            left.at(float(number))
        return time.process_time() - began

    assert seconds(40_000) < 20 * seconds(4_000) + 0.5
