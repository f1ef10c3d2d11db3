"""What the best of many trials and epochs is worth on new rows, from predictions for rows that no model has seen."""

from dataclasses import replace

import numpy as np
import pytest

from hpsearch import analysis
from hpsearch.analysis.out_of_fold import row_scores
from hpsearch.analysis.statistics import rows_optimism, selection_optimism
from hpsearch.core.objective import score
from hpsearch.core.out_of_fold import BEST
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.testing.factories import make_record

FOLDS, ROWS, EPOCHS = 5, 40, 6


def test_noise_is_not_overstated():
    """40 configs that guess: the raw best is 0.6, the truth 0.5. Over folds, much of the optimism stays."""
    rng, raw, folds, rows = np.random.default_rng(1), [], [], []
    weights, units = np.full(200, 1 / 200), np.arange(200)
    for seed in range(40):
        right = (rng.random((40, 200)) < 0.5).astype(float)
        by_fold = right.reshape(40, FOLDS, 40).mean(axis=2)
        raw.append(right.mean(axis=1).max())
        folds.append(raw[-1] - selection_optimism(by_fold, seed=seed))
        rows.append(rows_optimism(right, weights, units, seed=seed)[0])
    assert np.mean(raw) > 0.57
    assert abs(np.mean(rows) - 0.5) < 0.01
    assert abs(np.mean(rows) - 0.5) < abs(np.mean(folds) - 0.5)


def test_a_clear_winner_keeps_its_score_and_groups_are_drawn_together():
    rng = np.random.default_rng(2)
    right = (rng.random((10, 200)) < np.linspace(0.3, 0.9, 10)[:, None]).astype(float)
    weights = np.full(200, 1 / 200)
    found, low, high = rows_optimism(right, weights, np.arange(200), seed=1)
    assert found == pytest.approx(right[9].mean(), abs=0.02)
    assert low < found < high
    patients = np.repeat(rng.random((10, 20)) < 0.7, 10, axis=1).astype(float)
    alone = rows_optimism(patients, weights, np.arange(200), seed=1)
    together = rows_optimism(patients, weights, np.arange(200) // 10, seed=1)
    assert together[2] - together[1] > 1.3 * (alone[2] - alone[1])


def test_the_range_is_that_of_a_mean_over_the_rows():
    """Two configs that are one: nothing is picked, so the range is the mean's own."""
    rng = np.random.default_rng(5)
    widths = []
    for seed in range(30):
        values = np.repeat(rng.normal(size=(1, 300)), 2, axis=0)
        _, low, high = rows_optimism(values, np.full(300, 1 / 300), np.arange(300), seed=seed)
        widths.append((high - low) / (2 * 1.96 * values[0].std() / np.sqrt(300)))
    assert np.mean(widths) == pytest.approx(1.0, abs=0.05)


def test_a_root_has_no_optimism_of_folds_that_differ():
    """The mean of the folds' RMSE, 1 and 3, is less than that of all rows. That is no luck."""
    record = make_record()
    record = replace(
        record,
        spec=record.spec.model_copy(
            update={
                "objective": record.spec.objective.model_copy(update={"metric": "val_rmse", "direction": "minimize"})
            }
        ),
    )
    rng = np.random.default_rng(6)
    trials, kept = [], {}
    for number in range(3):
        predictions = [
            analysis.FoldPredictions(
                np.arange(100) + 100 * fold, np.zeros(100), (size * rng.choice([-1, 1], (1, 100, 1)))
            )
            for fold, size in enumerate((1.0, 3.0))
        ]
        folds = tuple(FoldResult(fold, {"val_rmse": (size,)}, 0.0, 1.0) for fold, size in enumerate((1.0, 3.0)))
        trials.append(Trial(number, {}, TrialState.COMPLETE, 2.0, 1.0, 0, (1.0, 3.0), folds))
        kept[number] = predictions
    info = analysis.optimism_info(replace(record, trials=tuple(trials)), kept)
    assert "over validation rows" in info.method
    assert info.corrected == pytest.approx(2.0, abs=0.02)
    assert info.low < 2.0 < info.high


def searched(n_trials: int, *, share: float, seed: int = 0):
    """A record, and predictions of two classes for its validation rows: each is right with chance `share`."""
    rng, record = np.random.default_rng(seed), make_record()
    y = rng.integers(0, 2, FOLDS * ROWS)
    trials, kept = [], {}
    for number in range(n_trials):
        folds, predictions = [], []
        for fold in range(FOLDS):
            rows = np.arange(fold * ROWS, (fold + 1) * ROWS)
            right = rng.random((EPOCHS, ROWS)) < share
            predicted = np.where(right, y[rows], 1 - y[rows]).astype(np.float32)[:, :, None]
            curves = {"val_accuracy": tuple(right.mean(axis=1).tolist())}
            folds.append(FoldResult(fold, curves, 0.0, 1.0))
            predictions.append(analysis.FoldPredictions(rows, y[rows], predicted))
        found = score(record.objective, folds)
        trials.append(
            Trial(number, {}, TrialState.COMPLETE, found.value, found.std, found.epoch, found.fold_scores, tuple(folds))
        )
        kept[number] = predictions
    return replace(record, trials=tuple(trials)), kept


def test_trials_and_epochs_are_corrected_together_and_chance_in_the_range_is_said():
    record, kept = searched(12, share=0.5)
    info = analysis.optimism_info(record, kept)
    assert "over validation rows, trials and epochs" in info.method
    assert info.score > 0.56
    assert info.low < 0.5 < info.high
    assert info.corrected == pytest.approx(0.5, abs=0.03)
    assert info.optimism == pytest.approx(info.score - info.corrected)
    record = replace(record, facts=replace(record.facts, baselines=(Baseline("'no'", 0.5, (0.5,) * FOLDS),)))
    sentences = analysis.verdict_info(record, optimism=info).sentences
    (said,) = [one for one in sentences if "was picked for its score" in one]
    assert said.endswith("a range in which a model that always says 'no' lies too, with 0.5000.")


def test_without_all_predictions_the_folds_decide():
    record, kept = searched(4, share=0.8)
    assert "over folds" in analysis.optimism_info(record).method
    assert "over folds" in analysis.optimism_info(record, {one: kept[one] for one in (0, 1, 3)}).method
    assert analysis.optimism_info(record, kept).low is not None
    # Those of the best are enough: worse trials win on no draw.
    many, kept = searched(BEST + 3, share=0.8)
    best = {trial.number: kept[trial.number] for trial in many.ranked[:BEST]}
    assert analysis.optimism_info(many, best).low is not None


def test_the_best_trials_own_predictions_are_those_of_its_score():
    """The confusion matrix over all rows, and the accuracy that it gives, at the epoch that was read."""
    record, kept = searched(4, share=0.7)
    info = analysis.out_of_fold_info(record, kept)
    best = record.best
    assert (info.trial, info.n_rows, info.n_predictions) == (best.number, FOLDS * ROWS, FOLDS * ROWS)
    right = info.confusion[0][0] + info.confusion[1][1]
    assert right / info.n_rows == pytest.approx(best.score)
    assert info.title == "The search's own predictions of 200 validation rows"
    assert f"trial {best.number}'s 5 folds, after epoch {best.epoch}." in info.remark
    assert info.remark.endswith(
        "The trial and the epoch were picked for their score on these rows, so this is a little too good."
    )


def test_what_was_picked_is_what_flatters():
    record, kept = searched(3, share=0.7)
    objective = record.spec.objective.model_copy(update={"epoch": "last"})
    last = replace(record, spec=record.spec.model_copy(update={"objective": objective}))
    assert "The trial was picked for its score on these rows" in analysis.out_of_fold_info(last, kept).remark
    for one, said in ((record, "picked for its score, and so was its epoch:"), (last, "picked for its score: expect")):
        info = analysis.optimism_info(one, kept)
        assert any(said in sentence for sentence in analysis.verdict_info(one, optimism=info).sentences)
    lone = replace(last, trials=last.trials[:1])
    assert "too good" not in analysis.out_of_fold_info(lone, kept).remark
    one = replace(lone, trials=(replace(lone.trials[0], folds=lone.trials[0].folds[:1]),))
    remark = analysis.out_of_fold_info(one, {0: kept[0][:1]}).remark
    assert "the model of trial 0, after epoch" in remark


def test_repeated_folds_predict_a_row_more_than_once():
    record, kept = searched(2, share=0.7)
    again = {number: [*folds, *folds] for number, folds in kept.items()}
    twice = [replace(trial, folds=trial.folds * 2, fold_scores=trial.fold_scores * 2) for trial in record.trials]
    info = analysis.out_of_fold_info(replace(record, trials=tuple(twice)), again)
    assert (info.n_rows, info.n_predictions) == (200, 400)
    assert np.sum(info.confusion) == 400
    assert "the 200 rows have 400 predictions" in info.remark


def test_predictions_that_miss_the_epoch_are_not_shown():
    record, kept = searched(2, share=0.7)
    short = {
        number: [replace(fold, predicted=fold.predicted[: record.best.epoch - 1]) for fold in folds]
        for number, folds in kept.items()
    }
    assert "has none of trial" in analysis.out_of_fold_info(record, short).reason
    assert analysis.out_of_fold_info(make_record(), kept).reason == "no trial is complete"


def test_rows_scores_are_those_of_the_curves():
    record, kept = searched(3, share=0.7)
    found = row_scores(record.trials, kept, "val_accuracy", last_epoch=False)
    assert found.values.shape == (3 * EPOCHS, FOLDS * ROWS)
    best = record.trials[1]
    assert (found.values @ found.weights)[EPOCHS + best.epoch - 1] == pytest.approx(best.score)
    assert len(row_scores(record.trials, kept, "val_accuracy", last_epoch=True).values) == 3
    assert row_scores(record.trials, kept, "val_auc", last_epoch=False) is None
