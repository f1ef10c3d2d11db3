"""What is said about learning curves, each drawn to show one thing."""

import math

import pytest

from hpsearch import analysis
from hpsearch.core.objective import Objective, score
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.testing.factories import make_record
from hpsearch.testing.searched import make_searched

EPOCHS = 20


def reading(val_accuracy, *, val_loss=None, loss=None, n_folds=5):
    """Read a trial whose folds follow these functions of (epoch, fold)."""
    falling = lambda e, f: 1 / (e + 1)  # noqa: E731
    folds = tuple(
        FoldResult(
            fold,
            {
                "loss": tuple((loss or falling)(e, fold) for e in range(EPOCHS)),
                "val_loss": tuple((val_loss or falling)(e, fold) for e in range(EPOCHS)),
                "val_accuracy": tuple(val_accuracy(e, fold) for e in range(EPOCHS)),
            },
            started=0.0,
            seconds=1.0,
        )
        for fold in range(n_folds)
    )
    result = score(Objective("val_accuracy", "maximize"), folds)
    trial = Trial(0, {}, TrialState.COMPLETE, result.value, result.std, result.epoch, result.fold_scores, folds)
    return analysis.curves_info(make_record([trial])).trials[0].reading


def saturating(e, f):
    return 0.9 - 0.8 * math.exp(-e / 2) + 0.002 * f


def test_levelled_off():
    assert reading(saturating) == ("Levelled off: 98 % of the improvement was reached by epoch 9 of 20.",)


def test_still_improving():
    assert reading(lambda e, f: 0.3 + 0.02 * e)[0] == "Still improving at its last epoch (20): more epochs may help."


def test_past_its_best():
    assert reading(lambda e, f: 0.9 - abs(e - 8) * 0.02)[0] == "Past its best: it peaked at epoch 9 of 20."


def test_a_drop_within_the_folds_noise_is_not_past_its_best():
    late = lambda e, f: (0.9 - abs(e - 8) * 0.02) if e < 9 else 0.9 - 0.02 * (e - 8) * (3, -2, 2, -1.5, -0.5)[f]  # noqa: E731
    assert reading(late)[0].startswith("Levelled off")


def test_never_learned():
    assert reading(lambda e, f: 0.1 - 0.001 * e)[0].startswith("It never improved after its first epoch")


def test_overfitting_is_named_with_its_epoch():
    found = reading(saturating, val_loss=lambda e, f: 0.3 + abs(e - 6) * 0.05 + 0.001 * f)
    assert found[1] == (
        "Overfitting from epoch 8: the validation loss rises from 0.3020 to 0.9520 while the training loss keeps "
        "falling."
    )


def test_no_overfitting_where_the_training_loss_rises_too():
    rising = lambda e, f: 0.3 + abs(e - 6) * 0.05  # noqa: E731
    assert len(reading(saturating, val_loss=rising, loss=rising)) == 1


def test_a_rise_within_the_folds_noise_is_not_overfitting():
    noisy = lambda e, f: abs(e - 6) * 0.05 * (1 if e < 6 else (3, -2, 2, -1.5, -0.5)[f])  # noqa: E731
    assert len(reading(saturating, val_loss=noisy)) == 1


def test_an_outlying_fold_is_named():
    found = reading(lambda e, f: saturating(e, f) - (0.3 if f == 3 else 0))
    assert found[1].startswith("Unstable folds: fold 3 is an outlier (0.6")


def test_folds_that_differ_widely():
    assert "over a tenth of the total improvement" in reading(lambda e, f: saturating(e, f) + 0.1 * f)[1]


def test_jumps_from_epoch_to_epoch():
    assert reading(lambda e, f: saturating(e, f) + 0.2 * (e % 2))[-1].startswith("It jumps from epoch to epoch")
    bends = reading(lambda e, f: 0.5 + 0.04 * max(0, e - 6) ** 2)
    assert not any("jumps" in sentence for sentence in bends), "a smooth curve does not jump"


def test_bands_are_the_folds_own_spread():
    record = make_searched(10)
    shown = analysis.curves_info(record, top=1).trials[0]
    curve, folds = shown.curves["val_accuracy"], record.best.folds
    values = [fold.curves["val_accuracy"][3] for fold in folds]
    mean = sum(values) / 5
    assert curve.mean[3] == pytest.approx(mean)
    assert curve.std[3] == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / 4))
    assert analysis.curves_info(record).pairs == (("loss", "val_loss"), ("accuracy", "val_accuracy"))


def test_thinning_a_long_curve_keeps_its_last_epoch():
    shown = analysis.curves_info(make_searched(3, epochs=1001)).trials[0]
    assert shown.trained == 1001
    assert len(shown.epochs) <= 401
    assert shown.epochs[-1] == 1001


def test_no_curves_no_reading():
    assert analysis.curves_info(make_record()).reason == "no fold has finished its training"
