"""The verdict's first line says that nothing was learnt, or not all classes."""

from dataclasses import replace

import numpy as np
import pytest

from hpsearch import analysis
from hpsearch.core.facts import Task
from hpsearch.core.objective import score
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.testing.factories import make_record
from hpsearch.tracking.mlflow import study_view

FOLDS, ROWS = 5, 50
Y = (np.arange(FOLDS * ROWS) % 6 == 0).astype(np.int32)
GUESS = Baseline(
    "'no'", 1 - Y.mean(), tuple(1 - one.mean() for one in np.split(Y, FOLDS)), {"accuracy": 0.83, "auc": 0.5}
)


def searched(said, *, metric="val_accuracy", baselines=(GUESS,), n_trials=2):
    """A study of classes 'no' and 'yes' whose trials all say `said`, and what is kept of them."""
    record = make_record()
    data = replace(record.facts.data, task=Task.BINARY, classes=("no", "yes"))
    objective = record.spec.objective.model_copy(update={"metric": metric})
    record = replace(
        record,
        spec=record.spec.model_copy(update={"objective": objective}),
        facts=replace(record.facts, data=data, baselines=tuple(baselines)),
    )
    right = [(fold > 0.5) == y for fold, y in zip(np.split(said, FOLDS), np.split(Y, FOLDS), strict=True)]
    folds = tuple(FoldResult(n, {metric: (float(one.mean()),)}, 0.0, 1.0) for n, one in enumerate(right))
    found = score(record.objective, folds)
    trials = tuple(
        Trial(number, {}, TrialState.COMPLETE, found.value, found.std, found.epoch, found.fold_scores, folds)
        for number in range(n_trials)
    )
    rows = np.split(np.arange(FOLDS * ROWS), FOLDS)
    kept = {
        t.number: [analysis.FoldPredictions(part, Y[part], said[part][None, :, None]) for part in rows] for t in trials
    }
    return replace(record, trials=trials), kept


def verdict(record, kept):
    return analysis.verdict_info(record, out_of_fold=analysis.out_of_fold_info(record, kept))


def test_the_majority_is_said_to_be_no_better_than_guessing_and_blind():
    found = verdict(*searched(np.full(FOLDS * ROWS, 0.2, np.float32)))
    assert found.sentences[0].startswith(
        "The best trial is no better than guessing: its val_accuracy is 0.8320, and always saying 'no' scores 0.8320; "
        "it never predicts 'yes' (42 rows). "
    )
    assert found.sentences[0].endswith('; "val_balanced_accuracy" and "val_f1_macro" do not.')
    assert found.never_predicted == ("yes",)
    assert found.beats_baseline is False


def test_a_blind_winner_is_said_to_be_blind_though_it_beats_the_baseline_or_there_is_none():
    """Ranks may be right where no probability is above a half: an AUC says nothing about it."""
    said = (0.1 + 0.3 * Y).astype(np.float32)
    half = Baseline("'no'", 0.5, (0.5,) * FOLDS)
    for baselines in ((half,), ()):
        found = verdict(*searched(said, metric="val_auc", baselines=baselines))
        assert found.sentences[0] == "The best trial never predicts 'yes' (42 rows)."
        assert found.sentences[1].startswith("Trial 0 is the best")


@pytest.mark.parametrize("metric", ["val_balanced_accuracy", "val_f1_macro", "val_focal_loss", "val_my_accuracy"])
def test_no_other_objective_is_advised_where_the_larger_classes_do_not_decide(metric):
    found = verdict(*searched(np.full(FOLDS * ROWS, 0.2, np.float32), metric=metric))
    assert found.never_predicted == ("yes",)
    assert not any("The objective lets" in one for one in found.sentences)


@pytest.mark.parametrize("metric", ["val_loss", "val_log_loss", "accuracy", "val_sparse_categorical_accuracy"])
def test_another_objective_is_advised_where_the_larger_classes_decide(metric):
    found = verdict(*searched(np.full(FOLDS * ROWS, 0.2, np.float32), metric=metric))
    assert '"val_balanced_accuracy"' in found.sentences[0]


def test_a_winner_that_has_learnt_comes_first_and_the_baseline_second():
    found = verdict(*searched((0.1 + 0.8 * Y).astype(np.float32)))
    assert found.sentences[0].startswith("Trial 0 is the best")
    assert found.sentences[1] == "Always saying 'no' scores 0.8320."
    assert found.never_predicted == ()


def test_how_many_trials_are_no_better_is_said_if_they_are_most():
    record, kept = searched((0.1 + 0.8 * Y).astype(np.float32), n_trials=4)
    worse = tuple(replace(one, score=0.832) if one.number else one for one in record.trials)
    found = verdict(replace(record, trials=worse), kept)
    assert found.sentences[1] == "Always saying 'no' scores 0.8320; 3 of 4 complete trials are no better."


def test_a_forecast_from_what_was_before_is_no_guess():
    before = replace(GUESS, rule="the target of the time step before", looks_back=True)
    found = verdict(*searched((0.1 + 0.8 * (np.arange(FOLDS * ROWS) % 6 == 1)).astype(np.float32), baselines=(before,)))
    assert found.sentences[0].startswith("The best trial is no better than a naive forecast: ")


def test_the_baselines_are_rows_of_the_leaderboard_and_of_mlflow():
    shares = replace(GUESS, rule="the shares of the classes", metrics={"auc": 0.5, "log_loss": 0.45})
    record, _ = searched((0.1 + 0.8 * Y).astype(np.float32), baselines=(GUESS, shares))
    board = analysis.leaderboard_info(record)
    assert [(one.rule, one.beaten_by) for one in board.baselines] == [("'no'", 2), ("the shares of the classes", 2)]
    assert board.baseline.score == pytest.approx(GUESS.value)
    assert board.baseline.std == pytest.approx(np.std(GUESS.fold_scores, ddof=1))
    table = study_view.leaderboard(record)
    assert {len(row) for row in table["data"]} == {len(table["columns"])}
    states = [row[table["columns"].index("state")] for row in table["data"]]
    assert states[-2:] == ["baseline: always saying 'no'", "baseline: always saying the shares of the classes"]
    assert table["data"][-2][table["columns"].index("fold_4")] == pytest.approx(GUESS.fold_scores[4])
    points = {one.key: one.value for one in study_view.study_points(record, 1)}
    assert points["baseline"] == pytest.approx(GUESS.value)
    assert points["baseline_validation_log_loss"] == 0.45
    assert points["baseline_validation_accuracy"] == 0.83


def test_the_winner_has_all_metrics_of_its_task_over_its_folds_beside_the_baselines():
    said = np.random.default_rng(0).random(FOLDS * ROWS).astype(np.float32)
    info = analysis.out_of_fold_info(*searched(said))
    rows = {one.name: one for one in info.metrics}
    assert list(rows) == ["accuracy", "balanced_accuracy", "f1_macro", "auc", "pr_auc", "log_loss"]
    right = [((part > 0.5) == y).mean() for part, y in zip(np.split(said, FOLDS), np.split(Y, FOLDS), strict=True)]
    assert (rows["accuracy"].value, rows["accuracy"].std) == pytest.approx((np.mean(right), np.std(right, ddof=1)))
    assert (rows["auc"].baseline, rows["log_loss"].baseline) == (0.5, None)
    assert f"auc {rows['auc'].value:.4f} ± {rows['auc'].std:.4f} (baseline 0.5000)" in info.measured
