"""hpsearch's own tuner, told what another study has found."""

import math
from dataclasses import replace

import pytest

from hpsearch.core.space import Choice, Float, Space
from hpsearch.core.transfer import Axis, Observation, Transferred
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.other_study import OtherStudy

SPACE = Space({"rate": Float(0.001, 1.0, log=True), "kind": Choice(("a", "b")), "new": Float(0.0, 1.0)})


def truth(config):
    return -((math.log10(config["rate"]) + 1) ** 2) - (config["kind"] == "a")


RATES = [10 ** (-3 + 3 * i / 19) for i in range(20)]
SEEN = [{"rate": rate, "kind": "ab"[i % 2]} for i, rate in enumerate(RATES)]
AXES = (Axis("rate", (), 0.001, 1.0, True, 0.1), Axis("kind", ("a", "b"), usual="b"))
TAKEN = Transferred(
    "other", "accuracy", "maximize", 20,
    axes=AXES, observations=tuple(Observation(one, truth(one)) for one in SEEN), model=True,
)  # fmt: skip


def study(taken, count, seed=1):
    tuner = make_tuner("hpsearch", "bayesian", TunerSettings(SPACE, "maximize", seed, 4, taken=taken))
    trials = []
    for number in range(count):
        config = tuner.suggest(trials)
        trials.append(Trial(number, config, TrialState.COMPLETE, truth(config)))
    return trials


def test_the_other_study_knows_what_it_has_learnt():
    expected = OtherStudy(TAKEN).expects([{"rate": 0.1, "kind": "b", "new": 0.3}, {"rate": 0.001, "kind": "a"}])
    assert expected[0] > expected[1] + 1
    same = OtherStudy(TAKEN).expects([{"rate": 0.1, "kind": "b"}, {"rate": 0.1}, {}])
    assert same == pytest.approx(same[0]), "what a config does not have counts as in the other study's best trial"
    assert OtherStudy(TAKEN).expects([]).shape == (0,)


def test_values_outside_its_ranges_and_names_that_are_new_to_it():
    odd = [{"rate": 50.0, "kind": "b"}, {"rate": 0.0, "kind": "b"}, {"rate": "auto", "kind": "c"}, {"kind": True}]
    assert all(map(math.isfinite, OtherStudy(TAKEN).expects(odd)))
    ends = OtherStudy(TAKEN).expects([{"rate": 50.0, "kind": "b"}, {"rate": 1.0, "kind": "b"}])
    assert ends[0] == ends[1]


def test_smaller_scores_may_be_better_and_diverged_trials_are_worse_than_all():
    turned = tuple(Observation(one.config, -one.score) for one in TAKEN.observations)
    less = OtherStudy(replace(TAKEN, direction="minimize", observations=turned)).expects(SEEN)
    assert less == pytest.approx(OtherStudy(TAKEN).expects(SEEN))
    lost = tuple(Observation(one.config, None if one.config["rate"] > 0.4 else one.score) for one in TAKEN.observations)
    expected = OtherStudy(replace(TAKEN, observations=lost)).expects(
        [{"rate": 0.9, "kind": "b"}, {"rate": 0.01, "kind": "b"}]
    )
    assert expected[0] < expected[1] - 0.5


def test_one_trial_teaches_nothing_and_breaks_nothing():
    alone = replace(TAKEN, observations=TAKEN.observations[:1])
    assert list(OtherStudy(alone).expects(SEEN)) == pytest.approx([0.0] * 20)
    assert [one.config for one in study(alone, 7)] == [one.config for one in study(None, 7)]


def test_the_model_goes_where_the_other_study_was_good():
    near, far = ([abs(math.log10(one.config["rate"]) + 1) for one in study(taken, 6)[4:]] for taken in (TAKEN, None))
    assert max(near) < 0.35
    assert max(far) > max(near)


def test_a_tuner_that_is_made_anew_suggests_the_same():
    trials = study(TAKEN, 9)
    anew = make_tuner("hpsearch", "bayesian", TunerSettings(SPACE, "maximize", 1, 4, taken=TAKEN))
    assert [anew.suggest(trials[:n]) for n in (6, 8)] == [trials[6].config, trials[8].config]
