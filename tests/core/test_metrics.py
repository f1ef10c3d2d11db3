"""The metrics of a task against scikit-learn's, in every form that targets and predictions come in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from hpsearch.core.facts import StudyFacts, Task
from hpsearch.core.metrics import metrics_for, names_shown, values_of
from hpsearch.testing.factories import make_facts

RNG = np.random.default_rng(1)
N = 300
CLASSES = RNG.integers(0, 3, N)
SHARES = RNG.dirichlet(np.ones(3), N).round(1)  # with ties
SECOND = (CLASSES > 1).astype(np.int32)
LABELS = (RNG.random((N, 4)) > 0.7).astype(np.float32)
LABEL_SHARES = RNG.random((N, 4)).round(1)
VALUES = RNG.normal(size=(N, 2))
NEAR = VALUES + RNG.normal(size=(N, 2))


def close(found, **wanted):
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("y", [CLASSES, np.eye(3, dtype=np.float32)[CLASSES]], ids=["numbers", "one-hot"])
def test_of_several_classes(y):
    close(
        values_of(Task.MULTICLASS, y, SHARES),
        accuracy=metrics.accuracy_score(CLASSES, SHARES.argmax(axis=1)),
        balanced_accuracy=metrics.balanced_accuracy_score(CLASSES, SHARES.argmax(axis=1)),
        f1_macro=metrics.f1_score(CLASSES, SHARES.argmax(axis=1), average="macro"),
        auc=np.mean([metrics.roc_auc_score(one == CLASSES, SHARES[:, one]) for one in range(3)]),
        pr_auc=np.mean([metrics.average_precision_score(one == CLASSES, SHARES[:, one]) for one in range(3)]),
        log_loss=metrics.log_loss(CLASSES, np.clip(SHARES, 1e-7, 1), normalize=True),
        top_5_accuracy=1.0,
    )


@pytest.mark.parametrize("form", ["probabilities", "a column", "logits", "two columns"])
def test_of_two_classes_whatever_form_the_output_has(form):
    second = np.clip(SHARES[:, 2], 0.01, 0.99)
    output = {
        "probabilities": second,
        "a column": second[:, None],
        "logits": np.log(second / (1 - second)) * 1.0,
        "two columns": np.stack([1 - second, second], axis=1),
    }[form]
    close(
        values_of(Task.BINARY, SECOND, output),
        auc=metrics.roc_auc_score(SECOND, second),
        pr_auc=metrics.average_precision_score(SECOND, second),
        f1_macro=metrics.f1_score(SECOND, second > 0.5, average="macro"),
        log_loss=metrics.log_loss(SECOND, second),
        recall=metrics.recall_score(SECOND, second > 0.5),
        precision=metrics.precision_score(SECOND, second > 0.5),
    )


def test_recall_and_precision_where_nothing_is_of_the_second_class():
    none_said = values_of(Task.BINARY, np.array([0, 1]), np.array([0.1, 0.2]), ("recall", "precision"))
    assert none_said == {"recall": 0.0, "precision": 0.0}
    none_there = values_of(Task.BINARY, np.array([0, 0]), np.array([0.1, 0.9]), ("recall", "precision"))
    assert none_there == pytest.approx({"recall": np.nan, "precision": 0.0}, nan_ok=True)
    weights = np.array([3.0, 1.0, 1.0])
    weighted = values_of(Task.BINARY, np.array([1, 1, 0]), np.array([0.9, 0.2, 0.7]), weights=weights)
    assert (weighted["recall"], weighted["precision"]) == (0.75, 0.75)


def test_of_labels():
    said = LABEL_SHARES > 0.5
    close(
        values_of(Task.MULTILABEL, LABELS, LABEL_SHARES),
        accuracy=(said == LABELS).mean(),
        exact_match=metrics.accuracy_score(LABELS, said),
        f1_macro=metrics.f1_score(LABELS, said, average="macro"),
        auc=metrics.roc_auc_score(LABELS, LABEL_SHARES),
        pr_auc=metrics.average_precision_score(LABELS, LABEL_SHARES),
    )
    logits = np.log((LABEL_SHARES + 0.01) / (1.02 - LABEL_SHARES - 0.01))
    assert values_of(Task.MULTILABEL, LABELS, logits)["auc"] == pytest.approx(
        metrics.roc_auc_score(LABELS, LABEL_SHARES)
    )


def test_of_values():
    close(
        values_of(Task.REGRESSION, VALUES, NEAR),
        r2=metrics.r2_score(VALUES, NEAR),
        mae=metrics.mean_absolute_error(VALUES, NEAR),
        rmse=math.sqrt(metrics.mean_squared_error(VALUES, NEAR)),
    )
    one = values_of(Task.REGRESSION, VALUES[:, 0], NEAR[:, :1])
    assert one["r2"] == pytest.approx(metrics.r2_score(VALUES[:, 0], NEAR[:, 0]))


def test_top_5_counts_equal_probabilities_as_if_drawn():
    y = np.arange(20)
    assert values_of(Task.MULTICLASS, y, np.full((20, 20), 0.05))["top_5_accuracy"] == pytest.approx(5 / 20)
    shares = RNG.dirichlet(np.ones(20), 200)
    truth = RNG.integers(0, 20, 200)
    wanted = metrics.top_k_accuracy_score(truth, shares, k=5, labels=np.arange(20))
    assert values_of(Task.MULTICLASS, truth, shares)["top_5_accuracy"] == pytest.approx(wanted)
    assert "top_5_accuracy" in names_shown(Task.MULTICLASS, 20)
    assert "top_5_accuracy" not in names_shown(Task.MULTICLASS, 10)


def test_what_has_no_value_is_nan_and_what_has_no_form_is_left_out():
    one_class = values_of(Task.BINARY, np.zeros(9, np.int32), RNG.random(9))
    assert math.isnan(one_class["auc"])
    assert math.isnan(one_class["pr_auc"])
    assert math.isfinite(one_class["accuracy"])
    assert math.isnan(values_of(Task.REGRESSION, np.ones(9), RNG.random(9))["r2"])
    assert math.isnan(values_of(Task.BINARY, SECOND[:9], np.full(9, np.nan))["auc"])
    assert values_of(Task.REGRESSION, VALUES[:, 0], NEAR) == {}
    assert values_of(Task.MULTICLASS, CLASSES, SHARES[:, :2]) == {}
    assert values_of(Task.REGRESSION, np.ones((4, 3, 2)), np.ones((4, 3, 2))) == {}
    # A class that these rows lack does not spoil the mean over the others.
    few = CLASSES < 2
    assert math.isfinite(values_of(Task.MULTICLASS, CLASSES[few], SHARES[few])["auc"])


def test_every_metric_has_a_direction():
    assert all(one.direction in ("minimize", "maximize") for task in Task for one in metrics_for(task).values())


def test_ledgers_with_one_baseline_are_read():
    facts = make_facts(3)
    written = facts.to_json()
    assert written.pop("baselines") == []
    old = {**written, "version": 3, "baseline": {"rule": "'no'", "value": 0.8, "fold_scores": [0.8, 0.8, 0.8]}}
    read = StudyFacts.from_json(old)
    assert (read.baseline.rule, read.baseline.fold_scores, read.baseline.metrics) == ("'no'", (0.8, 0.8, 0.8), {})
    assert StudyFacts.from_json({**old, "baseline": None}) == replace(facts, baselines=())
    window = {**{name: value for name, value in old.items() if name != "schedule"}, "version": 2, "window": 3}
    assert (StudyFacts.from_json(window).schedule.lag, StudyFacts.from_json(window).baseline.value) == (2, 0.8)
