"""Metrics of weighted rows: scikit-learn's numbers, and intervals that know the weights."""

import numpy as np
import pytest
from sklearn import metrics as sk

from hpsearch.core.facts import Task
from hpsearch.core.metrics import values_of
from hpsearch.core.row_values import row_values

RNG = np.random.default_rng(0)
N = 200
WEIGHTS = RNG.gamma(1.0, size=N) * (RNG.random(N) > 0.2)  # some are 0
SHARES = RNG.dirichlet(np.ones(3), N)
CLASSES = RNG.integers(0, 3, N)
SECOND = SHARES[:, 0]
BINARY = (RNG.random(N) < 0.3 + 0.4 * SECOND).astype(int)
VALUES = RNG.normal(size=N)
GUESSES = VALUES + RNG.normal(0, 0.5, N)


def test_classes_are_scored_as_scikit_learn_does() -> None:
    found = values_of(Task.MULTICLASS, CLASSES, SHARES, weights=WEIGHTS)
    said = SHARES.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(CLASSES, said, sample_weight=WEIGHTS))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(CLASSES, said, sample_weight=WEIGHTS))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(CLASSES, said, average="macro", sample_weight=WEIGHTS))
    assert found["log_loss"] == pytest.approx(sk.log_loss(CLASSES, SHARES, sample_weight=WEIGHTS))
    assert found["auc"] == pytest.approx(
        sk.roc_auc_score(CLASSES, SHARES, multi_class="ovr", average="macro", sample_weight=WEIGHTS)
    )


def test_two_classes_are_scored_as_scikit_learn_does() -> None:
    found = values_of(Task.BINARY, BINARY, SECOND, weights=WEIGHTS)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(BINARY, SECOND, sample_weight=WEIGHTS))
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(BINARY, SECOND, sample_weight=WEIGHTS))


def test_values_are_scored_as_scikit_learn_does() -> None:
    found = values_of(Task.REGRESSION, VALUES, GUESSES, weights=WEIGHTS)
    assert found["r2"] == pytest.approx(sk.r2_score(VALUES, GUESSES, sample_weight=WEIGHTS))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(VALUES, GUESSES, sample_weight=WEIGHTS))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(VALUES, GUESSES, sample_weight=WEIGHTS))


def test_equal_weights_change_nothing() -> None:
    for task, y, predicted in [(Task.BINARY, BINARY, SECOND), (Task.REGRESSION, VALUES, GUESSES)]:
        plain, weighted = values_of(task, y, predicted), values_of(task, y, predicted, weights=np.full(N, 2.0))
        assert plain == pytest.approx(weighted, rel=1e-12)


def test_rows_of_a_weighted_mean_vary_as_it_does() -> None:
    errors = np.abs(VALUES - GUESSES)
    mean = float(np.average(errors, weights=WEIGHTS))
    rows = row_values(VALUES, GUESSES, "mae", mean, WEIGHTS)
    assert rows is not None
    assert rows.metric == pytest.approx(mean)
    # Against the bootstrap, which draws rows with their weights.
    rng = np.random.default_rng(1)
    draws = rng.integers(0, N, (4000, N))
    spread = np.std([np.average(errors[one], weights=WEIGHTS[one]) for one in draws])
    assert rows.values.std() / np.sqrt(N) == pytest.approx(spread, rel=0.1)
    assert abs(errors.std() / np.sqrt(N) - spread) > 0.1 * spread  # which plain rows would miss


def test_metrics_that_do_not_look_at_weights_and_keras_loss_are_known() -> None:
    errors = (VALUES - GUESSES) ** 2
    plain = row_values(VALUES, GUESSES, "mse", float(errors.mean()), WEIGHTS)
    loss = row_values(VALUES, GUESSES, "loss", float((errors * WEIGHTS).mean()), WEIGHTS)
    assert plain is not None
    assert loss is not None
    np.testing.assert_allclose(plain.values, errors)
    np.testing.assert_allclose(loss.values, errors * WEIGHTS)
