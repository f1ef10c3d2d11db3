"""What is known of a study's metrics before anything trains: the baseline, and folds in which a metric has no value."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.rehearsed import Rehearsal
from hpsearch.spec import parse_spec
from hpsearch.training.worker import Worker

STUDY = """
name = "known"
[data]
source = "rows.csv"
target = "y"
group = "g"
test_fraction = 0
[validation]
folds = 3
[model]
build = "{module}:build"
[space]
epochs = 1
[objective]
metric = "{metric}"
direction = "{direction}"
"""

MODEL = """
import keras

def strict(y, p):
    try:
        constant = float(keras.ops.std(p)) == 0
    except Exception:  # while it is compiled, there are no values
        constant = False
    if constant:
        raise ValueError("predictions are constant")
    return keras.ops.mean(keras.ops.abs(y - p))

def undefined(y, p):
    return keras.ops.mean(y - p) / keras.ops.std(p)

def build(config, data):
    inputs = {{"x": keras.Input((1,), name="x")}}
    output = keras.layers.Dense({units}, {activation})(inputs["x"])
    model = keras.Model(inputs, output)
    model.compile("sgd", {loss}, metrics=[{metrics}])
    return model
"""

BINARY = {
    "units": 1,
    "activation": '"sigmoid"',
    "loss": '"binary_crossentropy"',
    "metrics": 'keras.metrics.AUC(name="auc"), keras.metrics.Recall(name="recall"), "accuracy"',
}


def rehearse(folder: Path, rows: list[tuple[object, int]], metric: str, direction: str, model: dict) -> Rehearsal:
    """A study of (target, group) rows. Groups 0, 1 and 2 are a fold each."""
    rng = np.random.default_rng(1)
    lines = [f"{rng.normal():.3f},{y},{g}" for y, g in rows]
    (folder / "rows.csv").write_text("x,y,g\n" + "\n".join(lines) + "\n")
    module = f"known_{folder.name}".replace("-", "_")
    (folder / f"{module}.py").write_text(MODEL.format(**model))
    spec = parse_spec(STUDY.format(module=module, metric=metric, direction=direction), folder=folder)
    return Worker(spec).rehearse({"epochs": 1})


def folds_of(worker: Rehearsal, metric: str) -> tuple[int, ...]:
    return next((one.folds for one in worker.undefined if one.metric == metric), ())


def test_metrics_of_one_class_have_no_value_and_accuracy_has_one(tmp_path: Path) -> None:
    rows = [("no", 0)] * 20 + [("no", 1)] * 12 + [("yes", 1)] * 8 + [("no", 2)] * 20
    found = rehearse(tmp_path, rows, "val_auc", "maximize", BINARY)
    assert len(folds_of(found, "val_auc")) == 2
    assert folds_of(found, "val_recall") == folds_of(found, "val_auc")
    assert folds_of(found, "val_accuracy") == folds_of(found, "val_loss") == ()
    assert {one.reason for one in found.undefined} == {"rows of class 'no' only"}
    assert found.baselines
    assert found.baselines[0].fold_scores == (0.5,)


def test_the_baseline_of_accuracy_is_the_share_of_the_larger_class_of_the_training_rows(tmp_path: Path) -> None:
    rows = [(y, g) for g in range(3) for y in ["no"] * 15 + ["yes"] * 5]
    found = rehearse(tmp_path, rows, "val_accuracy", "maximize", BINARY)
    assert found.undefined == ()
    assert found.baselines
    assert found.baselines[0].rule == "'no'"
    assert found.baselines[0].fold_scores == pytest.approx((0.75, 0.75, 0.75))


@pytest.mark.parametrize("activation", ['"sigmoid"', "None"])
def test_the_baseline_of_the_loss_says_the_shares_as_probabilities_or_logits(tmp_path: Path, activation: str) -> None:
    rows = [(y, g) for g in range(3) for y in ["no"] * 15 + ["yes"] * 5]
    loss = f"keras.losses.BinaryCrossentropy(from_logits={activation == 'None'})"
    model = {**BINARY, "activation": activation, "loss": loss, "metrics": ""}
    found = rehearse(tmp_path, rows, "val_loss", "minimize", model)
    assert found.baselines
    assert found.baselines[0].rule == "the shares of the classes"
    assert found.baselines[0].value == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)), abs=1e-4)


def test_regression_has_mean_and_median_and_r2_has_no_value_on_equal_targets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"{2e6 + 1e5 * rng.exponential():.1f}", g) for g in (0, 1) for _ in range(20)]
    rows += [("2000000.5", 2)] * 20
    metrics = 'keras.metrics.R2Score(name="r2"), keras.metrics.MeanAbsoluteError(name="mae")'
    model = {"units": 1, "activation": "None", "loss": '"mse"', "metrics": metrics}
    found = rehearse(tmp_path, rows, "val_mae", "minimize", model)
    assert len(folds_of(found, "val_r2")) == 1
    assert folds_of(found, "val_mae") == ()
    assert found.baselines
    assert found.baselines[0].rule in ("the median of the targets", "the mean of the targets")
    assert 1e4 < found.baselines[0].value < 2e5
    assert "the targets are around 2" in found.doubts[0]
    assert "set [data] standardize_targets = true" in found.doubts[0]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("strict", "val_strict raises ValueError: predictions are constant"),
        ("undefined", "val_undefined is not a finite number"),
    ],
)
def test_an_objective_without_a_value_for_constant_predictions_is_said(tmp_path: Path, metric: str, words: str) -> None:
    rows = [("yes" if n % 4 else "no", n % 3) for n in range(36)]
    model = {**BINARY, "metrics": metric}
    found = rehearse(tmp_path, rows, f"val_{metric}", "minimize", model)
    assert not found.baselines
    (doubt,) = [text for text in found.doubts if "baseline" in text]
    assert words in doubt


def test_the_loss_has_a_baseline_though_a_metric_raises(tmp_path: Path) -> None:
    rows = [("yes" if n % 4 else "no", n % 3) for n in range(36)]
    found = rehearse(tmp_path, rows, "val_loss", "minimize", {**BINARY, "metrics": "strict"})
    assert found.baselines
    assert not [text for text in found.doubts if "baseline" in text]
