"""What is computed from the champion's predictions, against scikit-learn's own numbers."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from hpsearch import analysis
from hpsearch.analysis import test_intervals as intervals_of
from hpsearch.core.facts import Output, Task
from hpsearch.core.records import records
from hpsearch.testing.factories import make_record
from hpsearch.testing.searched import make_searched

RNG = np.random.default_rng(4)
Y = RNG.integers(0, 10, 359)
P = RNG.dirichlet(np.ones(10) * 0.3, 359)
P[np.arange(359), Y] += 0.5
P /= P.sum(axis=1, keepdims=True)
SAID = P.argmax(axis=1)
GIVEN = analysis.Predictions(Y, P, np.arange(359) + 1000)
ACCURACY = float((SAID == Y).mean())


def champion_with(**scores):
    record = make_searched(12, regression="mae" in scores or "rmse" in scores)
    return replace(record, champion=replace(record.champion, test=scores))


def test_confusion_and_class_scores():
    info = analysis.predictions_info(champion_with(accuracy=ACCURACY), GIVEN)
    assert np.array_equal(info.confusion, metrics.confusion_matrix(Y, SAID))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(Y, SAID)
    assert [one.precision for one in info.class_scores] == pytest.approx(precision)
    assert [one.recall for one in info.class_scores] == pytest.approx(recall)
    assert [one.f1 for one in info.class_scores] == pytest.approx(f1)
    assert [one.support for one in info.class_scores] == support.tolist()


def test_most_wrong_rows_are_wrong_and_worst_first():
    info = analysis.predictions_info(champion_with(accuracy=ACCURACY), GIVEN)
    errors = [one.error for one in info.most_wrong]
    assert errors == sorted(errors, reverse=True)
    assert all(one.truth != one.said for one in info.most_wrong)
    assert all(one.row >= 1000 for one in info.most_wrong)
    assert sum(count for *_, count in info.confused) <= (SAID != Y).sum()


def test_calibration_counts_every_row_once():
    info = analysis.predictions_info(champion_with(accuracy=ACCURACY), GIVEN)
    assert sum(one.rows for one in info.calibration) == 359
    gaps = [one.rows / 359 * abs(one.claimed - one.right) for one in info.calibration]
    assert info.calibration_error == pytest.approx(sum(gaps))


def test_one_hot_and_binary_forms_say_the_same():
    info = analysis.predictions_info(champion_with(accuracy=ACCURACY), GIVEN)
    one_hot = replace(GIVEN, y_true=np.eye(10, dtype=np.float32)[Y])
    assert analysis.predictions_info(champion_with(accuracy=ACCURACY), one_hot) == info
    binary = np.array([0, 1, 1, 0]), np.array([0.2, 0.9, 0.4, 0.6])
    found = analysis.predictions_info(champion_with(accuracy=0.5), analysis.Predictions(*binary, np.arange(4)))
    assert found.confusion == ((1, 1), (1, 1))


def test_interval_belongs_to_the_champions_own_number():
    interval = intervals_of(champion_with(accuracy=ACCURACY), GIVEN)["accuracy"]
    assert interval.low < ACCURACY < interval.high
    sentence = analysis.verdict_info(champion_with(accuracy=ACCURACY), predictions=GIVEN).sentences[-1]
    assert f"(95 % interval {interval.low:.4f} to {interval.high:.4f})" in sentence
    # Predictions of another model give another number: no interval rather than a wrong one.
    assert intervals_of(champion_with(accuracy=ACCURACY - 0.05), GIVEN) == {}
    assert intervals_of(champion_with(auc=0.9), GIVEN) == {}


def test_metrics_that_are_no_means_have_intervals_from_what_is_left_out():
    parts = np.arange(359) % 100
    said = P[:, 1]
    truth = Y == 1

    def auc(rows):
        return metrics.roc_auc_score(truth[rows], said[rows])

    without = np.array([auc(parts != part) for part in range(100)])
    given = replace(GIVEN, parts=parts, left_out={"auc": analysis.LeftOut(auc(parts >= 0), without)})
    interval = intervals_of(champion_with(auc=auc(parts >= 0)), given)["auc"]
    assert 0 < interval.low < auc(parts >= 0) < interval.high < 1
    assert intervals_of(champion_with(auc=0.6), given) == {}, "left out of another model's predictions"


def auc(truth, said):
    return (said[truth == 1][:, None] > said[truth == 0]).mean()


def f1(truth, said):
    return 2 * (said[truth == 1] > 0).sum() / ((said > 0).sum() + truth.sum())


def recall(truth, said):
    return (said[truth == 1] > 0).mean()


@pytest.mark.parametrize(("score", "true"), [(auc, 0.8711), (f1, 0.748), (recall, 0.788)])
def test_metrics_that_are_no_means_are_covered_on_few_rows(score, true):
    """Resampled pseudo-values covered the AUC of 36 rows in 83 % of tests, and a recall at 1 in half of them."""
    rng, covered, record = np.random.default_rng(3), [], champion_with(accuracy=0.5)
    every = np.arange(36)
    for _ in range(150):
        truth = (rng.random(36) < 0.4).astype(int)
        said = rng.normal(size=36) + 1.6 * (truth - 0.5)
        without = np.array([score(truth[every != row], said[every != row]) for row in every])
        left = {score.__name__: analysis.LeftOut(float(score(truth, said)), without)}
        given = analysis.Predictions(truth, said, every, parts=every, left_out=left)
        champion = replace(record.champion, test={score.__name__: left[score.__name__].whole})
        one = intervals_of(replace(record, champion=champion), given)[score.__name__]
        assert 0 <= one.low < one.high <= 1
        covered.append(one.low <= true <= one.high)
    assert np.mean(covered) >= 0.91


def test_the_name_of_an_output_does_not_say_what_its_metric_is():
    """A median's interval is left out, and a distance is at least 0: that is said of metrics, not of outputs."""
    record = champion_with(accuracy=0.5)
    outputs = tuple(Output(name, Task.REGRESSION) for name in ("median_value", "distance"))
    data = replace(record.facts.data, task=Task.SEVERAL, classes=(), outputs=outputs)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    said = truth + rng.normal(size=200) / 30
    parts = np.arange(200) % 100

    def r2(rows):
        return metrics.r2_score(truth[rows], said[rows])

    left = analysis.LeftOut(r2(parts >= 0), np.array([r2(parts != part) for part in range(100)]))
    names = [f"{one.name}_r2" for one in outputs]
    both = [records({one.name: values for one in outputs}) for values in (truth, said)]
    given = analysis.Predictions(*both, np.arange(200), parts=parts, left_out=dict.fromkeys(names, left))
    champion = replace(record.champion, test=dict.fromkeys(names, left.whole))
    record = replace(record, champion=champion, facts=replace(record.facts, data=data))
    found = intervals_of(record, given)
    assert set(found) == set(names)
    assert all(one.low < left.whole < one.high < 1 for one in found.values())


def test_a_metric_at_its_bound_has_a_width_and_a_median_no_interval():
    perfect = analysis.LeftOut(1.0, np.ones(100))
    given = replace(GIVEN, parts=np.arange(359) % 100, left_out={"auc": perfect, "median_error": perfect})
    found = intervals_of(champion_with(auc=0.9999999, median_error=1.0), given)
    assert set(found) == {"auc"}
    assert (0.8 < found["auc"].low < 0.9, found["auc"].high) == (True, 1.0)


def test_rows_that_depend_on_each_other_need_their_groups():
    record = champion_with(accuracy=ACCURACY)
    data = record.spec.data.model_copy(update={"group": "patient"})
    record = replace(record, spec=record.spec.model_copy(update={"data": data}))
    assert intervals_of(record, GIVEN) == {}, "predictions of an earlier version do not tell the groups"
    order = np.argsort(SAID == Y, kind="stable")  # rows of a group are right or wrong together
    groups = np.empty(359, dtype=int)
    groups[order] = np.arange(359) // 9
    grouped = intervals_of(record, replace(GIVEN, groups=groups))["accuracy"]
    single = intervals_of(champion_with(accuracy=ACCURACY), GIVEN)["accuracy"]
    assert "40 groups" in grouped.method
    assert grouped.high - grouped.low > 2 * (single.high - single.low)


def test_regression():
    truth = RNG.normal(200, 60, 400)
    said = truth + RNG.normal(3, 20, 400)
    given = analysis.Predictions(truth.astype(np.float32), said, np.arange(400))
    rmse = metrics.root_mean_squared_error(truth, said)
    record = champion_with(rmse=rmse, mae=metrics.mean_absolute_error(truth, said))
    info = analysis.predictions_info(record, given)
    assert info.kind == "values"
    assert info.residual_mean == pytest.approx(float((said - truth).mean()), abs=1e-4)
    worst = np.abs(said - truth).argmax()
    assert info.most_wrong[0].row == worst
    for metric, interval in intervals_of(record, given).items():
        assert interval.low < record.champion.test[metric] < interval.high
    assert set(intervals_of(record, given)) == {"rmse", "mae"}


def test_logits_say_what_their_probabilities_say():
    """The sign decides for two classes, not whether a logit is over one half."""
    truth, shares = np.array([0, 1, 1, 0, 1]), np.array([0.2, 0.9, 0.55, 0.45, 0.99])
    record = champion_with(accuracy=0.5)
    info = analysis.predictions_info(record, analysis.Predictions(truth, shares, np.arange(5)))
    logits = analysis.Predictions(truth, np.log(shares / (1 - shares)), np.arange(5))
    found = analysis.predictions_info(record, logits)
    assert found.confusion == info.confusion == ((2, 0), (0, 3))
    assert found.calibration_error == pytest.approx(info.calibration_error)
    many = analysis.predictions_info(record, analysis.Predictions(Y, np.log(P) + 3, np.arange(359) + 1000))
    assert many.confusion == analysis.predictions_info(record, GIVEN).confusion


def test_classes_of_pixels_have_a_reason():
    shares = np.full((4, 5, 5, 3), 1 / 3)
    given = analysis.Predictions(np.zeros((4, 5, 5), dtype=int), shares, np.arange(4))
    assert "not one class for each row" in analysis.predictions_info(champion_with(accuracy=0.5), given).reason


def test_missing_predictions_have_a_reason():
    assert analysis.predictions_info(make_record(), None).reason == "no trial is complete"
    assert "deleted?" in analysis.predictions_info(make_searched(12), None).reason
