"""Leaderboard, ties, verdict, optimism, comparisons and cost of small studies whose answers are known."""

import math
from dataclasses import replace
from statistics import fmean
from unittest.mock import patch

import numpy as np
import pytest

from hpsearch import analysis
from hpsearch.analysis import words
from hpsearch.analysis.statistics import corrected_t_test
from hpsearch.core.facts import FoldSize
from hpsearch.core.trial import FailureKind, TrialState
from hpsearch.errors import StudyError
from hpsearch.pruning import make_pruner
from hpsearch.search.monitor import PruningMonitor
from hpsearch.testing.factories import make_champion, make_record, make_trial, make_trials
from hpsearch.testing.searched import make_searched


def scored(number, folds, *, parameters=1000, state=TrialState.COMPLETE):
    """A trial with these fold scores."""
    trial = make_trial(number, folds=len(folds))
    std = float(np.std(folds, ddof=1)) if len(folds) > 1 else None
    return replace(
        trial, state=state, score=float(np.mean(folds)), std=std, fold_scores=tuple(folds), parameters=parameters
    )


BEST = scored(0, [0.96, 0.95, 0.97, 0.96, 0.96], parameters=90_000)
CLOSE = scored(1, [0.95, 0.96, 0.96, 0.97, 0.955], parameters=5_000)
TINY = scored(2, [0.90, 0.89, 0.91, 0.90, 0.90], parameters=100)


def test_ties_are_the_trials_that_may_be_as_good_as_the_best():
    record = make_record([BEST, CLOSE, TINY])
    ties = analysis.ties_info(record)
    assert ties.best == 0
    assert ties.tied == (0, 1)
    assert ties.simplest == 1
    assert ties.ratio == pytest.approx(288 / 1150)
    assert ties.standard_error == pytest.approx(BEST.std / math.sqrt(5))
    assert ties.tests[2].p < 0.001
    rows = analysis.leaderboard_info(record).rows
    assert [(row.rank, row.trial, row.tied) for row in rows] == [(1, 0, True), (2, 1, True), (3, 2, False)]
    assert rows[0].p is None
    assert rows[1].p == ties.tests[1].p > 0.05


def test_a_noisy_trial_ties_by_the_test_though_it_is_over_one_standard_error_away():
    noisy = scored(1, [0.97, 0.93, 0.98, 0.90, 0.97], parameters=10)
    ties = analysis.ties_info(make_record([BEST, noisy]))
    assert ties.too_few_folds
    assert BEST.score - noisy.score > ties.standard_error
    assert ties.tests[1].p > 0.05
    assert ties.tied == (0, 1)
    assert ties.simplest == 0, "a trial that ties by its noise alone is no alternative, however small it is"


def test_optimism_of_a_turned_study_is_the_same():
    trials = [scored(i, [0.9 + 0.01 * ((i * k) % 7) for k in range(1, 6)]) for i in range(12)]
    up = make_record(trials)
    turned = [replace(t, score=-t.score, fold_scores=tuple(-value for value in t.fold_scores)) for t in trials]
    objective = up.spec.objective.model_copy(update={"direction": "minimize"})
    down = replace(up, trials=tuple(turned), spec=up.spec.model_copy(update={"objective": objective}))
    assert analysis.optimism_info(down).optimism == pytest.approx(analysis.optimism_info(up).optimism)
    assert analysis.optimism_info(up).optimism > 0
    assert analysis.optimism_info(down).corrected == pytest.approx(-analysis.optimism_info(up).corrected)


def test_only_complete_trials_are_ranked_and_pruned_ones_are_no_failures():
    record = make_record(make_trials(20))
    info = analysis.leaderboard_info(record)
    assert info.total == info.counts["complete"] == 14
    assert {row.state for row in analysis.failures_info(record)} == {"diverged", "failed"}
    assert {row.kind for row in analysis.failures_info(record)} == {FailureKind.DIVERGED, FailureKind.ERROR}


def test_one_split_ties_nothing_and_says_why():
    record = make_record([scored(0, [0.9]), scored(1, [0.89])])
    ties = analysis.ties_info(record)
    assert ties.tied == (0,)
    assert ties.ratio is None
    assert ties.reason.startswith("a single validation split has no spread")
    assert ties.reason in analysis.verdict_info(record).sentences[1]
    assert analysis.optimism_info(record).reason == "a single validation split has no spread"


def test_the_smaller_value_wins_where_lower_is_better():
    record = make_searched(20, regression=True)
    scores = [row.score for row in analysis.leaderboard_info(record).rows]
    assert scores == sorted(scores)
    optimism = analysis.optimism_info(record)
    assert optimism.corrected == pytest.approx(scores[0] + optimism.optimism)
    best = [one for one in analysis.trajectory_info(record).best if one is not None]
    assert best == sorted(best, reverse=True)
    assert best[-1] == scores[0]


def test_the_verdict_names_the_winner_the_simplest_trial_and_the_test_score():
    record = make_record([BEST, CLOSE, TINY], champion=make_champion(BEST))
    info = analysis.verdict_info(record)
    assert info.sentences == (
        "Trial 0 is the best of 3 complete trials: val_accuracy 0.9600 ± 0.0071 (mean ± sd over 5 folds, "
        f"read at epoch {BEST.epoch}).",
        "1 other trial is statistically tied with it (at most 5 % of studies miss the truly best trial). The smallest "
        "within one standard error is trial 1 (5,000 parameters, 0.9590 ± 0.0074): smaller, but not shown to be as "
        "good.",
        f"Refitted on all training rows for {BEST.epoch} epochs, trial 0 reaches a test accuracy of 0.9778 on 359 "
        "held-out rows.",
    )
    assert info.predict == "hpsearch predict digits data.csv"


ALIKE, ODD = [0.96, 0.95, 0.97, 0.96, 0.96], [0.99, 0.80, 0.99, 0.80, 0.99]


@pytest.mark.parametrize(
    ("first", "others", "is_tied", "said"),
    [
        ([0.90, 0.89, 0.91, 0.90, 0.91], [], False, "searching has improved val_accuracy by 0.0"),
        ([0.95, 0.96, 0.96, 0.97, 0.955], [], True, "one of those tied: searching has shown no gain over it."),
        ([0.99, 0.99, 0.99, 0.98, 0.99], [], None, "Trial 0 is the model's default config: searching has found noth"),
        # Others vary so much that the small but steady difference may be chance.
        ([0.955, 0.945, 0.965, 0.955, 0.956], [ODD, ODD[::-1]], True, "paired test of the two alone finds one of 0.0"),
        # Three differences tell little, and eight other trials tell how little scores vary.
        ([0.94, 0.935, 0.935], "steady", False, "The comparison of all trials finds it worse; a paired"),
    ],
)
def test_the_winner_is_compared_with_the_models_default_as_the_ties_say(first, others, is_tied, said):
    winner = ALIKE
    if others == "steady":
        winner = [0.97, 0.95, 0.975]
        signs = [(0.004 * (-1) ** k, -0.004 * (-1) ** k, 0.002 * (-1) ** (k // 2)) for k in range(8)]
        others = [np.add(winner, sign) - 0.01 - 0.001 * k for k, sign in enumerate(signs)]
    trials = [scored(number, folds) for number, folds in enumerate((first, winner, *others))]
    record = make_record(trials, champion=make_champion(trials[1]))
    assert not any("default config" in one for one in analysis.verdict_info(record).sentences)
    record = replace(record, facts=replace(record.facts, default={"units": 64}))
    ties = analysis.ties_info(record)
    sentences = analysis.verdict_info(record).sentences
    [sentence] = [one for one in sentences if "default config" in one]
    assert said in sentence, sentence
    if is_tied is not None:
        assert (0 in ties.tied) is is_tied
        assert ("one of those tied" in sentence) is is_tied
        assert ("improved" in sentence) <= (not is_tied), "tied and improved contradict each other"
    assert "trial 1 reaches a test accuracy" in sentences[-1], (
        "whose test score it is does not depend on what is before"
    )


def test_folds_that_tell_every_trial_from_the_best_are_not_too_few():
    told = replace(analysis.ties_info(make_record([BEST, TINY])), visible=1.0)
    assert told.too_few_folds
    record = make_record([BEST, TINY])
    assert not any("too few" in one for one in analysis.verdict_info(record, ties=told).sentences)
    both = replace(told, tied=(0, 2))
    assert any(
        "5 folds are too few to tell most trials" in one for one in analysis.verdict_info(record, ties=both).sentences
    )


def test_the_interval_of_a_paired_difference_is_that_of_the_corrected_test():
    test = corrected_t_test([0.96, 0.95, 0.97, 0.96, 0.96], [0.90, 0.89, 0.91, 0.90, 0.91], ratio=0.25)
    low, high = test.interval()
    assert (low + high) / 2 == pytest.approx(test.difference)
    assert (high - low) / 2 == pytest.approx(2.776 * test.standard_error, rel=1e-3)  # t of 4 degrees, 97.5 %


def test_verdict_of_nothing():
    assert analysis.verdict_info(make_record()).sentences == ("No trial has started yet.",)
    lost = [make_trial(0, TrialState.FAILED), make_trial(1, TrialState.DIVERGED)]
    sentences = analysis.verdict_info(make_record(lost)).sentences
    assert sentences == ("No trial is complete, so there is no winner: 1 diverged and 1 failed.",)


def test_comparing_trials_of_one_study():
    record = make_record([BEST, CLOSE, TINY])
    info = analysis.compare_info(record, record, trial_a=0, trial_b=2)
    assert info.test is not None
    assert info.test.difference == pytest.approx(0.06)
    assert info.sentence == (
        "trial 0 beats trial 2 by 0.0600 in val_accuracy: more than chance (p < 0.001, paired over 5 folds)."
    )
    assert "within chance" in analysis.compare_info(record, record, trial_a=1, trial_b=0).sentence


def test_studies_are_paired_on_equal_folds_only():
    a = make_record([BEST])
    b = make_record([TINY], name="other")
    assert analysis.compare_info(a, b).test is not None
    other_data = replace(b, facts=replace(b.facts, data=replace(b.facts.data, fingerprint="ffff")))
    info = analysis.compare_info(a, other_data)
    assert info.test is None
    assert info.reason == "they used different data"
    other_seed = replace(b, spec=b.spec.model_copy(update={"seed": 8}))
    info = analysis.compare_info(a, other_seed)
    assert info.test is None
    assert info.reason.startswith("their folds differ")
    other_seeds = replace(
        b, spec=b.spec.model_copy(update={"validation": b.spec.validation.model_copy(update={"seeds": 3})})
    )
    assert analysis.compare_info(a, other_seeds).test is not None, "the folds are the same"


def test_losses_in_different_units_are_not_compared():
    def of_loss(trial, name, standardize):
        record = make_record([trial], name=name)
        objective = record.spec.objective.model_copy(update={"metric": "val_loss", "direction": "minimize"})
        data = record.spec.data.model_copy(update={"standardize_targets": standardize})
        return replace(record, spec=record.spec.model_copy(update={"objective": objective, "data": data}))

    a, b = of_loss(BEST, "plain", standardize=False), of_loss(TINY, "scaled", standardize=True)
    info = analysis.compare_info(a, b)
    assert info.test is None
    assert info.reason == "their losses are in different units: one study has standardize_targets"
    assert info.sentence.endswith("are in different units: one study has standardize_targets.")
    assert analysis.compare_info(a, of_loss(TINY, "plain too", standardize=False)).test is not None
    sentences = analysis.verdict_info(b).sentences
    assert "Losses are of standardized targets, other metrics and predictions in the targets' own unit." in sentences
    assert not any("standardized" in one for one in analysis.verdict_info(a).sentences)


def test_the_pruner_and_the_verdict_use_the_same_validation_ratio():
    """Five steps of a time series over 120 rows: 20 rows each, after 20, 40, 60, 80 and 100 training rows."""
    steps = tuple(FoldSize(train=20 * step, validation=20) for step in range(1, 6))
    record = make_record([BEST, CLOSE, TINY])
    facts = replace(record.facts, data=replace(record.facts.data, folds=steps))
    pruning = record.spec.pruning.model_copy(update={"method": "racing"})
    record = replace(record, facts=facts, spec=record.spec.model_copy(update={"pruning": pruning}))
    expected = fmean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert expected == pytest.approx(0.4567, abs=1e-4)
    assert facts.data.validation_ratio == pytest.approx(expected)
    assert analysis.ties_info(record).ratio == facts.data.validation_ratio
    test = analysis.compare_info(record, record, trial_a=0, trial_b=2).test
    differences = np.subtract(BEST.fold_scores, TINY.fold_scores)
    assert test.standard_error == pytest.approx(math.sqrt((1 / 5 + expected) * differences.var(ddof=1)))
    with patch("hpsearch.search.monitor.make_pruner", wraps=make_pruner) as made:
        PruningMonitor(record)
    assert made.call_args.kwargs["validation_ratio"] == facts.data.validation_ratio


def test_comparing_what_is_not_there():
    with pytest.raises(StudyError) as caught:
        analysis.compare_info(make_record([BEST, CLOSE, TINY]), make_record(), trial_a=7)
    assert caught.value.code == "study.no-such-trial"
    assert caught.value.values == {"study": "digits", "trial": 7, "n_trials": 3}
    with pytest.raises(StudyError) as caught:
        analysis.compare_info(make_record(), make_record())
    assert caught.value.code == "study.no-complete-trial"
    assert caught.value.values == {"study": "digits"}


def test_cost_adds_up():
    record = make_record(make_trials(20, epochs=20))
    info = analysis.cost_info(record)
    assert sum(row.trials for row in info.rows) == 20
    assert info.epochs == sum(fold.epochs for trial in record.trials for fold in trial.folds)
    assert info.train_seconds == pytest.approx(sum(trial.seconds for trial in record.trials))
    assert info.saved_epochs == 2 * 5 * 15
    assert info.compile_seconds is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.98123, "0.9812"),
        (48213.2, "48,213"),
        (12.3456, "12.35"),
        (0.0, "0.0000"),
        (None, "–"),
        (1e-7, "1.00e-07"),
        (1.0, "1.000"),
        (0.99999, "1.000"),
    ],
)
def test_numbers_are_readable(value, shown):
    assert words.number(value) == shown


def test_scores_show_their_spread_to_the_same_decimals():
    assert words.score(0.98123, 0.00417) == "0.9812 ± 0.0042"
    assert words.score(48213.2, 1234.5) == "48,213 ± 1,234"
    assert words.score(0.9, None) == "0.9000"
    assert [words.duration(s) for s in (0.42, 59.6, 200, 7500)] == ["0.42 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]


def test_the_commands_that_repeat_a_study_are_ready_for_a_shell(monkeypatch, tmp_path) -> None:
    record = replace(make_record(make_trials(3)), name="my study")
    monkeypatch.chdir(tmp_path)
    for folder, file in ((tmp_path / "studies", "studies/my study-again.toml"), (tmp_path, "my study-again.toml")):
        placed = replace(record, spec=record.spec.model_copy(update={"folder": str(folder)}))
        assert analysis.verdict_info(placed).reproduce.splitlines() == [
            f"hpsearch show 'my study' --file > '{file}'",
            f"hpsearch run '{file}' --name 'my study-again'",
        ]
