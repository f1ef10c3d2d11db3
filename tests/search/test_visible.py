"""What a suggestion may know, kept up to date trial by trial: always what the definition says, and the same objects."""

import random

from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import Trial, TrialState
from hpsearch.search.visible import Visible


def by_definition(known: int, trials: list[Trial]) -> list[Trial]:
    return [
        one if one.number < known or not one.state.finished else Trial(one.number, one.config, started=0.0)
        for one in trials
    ]


def test_results_are_shown_as_the_schedule_says():
    for schedule in (Schedule(), Schedule(startup=3, batch=4), Schedule(lag=7), Schedule(startup=2, lag=5)):
        rng, visible, trials = random.Random(1), Visible(), []
        for number in range(60):
            trials.append(Trial(number, {"x": number}))
            for place in range(max(0, number - 9), number + 1):  # they end in any order
                if not trials[place].state.finished and (rng.random() < 0.3 or place < number - 8):
                    trials[place] = Trial(place, {"x": place}, TrialState.COMPLETE, score=rng.random(), finished=1.0)
            asked = number + 1 if rng.random() < 0.9 else rng.randrange(number + 1)  # enqueued trials look back
            known = schedule.known(asked)
            assert visible.to(known, trials) == by_definition(known, trials)


def test_a_trial_stays_the_same_object_until_its_result_is_known():
    ended = [Trial(number, {"x": number}, TrialState.COMPLETE, score=1.0) for number in range(4)]
    visible = Visible()
    first, second, third = visible.to(2, ended), visible.to(2, ended), visible.to(3, ended)
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert [a is b for a, b in zip(second, third, strict=True)] == [True, True, False, True]
    assert third[2] is ended[2]
    first.clear()
    assert visible.to(3, ended) == third, "a list that was handed out is the caller's"
