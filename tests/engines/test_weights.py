"""Sample and class weights: both engines compute what Keras' own ``fit`` does with ``sample_weight`` and
``class_weight``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.core.events import Lane
from hpsearch.core.seeds import derive
from hpsearch.spec import parse_spec
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.loop import order_of
from hpsearch.training.problem import Problem

from .conftest import results

SOURCE = """
import numpy as np

def load(weighted=True, zeros=0):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(101, 5)).astype("float32")
    y = (x[:, 0] + rng.normal(size=101) > 0.4).astype("int64")
    weights = rng.gamma(1.0, size=101)
    weights[:zeros] = 0.0
    return (x, y, weights) if weighted else (x, y)

def f1(y, predicted):
    from keras import ops
    said, y = ops.cast(predicted > 0.5, "float32"), ops.cast(y, "float32")
    said, y = ops.reshape(said, (-1,)), ops.reshape(y, (-1,))
    return 2 * ops.sum(said * y) / (ops.sum(said) + ops.sum(y) + 1e-7)

def build(config, data):
    import keras
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(
        optimizer=keras.optimizers.Adam(config["learning_rate"]),
        loss="binary_crossentropy",
        metrics=["accuracy", f1],
        weighted_metrics=[keras.metrics.BinaryAccuracy(name="weighted"), keras.metrics.AUC(name="auc")],
    )
    return model
"""

STUDY = """
name = "weights"
seed = 3
[data]
source = "{module}:load"
test_fraction = 0.0
options = {options}
[validation]
method = "kfold"
folds = 3
[model]
{model}
[objective]
metric = "{metric}"
direction = "minimize"
[space]
learning_rate = [0.01, 0.02]
epochs = 3
batch_size = 16
"""


@pytest.fixture
def problem(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    module = f"weighted_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / f"{module}.py").write_text(SOURCE)

    def make(*, options: str = "{}", model: str = "", metric: str = "val_loss", family: bool = False) -> Problem:
        kind = 'family = "mlp"\nlayers = 1\nunits = 8' if family else f'build = "{module}:build"'
        text = STUDY.format(module=module, options=options, model=f"{kind}\n{model}", metric=metric)
        return Problem.load(parse_spec(text, folder=tmp_path))

    return make


def lanes(problem: Problem, **config: float) -> list[Lane]:
    rates = (0.01, 0.02)
    return [
        Lane(trial, fold, {"learning_rate": rate, "epochs": 3, "batch_size": 16, **config})
        for trial, rate in enumerate(rates)
        for fold in range(3)
    ]


CASES = {
    "weights": ("{}", ""),
    "no weights": ("{ weighted = false }", ""),
    "rows of weight 0": ("{ zeros = 60 }", ""),
    "balanced classes": ("{ weighted = false }", 'class_weight = "balanced"'),
    "both": ("{}", "class_weight = { 1 = 3.0 }"),
}


@pytest.mark.parametrize(("options", "model"), CASES.values(), ids=CASES)
def test_the_engines_agree_on_weighted_rows(problem: Any, options: str, model: str) -> None:
    found = problem(options=options, model=model)
    fused, fit = (results(engine(found), lanes(found)) for engine in (FusedEngine, FitEngine))
    for lane, wanted in fit.items():
        for name, curve in wanted.curves.items():
            np.testing.assert_allclose(fused[lane].curves[name], curve, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(("options", "model"), CASES.values(), ids=CASES)
def test_the_curves_are_those_of_keras_fit_with_sample_and_class_weights(
    problem: Any, options: str, model: str
) -> None:
    found = problem(options=options, model=model)
    lane = lanes(found)[4]
    (result,) = results(FitEngine(found), [lane]).values()

    train, validation = found.fold_parts(lane.fold)
    balanced = found.spec.model.class_weight == "balanced"
    classes = dict(enumerate(len(train) / (2 * np.bincount(train.y)))) if balanced else None
    if model and not balanced:  # Keras takes one of them only
        train = replace(train, weights=train.weights * np.where(train.y == 1, 3.0, 1.0))
    own = found.build(lane.config, train, seed=derive(3, "weights", lane.trial, lane.fold))
    order = order_of(3, lane.trial, lane.fold)
    curves: dict[str, list[float]] = {}
    for epoch in range(3):
        rows = train.take(order(len(train), epoch))
        held_out = (validation.x, validation.y, *([] if validation.weights is None else [validation.weights]))
        logs = own.fit(
            rows.x, rows.y, batch_size=16, epochs=1, shuffle=False, verbose=0, validation_data=held_out,
            sample_weight=rows.weights, class_weight=classes,
        )  # fmt: skip
        for name, (value,) in logs.history.items():
            curves.setdefault(name, []).append(value)
    for name in ("loss", "accuracy", "weighted", "auc", "val_loss", "val_accuracy", "val_weighted", "val_auc"):
        np.testing.assert_allclose(result.curves[name], curves[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_metric_over_all_rows_is_not_weighted_unless_it_is_a_weighted_metric(problem: Any) -> None:
    found = problem()
    assert found.build({"learning_rate": 0.01, "epochs": 3, "batch_size": 16}, found.dataset.train, seed=1)
    fused, fit = (results(engine(found), lanes(found)[:1]) for engine in (FusedEngine, FitEngine))
    np.testing.assert_allclose(fused[0, 0].curves["val_f1"], fit[0, 0].curves["val_f1"], rtol=1e-5)


def test_what_a_family_records_is_weighted(problem: Any) -> None:
    found = problem(family=True, metric="val_log_loss")
    fused, fit = (results(engine(found), lanes(found)) for engine in (FusedEngine, FitEngine))
    assert fit[0, 0].curves.keys() == {"loss", "accuracy", "val_loss", "val_accuracy", "val_log_loss"}
    for name, curve in fit[0, 0].curves.items():
        np.testing.assert_allclose(fused[0, 0].curves[name], curve, rtol=2e-5, err_msg=name)
    # Keras divides the loss by the rows, a mean by the weights.
    mean = found.dataset.train.take(found.folds[0].validation).weights.mean()
    ratio = np.array(fit[0, 0].curves["val_loss"]) / np.array(fit[0, 0].curves["val_log_loss"])
    np.testing.assert_allclose(ratio, mean, rtol=1e-5)
