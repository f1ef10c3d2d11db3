import math

import pytest
from sklearn.metrics import get_scorer_names

from hpsearch.core.objective import Objective, mean_curves, score
from hpsearch.core.trial import FoldResult, Trial, TrialState

ACCURACY = Objective("val_accuracy", "maximize")


def fold(index: int, *values: float) -> FoldResult:
    return FoldResult(index, {"val_accuracy": values}, started=0.0, seconds=1.0)


def test_score_is_the_best_epoch_of_the_mean_curve_not_each_folds_own_best() -> None:
    result = score(ACCURACY, [fold(0, 0.9, 0.1, 0.5), fold(1, 0.1, 0.9, 0.6)])
    assert result.epoch == 3
    assert result.value == pytest.approx(0.55)
    assert result.fold_scores == (0.5, 0.6)
    assert result.std == pytest.approx(math.sqrt(0.005))


def test_last_epoch_rule() -> None:
    assert score(Objective("val_accuracy", "maximize", "last"), [fold(0, 0.9, 0.1)]).epoch == 2


def test_minimize_takes_the_lowest_and_skips_what_is_not_finite() -> None:
    objective = Objective("val_accuracy", "minimize")
    assert score(objective, [fold(0, math.nan, 0.4, 0.3, 0.5)]).epoch == 3


def test_first_of_equal_epochs_counts() -> None:
    assert score(ACCURACY, [fold(0, 0.5, 0.7, 0.7)]).epoch == 2


def test_one_fold_has_no_standard_deviation() -> None:
    assert score(ACCURACY, [fold(0, 0.5)]).std is None


@pytest.mark.parametrize("values", [(math.inf, 0.5), (math.nan, 0.5), (math.inf, -math.inf), (math.nan, math.nan)])
def test_folds_without_a_finite_value_score_without_one_and_raise_nothing(values: tuple[float, float]) -> None:
    result = score(ACCURACY, [fold(i, value) for i, value in enumerate(values)])
    assert not math.isfinite(result.value)
    assert math.isnan(result.std)


def test_missing_metric_names_what_was_recorded() -> None:
    with pytest.raises(ValueError, match="metric 'val_auc' was not recorded; recorded: val_accuracy"):
        score(Objective("val_auc", "maximize"), [fold(0, 0.5)])


def test_mean_curves_are_over_the_folds_that_have_a_metric() -> None:
    other = FoldResult(1, {"val_accuracy": (0.3, 0.5), "loss": (1.0, 1.0)}, 0.0, 1.0)
    assert mean_curves([fold(0, 0.1, 0.2).curves, other.curves]) == {
        "val_accuracy": (0.2, 0.35),
        "loss": (1.0, 1.0),
    }


def test_only_complete_trials_are_ranked_and_ties_go_to_the_first() -> None:
    trials = [
        Trial(0, {}, TrialState.PRUNED, score=0.99),
        Trial(1, {}, TrialState.COMPLETE, score=0.8),
        Trial(2, {}, TrialState.COMPLETE, score=0.9),
        Trial(3, {}, TrialState.COMPLETE, score=0.9),
        Trial(4, {}, TrialState.DIVERGED),
    ]
    assert [trial.number for trial in sorted(trials, key=ACCURACY.rank_key)] == [2, 3, 1, 0, 4]


@pytest.mark.parametrize(
    ("metric", "direction", "expected"),
    [
        ("val_accuracy", "maximize", ""),
        ("val_accuracy", "minimize", 'usually has direction = "maximize"'),
        ("val_sparse_categorical_accuracy", "minimize", 'usually has direction = "maximize"'),
        ("val_auc_1", "minimize", 'usually has direction = "maximize"'),
        ("val_binary_crossentropy", "maximize", 'usually has direction = "minimize"'),
        ("val_mae", "maximize", 'usually has direction = "minimize"'),
        ("val_mae", "minimize", ""),
        ("val_gain", "minimize", ""),
        ("val_random_seed_score", "minimize", ""),
        ("val_hinge", "maximize", 'usually has direction = "minimize"'),
        ("val_mean_io_u", "minimize", 'usually has direction = "maximize"'),
        ("val_r2", "minimize", 'usually has direction = "maximize"'),
        ("accuracy", "maximize", "objective: accuracy is measured on the training rows"),
    ],
)
def test_an_objective_that_contradicts_its_metric_gives_a_warning(metric: str, direction: str, expected: str) -> None:
    warnings = Objective(metric, direction).warnings()
    assert len(warnings) == bool(expected)
    assert expected in "".join(warnings)


@pytest.mark.parametrize("name", get_scorer_names())
def test_the_direction_of_every_scorer_of_scikit_learn_is_known(name: str) -> None:
    """Those that negate an error grow; by the error's own name, it shrinks."""
    assert "maximize" in "".join(Objective(f"val_{name}", "minimize").warnings())
    assert not Objective(f"val_{name}", "maximize").warnings()
    if name.startswith("neg_"):
        plain = name.removeprefix("neg_")
        assert "minimize" in "".join(Objective(f"val_{plain}", "maximize").warnings())
        assert not Objective(f"val_{plain}", "minimize").warnings()


def test_both_warnings_can_be_given() -> None:
    assert len(Objective("loss", "maximize").warnings()) == 2


def test_a_fold_without_a_value_has_no_say_in_the_score() -> None:
    without = FoldResult(1, {"val_loss": (1.0, 1.0)}, 0.0, 1.0)
    result = score(Objective("val_accuracy", "maximize"), [fold(0, 0.1, 0.2), without, fold(2, 0.3, 0.4)])
    assert result.fold_scores == (0.2, 0.4)
    assert result.value == pytest.approx(0.3)
    assert without.curves.keys() == {"val_loss"}


def ended(index: int, *values: float, kept: int | None = None, stopped: bool = True) -> FoldResult:
    return FoldResult(index, {"val_accuracy": values}, 0.0, 1.0, stopped=stopped, kept=kept)


def test_a_fold_that_has_ended_keeps_its_last_value_in_the_mean_curve() -> None:
    folds = [ended(0, 0.5, 0.8), ended(1, 0.4, 0.2, 0.3, 0.6), ended(2, 0.1, 0.2, 0.3)]
    found = score(ACCURACY, folds)
    assert found.epoch == 4
    assert found.fold_scores == (0.8, 0.6, 0.3)
    trial = Trial(0, {}, TrialState.COMPLETE, score=found.value, epoch=found.epoch, folds=tuple(folds))
    assert [trial.epoch_of(fold) for fold in folds] == [2, 4, 3]
    assert trial.refit_epochs == 3
    assert trial.epochs_trained == "2 to 4"


def test_the_best_epoch_may_come_before_the_folds_have_ended() -> None:
    folds = [ended(0, 0.9, 0.8), ended(1, 0.9, 0.2, 0.3)]
    found = score(ACCURACY, folds)
    assert found.epoch == 1
    assert score(Objective("val_accuracy", "maximize", "last"), folds).fold_scores == (0.8, 0.3)


def test_restored_weights_score_as_they_are_whatever_the_epoch() -> None:
    folds = [ended(0, 0.9, 0.8, kept=1), ended(1, 0.1, 0.2, 0.7, 0.3, kept=3), ended(2, 0.2, 0.3, kept=2)]
    for epoch in ("best", "last"):
        found = score(Objective("val_accuracy", "maximize", epoch), folds)
        assert found.fold_scores == (0.9, 0.7, 0.3)
        assert found.epoch == 2  # the median of 1, 2 and 3
    trial = Trial(0, {}, TrialState.COMPLETE, score=found.value, epoch=found.epoch, folds=tuple(folds))
    assert [trial.epoch_of(fold) for fold in folds] == [1, 3, 2]
    assert trial.read_at == "at the epoch that each fold has restored, 2 at the median"


def test_a_fold_that_was_cut_off_still_ends_the_mean_curve() -> None:
    """A pruned trial: one fold had ended by itself, another was stopped."""
    found = score(ACCURACY, [ended(0, 0.1, 0.2), ended(1, 0.3, 0.1, 0.2, stopped=False), ended(2, 0.1, 0.1, 0.1, 0.9)])
    assert found.epoch in (1, 2, 3)
    assert len(found.fold_scores) == 3
