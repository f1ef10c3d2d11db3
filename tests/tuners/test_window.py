"""The part of a long history that TPE reads: a function of the history alone, and all of a short one."""

import random
from dataclasses import replace

import pytest

from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.synthetic import make_record, make_spec
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.window import BEST, BLOCK, KEPT, Window

SPACE = make_record(make_spec("sqlite:///unused.db")).space


def history(count: int, running: int = 0) -> list[Trial]:
    rng, dimensions = random.Random(5), Dimensions(SPACE)
    found = []
    for number in range(count):
        state = rng.choices([TrialState.COMPLETE, TrialState.PRUNED, TrialState.DIVERGED], [8, 1, 1])[0]
        score = None if state is TrialState.DIVERGED else rng.random()
        found.append(Trial(number, dimensions.uniform(number), state, score=score, epoch=1, finished=1.0))
    return [one if one.number < count - running else Trial(one.number, one.config) for one in found]


def test_a_short_history_is_read_as_a_whole():
    trials = history(KEPT + BLOCK - 1)
    assert Window("maximize").of(trials) == trials


def test_a_long_history_has_its_best_and_its_latest_read():
    trials = history(1300, running=40)
    read = Window("maximize").of(trials)
    start = (1260 - KEPT) // BLOCK * BLOCK
    scored = [one for one in trials[:start] if one.state is TrialState.COMPLETE]
    best = sorted(scored, key=lambda one: -(one.score or 0.0))[:BEST]
    assert read == sorted(best, key=lambda one: one.number) + trials[start:]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_window_that_was_kept_is_one_made_anew(direction):
    trials, kept = history(1200), Window(direction)
    for end in (100, 640, 900, 1100, 1199, 700, 1200):
        assert kept.of(trials[:end]) == Window(direction).of(trials[:end])
    other = [replace(one, score=1 - one.score) if one.score is not None else one for one in trials]
    assert kept.of(other) == Window(direction).of(other)


@pytest.mark.parametrize("algorithm", ["tpe", "random"])
def test_a_tuner_that_was_kept_suggests_what_one_made_anew_does(algorithm):
    settings, trials = TunerSettings(SPACE, "maximize", 3), history(800)
    kept = make_tuner("optuna", algorithm, settings)
    for end in (KEPT + BLOCK - 1, KEPT + BLOCK, KEPT + BLOCK + 1, 760, 800):
        assert kept.suggest(trials[:end]) == make_tuner("optuna", algorithm, settings).suggest(trials[:end])
