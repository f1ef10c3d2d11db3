"""Objectives computed from predictions: scikit-learn's scorers and the user's functions, in both engines."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics

from hpsearch.core.events import Bundle, Lane, LaneFailed
from hpsearch.core.facts import Task
from hpsearch.core.trial import FailureKind
from hpsearch.errors import ModelError, SpecError
from hpsearch.portable.outputs import probabilities
from hpsearch.spec import parse_spec
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem
from hpsearch.training.rehearsal import rehearse
from hpsearch.training.scorers import Scorer, doubts_about_scorer, scorer_of

RNG = np.random.default_rng(4)
CLASSES = RNG.integers(0, 3, 60)
SHARES = RNG.dirichlet(np.ones(3), 60).astype(np.float32)
SECOND = (CLASSES > 0).astype(np.int32)
VALUES = RNG.normal(size=60).astype(np.float32)
NOISY = (VALUES + 0.3 * RNG.normal(size=60)).astype(np.float32)


def scorer(name: str, task: Task) -> Scorer:
    spec = SimpleNamespace(objective=SimpleNamespace(metric=f"sklearn:{name}", at_most={}, at_least={}), folder=".")
    found = scorer_of(spec, SimpleNamespace(task=task))
    assert found is not None
    assert found.name == name
    return found


@pytest.mark.parametrize(
    ("name", "task", "y", "output", "wanted"),
    [
        ("roc_auc", Task.BINARY, SECOND, SHARES[:, :1], metrics.roc_auc_score(SECOND, SHARES[:, 0])),
        ("roc_auc", Task.BINARY, SECOND, SHARES[:, 0] * 9 - 3, metrics.roc_auc_score(SECOND, SHARES[:, 0])),
        ("f1", Task.BINARY, SECOND, SHARES[:, :1] - 0.3, metrics.f1_score(SECOND, SHARES[:, 0] > 0.3)),
        ("roc_auc_ovr", Task.MULTICLASS, CLASSES, SHARES, metrics.roc_auc_score(CLASSES, SHARES, multi_class="ovr")),
        ("f1_macro", Task.MULTICLASS, np.eye(3)[CLASSES], SHARES,
         metrics.f1_score(CLASSES, SHARES.argmax(axis=1), average="macro")),
        ("balanced_accuracy", Task.MULTICLASS, CLASSES, np.log(SHARES),
         metrics.balanced_accuracy_score(CLASSES, SHARES.argmax(axis=1))),
        ("log_loss", Task.MULTICLASS, CLASSES, np.log(SHARES), metrics.log_loss(CLASSES, SHARES)),
        ("neg_log_loss", Task.MULTICLASS, CLASSES, SHARES, -metrics.log_loss(CLASSES, SHARES)),
        ("r2", Task.REGRESSION, VALUES, NOISY[:, None], metrics.r2_score(VALUES, NOISY)),
        ("median_absolute_error", Task.REGRESSION, VALUES, NOISY, metrics.median_absolute_error(VALUES, NOISY)),
        ("r2", Task.REGRESSION, np.stack([VALUES, NOISY], 1), np.stack([NOISY, NOISY], 1),
         metrics.r2_score(np.stack([VALUES, NOISY], 1), np.stack([NOISY, NOISY], 1))),
    ],
)  # fmt: skip
def test_scores_are_those_of_scikit_learn(name, task, y, output, wanted):
    assert scorer(name, task)(y, output) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("output", [SHARES[:, :1], SHARES[:, 0], np.log(SHARES[:, :1] / (1 - SHARES[:, :1]))])
def test_one_column_is_the_second_of_two_classes(output):
    found = probabilities(output)
    assert found == pytest.approx(np.stack([1 - SHARES[:, 0], SHARES[:, 0]], axis=1), abs=1e-6)


def test_a_score_without_a_value_is_no_number_and_a_wrong_one_says_what_to_use():
    assert np.isnan(scorer("roc_auc", Task.BINARY)(np.ones(5), np.full((5, 1), 0.5)))
    with pytest.raises(ModelError) as caught:
        scorer("roc_auc", Task.MULTICLASS)(CLASSES, SHARES)
    assert caught.value.code == "model.scorer-failed"
    assert "roc_auc_ovr" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        scorer("f1", Task.MULTICLASS)(CLASSES, SHARES)
    assert "f1_macro" in caught.value.hint
    with pytest.raises(SpecError) as caught:
        scorer("roc_acu", Task.BINARY)
    assert caught.value.code == "study-file.no-such-scorer"
    assert "did you mean 'roc_auc'" in caught.value.what


@pytest.mark.parametrize("name", metrics.get_scorer_names())
def test_scorers_of_values_are_known_from_scorers_of_classes(name):
    """Against the modules in which scikit-learn has them."""
    of_values = metrics.get_scorer(name)._score_func.__module__.endswith("_regression")
    known = scorer(name, Task.MULTICLASS)
    assert bool(doubts_about_scorer(known, Task.MULTICLASS, CLASSES)) == of_values
    assert bool(doubts_about_scorer(known, Task.REGRESSION, VALUES)) == (not of_values)
    several_labels = np.eye(3)[CLASSES]
    assert not doubts_about_scorer(known, Task.REGRESSION, several_labels)


def test_functions_and_metrics_of_the_model_are_not_doubted_and_plain_errors_are():
    own = Scorer("costs:r2", "objective.metric = 'costs:r2'", "r2", lambda y, predicted, weights: 0.0)
    assert not doubts_about_scorer(own, Task.MULTICLASS, CLASSES)
    assert not doubts_about_scorer(None, Task.MULTICLASS, CLASSES)
    [said] = doubts_about_scorer(scorer("mean_absolute_error", Task.BINARY), Task.BINARY, SECOND)
    assert "objective.metric = 'sklearn:mean_absolute_error' scores values, but the targets are classes" in said
    with pytest.raises(ModelError) as caught:
        scorer("accuracy", Task.REGRESSION)(VALUES, NOISY)
    assert caught.value.code == "model.scorer-failed"
    assert "the targets are values, not classes: sklearn:r2" in caught.value.hint


STUDY = """
name = "scored"
seed = 3
[data]
source = "sklearn:breast_cancer"
max_rows = 200
[validation]
folds = 3
[model]
family = "mlp"
[space]
layers = 1
units = 8
dropout = 0.0
optimizer = "adam"
learning_rate = 0.01
batch_size = 32
epochs = 2
[objective]
metric = "{metric}"
direction = "maximize"
"""

PROFIT = """
import numpy as np

def profit(y_true, y_pred):
    right = (y_pred[:, 0] > 0.5) == y_true
    return float(np.where(right, 1.0, -5.0).mean())

def broken(y_true, y_pred):
    raise RuntimeError("no profit today")

def loss_of_money(y_true, y_pred):
    return 2.0

accuracy = profit
rate = 0.3
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / "profits.py").write_text(PROFIT)
    monkeypatch.syspath_prepend(str(tmp_path))

    def _load(metric: str, limits: str = "") -> Problem:
        return Problem.load(
            parse_spec(STUDY.format(metric=metric) + limits).model_copy(update={"folder": str(tmp_path)})
        )

    return _load


CONFIG = {"layers": 1, "units": 8, "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.01, "batch_size": 32,
          "epochs": 2, "activation": "relu"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "curve"), [("sklearn:average_precision", "val_average_precision"),
                                               ("profits:profit", "val_profit"), ("val_auc", "val_auc")])  # fmt: skip
def test_both_engines_score_all_validation_rows_after_every_epoch(load, metric, curve):
    problem = load(metric)
    lanes = tuple(Lane(0, fold, CONFIG) for fold in range(3))
    fit, fused = (
        {event.result.fold: event.result.curves for event in engine.train(Bundle(0, lanes), frozenset)
         if hasattr(event, "parameters")}
        for engine in (FitEngine(problem), FusedEngine(problem, jobs_at_once=1))
    )  # fmt: skip
    for fold in range(3):
        assert len(fit[fold][curve]) == 2
        assert fused[fold][curve] == pytest.approx(fit[fold][curve], rel=1e-5)
        assert fused[fold]["val_loss"] == pytest.approx(fit[fold]["val_loss"], rel=1e-5)
    found = rehearse(problem, CONFIG)
    assert curve in found.metrics
    assert problem.spec.make_objective().metric == curve
    assert found.baselines
    assert found.baselines[0].value < max(fit[0][curve])


LIMITS = 'at_most = { "profits:loss_of_money" = 5 }\nat_least = { val_recall = 0.9, "sklearn:f1" = 0.5, val_auc = 0.6 }'


@pytest.mark.slow
def test_what_limits_are_on_is_computed_in_both_engines(load):
    problem = load("sklearn:f1", LIMITS)
    wanted = ("val_f1", "val_loss_of_money", "val_recall", "val_auc")
    assert {f"val_{one.name}" for one in problem.scorers} == set(wanted)
    found = rehearse(problem, CONFIG)
    assert set(wanted) <= set(found.metrics)
    lanes = (Lane(0, 0, CONFIG),)
    (fit,), (fused,) = (
        [event.result.curves for event in engine.train(Bundle(0, lanes), frozenset) if hasattr(event, "parameters")]
        for engine in (FitEngine(problem), FusedEngine(problem, jobs_at_once=1))
    )
    for curve in wanted:
        assert fused[curve] == pytest.approx(fit[curve], rel=1e-5)
        assert len(fit[curve]) == 2


def test_a_limit_that_cannot_be_computed_names_its_key(load):
    with pytest.raises(ModelError) as caught:
        rehearse(load("val_loss", 'at_most = { "profits:broken" = 5 }'), CONFIG)
    assert caught.value.what.startswith("objective.at_most: 'profits:broken' failed: RuntimeError: no profit today (")
    with pytest.raises(SpecError, match=r"objective\.at_least: 'sklearn:recal': scikit-learn has no scorer 'recal'"):
        rehearse(load("val_loss", 'at_least = { "sklearn:recal" = 0.5 }'), CONFIG)


@pytest.mark.slow
def test_a_scorer_that_fails_fails_its_lane_and_the_rehearsal(load):
    problem = load("profits:broken")
    with pytest.raises(ModelError) as caught:
        rehearse(problem, CONFIG)
    assert caught.value.what.startswith("objective.metric = 'profits:broken' failed: RuntimeError: no profit today (")
    for engine in (FitEngine(problem), FusedEngine(problem, jobs_at_once=1)):
        (event,) = engine.train(Bundle(0, (Lane(0, 0, CONFIG),)), frozenset)
        assert isinstance(event, LaneFailed)
        assert "no profit today" in event.failure.message


@pytest.mark.parametrize(
    ("metric", "error", "code", "words"),
    [
        ("profits:rate", SpecError, "study-file.not-a-function", "is of type float"),
        ("profits:accuracy", ModelError, "model.name-taken", "one of the model's own metrics, 'accuracy'"),
        ("profits:prophet", SpecError, "study-file.no-such-name", "has no 'prophet'"),
    ],
)
def test_what_cannot_score_is_refused_before_anything_trains(load, metric, error, code, words):
    with pytest.raises(error) as caught:
        rehearse(load(metric), CONFIG)
    assert caught.value.code == code
    assert words in caught.value.what


@pytest.mark.parametrize("returned", ["good", None, VALUES, [1.0]])
def test_a_function_that_returns_no_number_is_named_and_its_value_is_not_shown(returned):
    with pytest.raises(ModelError) as caught:
        Scorer("costs:profit", "objective.metric = 'costs:profit'", "profit", lambda y, predicted, weights: returned)(
            VALUES, NOISY
        )
    assert caught.value.code == "model.scorer-no-number"
    kind = type(returned).__name__
    assert caught.value.what == f"objective.metric = 'costs:profit' must return a number, but returned a {kind}"


def test_an_address_has_two_parts():
    with pytest.raises(SpecError, match="must look like"):
        parse_spec(STUDY.format(metric="sklearn:"))


def test_rows_of_one_class_leave_a_fold_without_a_score(load):
    problem = load("sklearn:roc_auc")
    y = problem.dataset.train.y
    fold = replace(problem.folds[0], validation=np.flatnonzero(y == 1)[:9])
    (found,) = rehearse(replace(problem, folds=(fold, *problem.folds[1:])), CONFIG).undefined
    assert (found.metric, found.folds) == ("val_roc_auc", (0,))


@pytest.mark.slow
def test_a_lane_that_diverges_has_not_failed_in_its_scorer(load):
    """Scikit-learn refuses predictions that are no numbers."""
    problem = load("sklearn:roc_auc")
    config = {**CONFIG, "optimizer": "sgd", "learning_rate": 1e30}
    for engine in (FitEngine(problem), FusedEngine(problem, jobs_at_once=1)):
        *_, event = engine.train(Bundle(0, (Lane(0, 0, config),)), frozenset)
        assert isinstance(event, LaneFailed)
        assert event.failure.kind is FailureKind.DIVERGED
