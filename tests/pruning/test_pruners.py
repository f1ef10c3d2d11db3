"""The contract of all pruning rules, then the arithmetic of each."""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from hpsearch.core.objective import Objective
from hpsearch.core.registries import PRUNERS
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.errors import SpecError
from hpsearch.pruning import FoldCurves, Pruner, fold_stop_reason, make_pruner
from hpsearch.pruning.halving import HalvingPruner
from hpsearch.pruning.median import MedianPruner
from hpsearch.pruning.racing import RacingPruner
from hpsearch.spec import PruningSection, parse_spec
from hpsearch.testing.contracts import PRUNER_RULES
from hpsearch.testing.contracts.pruners import FIELD, MAXIMIZE, VALIDATION_RATIO, PrunerCase, reasons
from hpsearch.testing.contracts.pruners import make_curves as curves
from hpsearch.testing.contracts.pruners import make_rising_curves as rising

LAST = Objective("val_accuracy", "maximize", "last")
METHODS = ("median", "successive-halving", "racing")
"""The rules that compare a trial with others."""


def pruner(method: str, objective: Objective = MAXIMIZE, **settings) -> Pruner:
    spec = PruningSection.model_validate({"method": method, **settings})
    made = make_pruner(spec, objective, validation_ratio=VALIDATION_RATIO)
    assert made is not None
    return made


def test_method_none_makes_no_pruner():
    assert make_pruner(PruningSection(), MAXIMIZE, validation_ratio=VALIDATION_RATIO) is None


@pytest.mark.parametrize("method", PRUNERS.names())
@pytest.mark.parametrize("rule", PRUNER_RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[PrunerCase], None], method: str):
    rule(PrunerCase(PRUNERS.load_class(method, Pruner)))


@pytest.mark.parametrize("method", METHODS)
class TestComparison:
    def test_stops_a_hopeless_trial_and_says_when(self, method):
        found = [reason for reason in reasons(pruner(method), 0.5) if reason]
        assert found
        assert all("epoch" in reason or "rung" in reason for reason in found)

    def test_never_stops_the_best(self, method):
        assert set(reasons(pruner(method), 0.99)) == {None}

    @pytest.mark.parametrize("min_epochs", [1, 4, 7])
    def test_stops_as_soon_as_min_epochs_allows(self, method, min_epochs):
        said = reasons(pruner(method, min_epochs=min_epochs), 0.3)
        first = next(n for n, reason in enumerate(said, 1) if reason)
        assert first == max(min_epochs, 2 if method == "racing" else 1)

    def test_alone_or_first_goes_on(self, method):
        rule = pruner(method)
        assert set(reasons(rule, 0.5, others=[])) == {None}
        assert set(reasons(rule, 0.5, others=FIELD[:1])) == {None}

    def test_others_that_diverged_do_no_harm(self, method):
        rule = pruner(method)
        broken = [curves(50, *[[math.nan] * 20] * 5), curves(51, *[[0.5, math.nan]] * 5)]
        assert any(reasons(rule, 0.5, others=[*FIELD, *broken]))
        assert set(reasons(rule, 0.99, others=[*FIELD, *broken])) == {None}


def test_folds_must_be_of_one_length():
    with pytest.raises(ValueError, match=r"trial 3: all folds must have the same length, but got lengths \[2, 1\]"):
        curves(3, [0.1, 0.2], [0.1])


def test_hyperband_shares_out_the_trials_over_brackets_by_their_numbers():
    """Three brackets over the rungs 3 and 9: of 17 trials, 9, 5 and 3 (Li et al. 2018, algorithm 1)."""
    rule = pruner("hyperband", min_epochs=3, reduction_factor=3)
    brackets = [rule.bracket(number, 20) for number in range(34)]
    assert [brackets[:17].count(b) for b in range(3)] == [9, 5, 3]
    assert brackets[17:] == brackets[:17]
    assert all({0, 1, 2} == set(brackets[start : start + 8]) for start in range(20)), "they take turns"
    assert brackets == [pruner("hyperband").bracket(number, 20) for number in range(34)], "a resumed study has the same"


def test_hyperband_halves_within_a_bracket_and_the_last_one_stops_nobody():
    rule, halving = pruner("hyperband"), pruner("successive-halving")
    numbers = {b: [n for n in range(60) if rule.bracket(n, 20) == b] for b in range(3)}
    field = [rising(n, 0.96 + 0.001 * (n % 7), 20) for n in range(60)]

    def stops(number, made, others):
        said = (made.stop_reason(replace(rising(number, 0.6, n), trial=number), others) for n in range(1, 20))
        return [n for n, reason in enumerate(said, 1) if reason]

    for bracket, first in ((0, 3), (1, 9)):
        number = numbers[bracket][-1]
        own = [field[n] for n in numbers[bracket] if n != number]
        strangers = [one for one in field if one.trial not in numbers[bracket]]
        assert stops(number, rule, field)[0] == first
        assert stops(number, rule, own) == stops(number, rule, field)
        assert stops(number, rule, strangers) == []
        assert stops(number, rule, own) == [n for n in stops(number, halving, own) if n >= first]
    assert stops(numbers[2][-1], rule, field) == []


@pytest.mark.parametrize("epochs", [1, 3, 4, 100, 10**9])
def test_hyperband_has_brackets_for_any_number_of_epochs(epochs):
    rule = pruner("hyperband", min_epochs=1, reduction_factor=2)
    assert rule.bracket(10**6, epochs) >= 0
    assert rule.stop_reason(curves(7, [0.5], epochs=epochs), [curves(6, [0.9], epochs=3)]) is None


def finished(number, *scores, metric="val_accuracy", state=TrialState.COMPLETE):
    folds = tuple(FoldResult(fold, {metric: (value,)}, 0.0, 1.0) for fold, value in enumerate(scores))
    return Trial(number, {}, state, score=sum(scores) / len(scores), epoch=0, fold_scores=scores, folds=folds)


@pytest.mark.parametrize("flip", [False, True])
def test_fold_rules_compare_the_mean_of_the_first_folds_with_the_best_trial(flip):
    """Bergman, Purucker & Hutter 2024: forgiving with its worst fold, aggressive with its mean."""
    sign = -1 if flip else 1
    objective = Objective("val_accuracy", "minimize" if flip else "maximize")

    def stops(rule, *scores, others=((0.75, 1.0, 0.5), (0.25, 0.25, 0.25))):
        known = [finished(n, *[sign * value for value in one]) for n, one in enumerate(others)]
        own = finished(9, *[sign * value for value in scores]).folds
        return fold_stop_reason(rule, objective, own, 3, known)

    assert [bool(stops("aggressive", *s)) for s in ((0.74,), (0.75,), (1.0, 0.25), (1.0, 0.5))] == [1, 0, 1, 0]
    assert [bool(stops("forgiving", *s)) for s in ((0.49,), (0.5,), (0.75, 0.125), (0.75, 0.25))] == [1, 0, 1, 0]
    assert stops("forgiving", 0.1, 0.1, 0.1) is None, "all folds: complete"
    assert stops("forgiving", 0.1, others=()) is None
    assert stops("forgiving", math.nan)


def test_fold_rules_say_what_they_compared_and_skip_folds_without_a_value():
    best = finished(4, 0.8, 0.9, 0.7)
    reason = fold_stop_reason("forgiving", MAXIMIZE, finished(9, 0.5, 0.6).folds, 3, [best])
    assert reason == "after 2 of 3 folds: 0.55 is worse than 0.7, the worst fold of trial 4"
    assert "0.8, the score of trial 4" in fold_stop_reason("aggressive", MAXIMIZE, finished(9, 0.5).folds, 3, [best])
    without = finished(9, 0.5, metric="loss").folds
    assert fold_stop_reason("aggressive", MAXIMIZE, without, 3, [best]) is None
    pruned = finished(2, 0.99, state=TrialState.PRUNED)
    assert fold_stop_reason("aggressive", MAXIMIZE, finished(9, 0.5).folds, 3, [pruned]) is None


@pytest.mark.parametrize(
    ("pruning", "code"),
    [
        ('method = "median", folds = "forgiving"', "conflicting-keys"),
        ('folds = "brutal"', None),
    ],
)
def test_a_fold_rule_that_cannot_work_is_refused(pruning, code):
    text = f"""
    name = "x"
    data = {{ source = "sklearn:digits" }}
    model = {{ family = "mlp" }}
    objective = {{ metric = "val_accuracy", direction = "maximize" }}
    pruning = {{ {pruning} }}
    """
    with pytest.raises(SpecError, match=r"pruning\.folds"):
        parse_spec(text)
    if code:
        holdout = text.replace(pruning, 'folds = "forgiving"') + '    validation = { method = "holdout" }\n'
        with pytest.raises(SpecError, match="has only one"):
            parse_spec(holdout)


def test_median_is_googles_rule():
    # Running averages up to epoch 3 of the complete trials: 0.2, 0.3, 0.4, so the bar is 0.3.
    field = [curves(i, [b - 0.1, b + 0.2, b - 0.1, 0.9], epochs=4) for i, b in enumerate((0.2, 0.3, 0.4))]
    running = curves(8, [0.9, 0.9, 0.9], epochs=4)
    rule = MedianPruner(MAXIMIZE, min_epochs=3, startup_trials=3)
    assert rule.stop_reason(curves(9, [0.31, 0.0, 0.0], epochs=4), [*field, running]) is None, "the best so far counts"
    assert rule.stop_reason(curves(9, [0.29, 0.0, 0.0], epochs=4), [*field, running]) == (
        "after 3 epochs: 0.29 is worse than 0.3, the median of 3 complete trials"
    )
    waiting = MedianPruner(MAXIMIZE, min_epochs=3, startup_trials=4)
    assert waiting.stop_reason(curves(9, [0.0] * 3, epochs=4), [*field, running]) is None


def test_last_epoch_rule_ignores_a_better_past():
    rule = MedianPruner(LAST, min_epochs=3, startup_trials=3)
    field = [curves(i, [0.3] * 4, epochs=4) for i in range(3)]
    assert rule.stop_reason(curves(9, [0.9, 0.9, 0.2], epochs=4), field)


@pytest.mark.parametrize("method", ["median", "successive-halving"])
def test_a_trial_without_a_finite_value_is_the_worst(method):
    assert pruner(method).stop_reason(curves(9, *[[math.nan] * 3] * 5), FIELD)


def test_halving_rungs():
    rule = HalvingPruner(MAXIMIZE, min_epochs=3, reduction_factor=3)
    assert rule.rungs(20) == [3, 9]
    assert rule.rungs(27) == [3, 9], "the end is no rung"
    assert rule.rungs(28) == [3, 9, 27]
    assert rule.rungs(3) == []


def test_halving_keeps_exactly_the_best_fraction_of_a_bundle():
    """All trials of a bundle reach the rung together; those asked first must not pass unopposed."""
    rule = HalvingPruner(MAXIMIZE, min_epochs=3, reduction_factor=3)
    tops = [0.90 + 0.01 * i for i in range(8)]
    alive: dict[int, FoldCurves] = {}
    stopped: dict[int, str] = {}
    for n, i in itertools.product(range(1, 9), range(8)):
        if i not in stopped:
            alive[i] = rising(i, tops[i], n, noise=0.0)
            if reason := rule.stop_reason(alive[i], [c for j, c in alive.items() if j != i]):
                stopped[i] = reason
    assert sorted(set(range(8)) - set(stopped)) == [6, 7]
    assert stopped[5] == "rung 3: 0.9094 is not among the best third of 8 trials"


def test_halving_ties_share_a_place():
    rule = HalvingPruner(MAXIMIZE, min_epochs=1, reduction_factor=2)
    field = [curves(i, [0.9] * 20) for i in range(3)]
    assert rule.stop_reason(curves(9, [0.9]), field) is None
    assert rule.stop_reason(curves(9, [0.8]), field) == "rung 1: 0.8 is not among the best half of 4 trials"


def test_racing_waits_for_a_late_bloomer():
    """Behind at every epoch so far, yet climbing fast enough to win."""
    slow = [[0.585 + 0.13 * math.log(e) + o for e in range(1, 9)] for o in (-0.003, -0.001, 0.0, 0.001, 0.003)]
    stuck = [[0.86 + o for _ in fold] for fold, o in zip(slow, (-0.003, -0.001, 0.0, 0.001, 0.003), strict=True)]
    rule = RacingPruner(MAXIMIZE, validation_ratio=VALIDATION_RATIO)
    assert max(curves(9, *slow).mean) < max(curves(9, *stuck).mean) < 0.96
    assert rule.stop_reason(curves(9, *slow), FIELD) is None
    assert rule.stop_reason(curves(9, *stuck), FIELD) == (
        "after 8 epochs: it is heading for 0.86, but trial 7 has 0.9674 on the same folds"
    )


def test_racing_pairs_the_folds():
    """A hard fold drags both trials down; without pairing its spread would hide the difference."""
    hard = [0.0, -0.2, 0.1, -0.1, 0.05]
    field = [curves(i, *[[0.8 + h] * 20 for h in hard]) for i in range(5)]
    jitter = [0.001, -0.001, 0.0, 0.001, -0.001]
    worse = curves(9, *[[0.78 + h + j] * 8 for h, j in zip(hard, jitter, strict=True)])
    unpaired = curves(9, *[[0.78 + h + j] * 8 for h, j in zip(hard[::-1], jitter, strict=True)])
    assert RacingPruner(MAXIMIZE, validation_ratio=VALIDATION_RATIO).stop_reason(worse, field)
    assert RacingPruner(MAXIMIZE, validation_ratio=VALIDATION_RATIO).stop_reason(unpaired, field) is None


def test_racing_uses_running_trials_only_where_their_score_cannot_fall():
    running = [rising(i, 0.97, 8) for i in range(6)]
    hopeless = rising(9, 0.6, 8)
    assert RacingPruner(MAXIMIZE, validation_ratio=VALIDATION_RATIO).stop_reason(hopeless, running)
    assert RacingPruner(LAST, validation_ratio=VALIDATION_RATIO).stop_reason(hopeless, running) is None


def test_racing_cannot_test_one_fold():
    field = [curves(i, [0.9] * 20) for i in range(8)]
    assert RacingPruner(MAXIMIZE, validation_ratio=VALIDATION_RATIO).stop_reason(curves(9, [0.1] * 8), field) is None


def test_racing_on_a_holdout_is_refused_before_anything_starts():
    text = """
    name = "x"
    data = { source = "sklearn:digits" }
    model = { family = "mlp" }
    objective = { metric = "val_accuracy", direction = "maximize" }
    validation = { method = "holdout" }
    pruning = { method = "racing" }
    """
    with pytest.raises(SpecError, match=r"pruning: .*racing.*holdout"):
        parse_spec(text)


def test_racing_error_rate_where_its_assumptions_hold():
    """Trials that will beat the best by nothing but noise are stopped at most as often as promised.

    Flat curves with normal noise per fold: the hardest case, as the projection has no slack. 400 trials at 5 %
    allowed: more than 40 stops has odds below 1e-4 under the promise (binomial), so a failure means a defect.
    """
    rng = random.Random(3)
    field = [curves(i, *[[0.9] * 20 for _ in range(5)]) for i in range(5)]
    rule, wrong = RacingPruner(LAST, validation_ratio=VALIDATION_RATIO, confidence=0.95), 0
    for _ in range(400):
        offsets = [rng.gauss(0, 0.01) for _ in range(5)]
        level = 0.9 - sum(offsets) / 5  # the mean over folds ends exactly at the best one's
        folds = [[level + o + rng.gauss(0, 0.01) for _ in range(19)] for o in offsets]
        wrong += any(rule.stop_reason(curves(9, *[f[:n] for f in folds]), field) for n in rule.looks(20))
    assert wrong <= 40


def test_racing_reaches_its_decision_by_the_corrected_test():
    """With a larger share of validation rows the same evidence no longer suffices (Nadeau & Bengio)."""
    field = [curves(i, *[[0.9] * 20] * 5) for i in range(5)]
    trial = curves(9, *[[0.88 + o] * 8 for o in (-0.008, -0.004, 0.0, 0.004, 0.008)])
    assert RacingPruner(MAXIMIZE, validation_ratio=0.0).stop_reason(trial, field)
    assert RacingPruner(MAXIMIZE, validation_ratio=1.0).stop_reason(trial, field) is None


@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_not_finite_in_some_folds_change_nothing_for_others(method):
    odd = curves(50, [0.5, math.inf, 0.6], [0.5, -math.inf, 0.6], [0.5, math.nan, math.inf])
    others = [*FIELD, odd, curves(51, *odd.folds, complete=True)]
    rule = pruner(method, startup_trials=1)
    assert (rule.stop_reason(odd, FIELD) is None) == (method == "racing"), "racing compares finite values only"
    assert rule.stop_reason(rising(99, 0.5, 3), others)
    assert rule.stop_reason(rising(99, 0.99, 3), others) is None
