"""Several outputs, the inputs as targets, and no targets at all: in both engines as Keras' own ``fit`` has them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hpsearch
from hpsearch.core.events import Lane
from hpsearch.core.facts import Task
from hpsearch.core.seeds import derive
from hpsearch.data import load_dataset
from hpsearch.errors import DataError, SpecError
from hpsearch.spec import parse_spec
from hpsearch.training.engines.base import CannotTrainError
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.loop import order_of
from hpsearch.training.problem import Problem
from tests.engines.conftest import results

MODULE = """
import keras
import numpy as np
import pandas as pd
from keras import layers, ops

N = 101
rng = np.random.default_rng(0)
x = rng.normal(size=(N, 4)).astype("float32")
price = x.sum(axis=1)
kind = np.array(["flat", "house", "room"])[np.digitize(x[:, 0], [-0.5, 0.5])]
map_ = np.repeat(x[:, :1], 6, axis=1).reshape(N, 3, 2)
weights = rng.gamma(1.0, size=N)

def dicts(): return x, {"price": price, "kind": kind}
def weighted(): return x, {"price": price, "kind": kind}, weights
def tuples(): return {"x": x, "y": (price, kind)}
def maps(): return x, {"price": price, "map": map_}
def with_test(): return (x, {"price": price, "kind": kind}), (x[:9], {"price": price[:9], "kind": kind[:9]})
def uneven(): return x, {"price": price, "kind": kind[:7]}
def gaps(): return x, {"price": np.where(price > 3, np.nan, price), "kind": kind}
def alone(): return x
def pixels(): return (rng.random((60, 6, 6)) * 255).astype("uint8")
def table(): return pd.DataFrame({"a": x[:, 0], "b": x[:, 1]})
def cities(): return pd.DataFrame({"a": x[:, 0], "city": kind})
def called_inputs(): return pd.DataFrame({"a": x[:, 0], "inputs": price})
def alone_weighted(): return {"x": x, "sample_weight": weights}
def alone_named(): return {"a": x[:, 0], "b": x[:, 1], "sample_weight": weights}
def two_tuples(): return (x, price), (price, map_)
def parts_alike(): return (x, price), (x[:, ::-1], price)
def table_with_gaps(): return pd.DataFrame({"a": x[:, 0], "b": np.where(x[:, 1] > 0, np.nan, x[:, 1])})
def alike(): return x, {"kind": kind, "kind_log": price}
def two_kinds_of_rows(): return x, {"kind": kind, "price": price, "size": np.where(price > 0, "big", "small")}
def rare_kinds(): return x, {"kind": kind, "size": np.where(np.arange(N) == 3, "big", "small")}
def one_class(): return x, {"price": price, "kind": np.full(N, "flat")}

def trunk(units):
    inputs = keras.Input((4,))
    return inputs, layers.Dense(units, "relu")(inputs)

def named(config, data):
    assert data.outputs["kind"].classes == ("flat", "house", "room")
    assert data.y["price"].dtype == "float32"
    inputs, hidden = trunk(config["units"])
    outputs = {
        "price": layers.Dense(1, name="price")(hidden),
        "kind": layers.Dense(data.outputs["kind"].n_classes, "softmax", name="kind")(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        loss={"price": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"price": 0.2, "kind": 1.0},
        metrics={"price": ["mae", largest], "kind": ["accuracy"]},
        weighted_metrics={"kind": [keras.metrics.SparseCategoricalCrossentropy(name="entropy")]},
    )
    return model

def largest(y, predicted):
    return ops.max(ops.abs(ops.reshape(y, (-1,)) - ops.reshape(predicted, (-1,))))

def by_list(config, data):
    inputs, hidden = trunk(config["units"])
    outputs = [layers.Dense(1, name="price")(hidden), layers.Dense(3, "softmax", name="kind")(hidden)]
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss=["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
    return model

def of_maps(config, data):
    inputs, hidden = trunk(config["units"])
    outputs = {
        "price": layers.Dense(1, name="price")(hidden),
        "map": layers.Reshape((3, 2), name="map")(layers.Dense(6)(hidden)),
    }
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss={"price": "mse", "map": "mae"}, metrics={"map": ["mse"]})
    return model

def uncompiled(config, data):
    inputs, hidden = trunk(config["units"])
    outputs = {"price": layers.Dense(1)(hidden), "kind": layers.Dense(3, "softmax")(hidden)}
    return keras.Model(inputs, outputs)

def autoencoder(config, data):
    inputs = keras.Input(data.input_shape)
    hidden = layers.Dense(config["units"], "relu")(layers.Flatten()(inputs))
    size = int(np.prod(data.input_shape))
    model = keras.Model(inputs, layers.Reshape(data.input_shape)(layers.Dense(size)(hidden)))
    model.compile("adam", "mse")
    return model

class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs

def own_losses(config, data):
    inputs, hidden = trunk(config["units"])
    model = keras.Model(inputs, Penalty()(hidden))
    model.compile("adam")
    return model

def variational(config, data):
    inputs, hidden = trunk(config["units"])
    model = keras.Model(inputs, {"z": layers.Dense(2)(hidden), "r": Penalty()(layers.Dense(4)(hidden))})
    model.compile("adam")
    return model

def total(y, predicted):
    return float(np.abs(y["price"] - predicted["price"][:, 0]).mean())
"""

STUDY = """
name = "{name}"
seed = 3
[data]
source = "{source}"
{data}
[validation]
folds = 2
[model]
{model}
[objective]
metric = "{metric}"
direction = "minimize"
[search]
trials = 2
[space]
units = [4, 8]
epochs = 3
batch_size = 16
[resources]
backend = "jax"
{resources}
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    name = f"outputs_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


def text(source: str, build: str = "", **settings: str) -> str:
    values = {"name": "outputs", "data": "", "metric": "val_loss", "resources": "", **settings}
    return STUDY.format(source=source, model=f'build = "{build}"' if build else 'family = "mlp"', **values)


def load(module: str, folder: Path, source: str, build: str = "", **settings: str) -> Problem:
    address = f"{module}:{build}" if build else ""
    return Problem.load(parse_spec(text(f"{module}:{source}", address, **settings), folder=folder))


CASES = {
    "a dict": ("dicts", "named"),
    "weighted": ("weighted", "named"),
    "a tuple": ("tuples", "by_list"),
    "a dict for a list of outputs": ("dicts", "by_list"),
    "arrays": ("maps", "of_maps"),
    "uncompiled": ("dicts", "uncompiled"),
}
LANES = [Lane(trial, fold, {"units": 4, "epochs": 3, "batch_size": 16}) for trial in (0, 1) for fold in (0, 1)]


@pytest.mark.parametrize(("source", "build"), CASES.values(), ids=CASES)
def test_both_engines_train_several_outputs_as_keras_does(module: str, tmp_path: Path, source: str, build: str) -> None:
    problem = load(module, tmp_path, source, build)
    fused, fit = (results(engine(problem), LANES) for engine in (FusedEngine, FitEngine))
    for lane, wanted in fit.items():
        for name, curve in wanted.curves.items():
            np.testing.assert_allclose(fused[lane].curves[name], curve, rtol=1e-4, atol=1e-6, err_msg=name)
    if build == "named":
        assert {"val_price_loss", "val_kind_loss", "val_price_mae", "val_price_largest", "val_kind_accuracy"} <= {
            *fit[0, 0].curves
        }


def test_the_curves_are_those_of_keras_fit(module: str, tmp_path: Path) -> None:
    problem = load(module, tmp_path, "weighted", "named")
    lane = LANES[3]
    (result,) = results(FitEngine(problem), [lane]).values()
    train, validation = problem.fold_parts(lane.fold)
    model = problem.build(lane.config, train, seed=derive(3, "weights", lane.trial, lane.fold))

    def targets(part: Any) -> dict[str, Any]:
        return {"price": part.y["price"], "kind": part.y["kind"]}

    for epoch in range(3):
        rows = train.take(order_of(3, lane.trial, lane.fold)(len(train), epoch))
        held_out = (validation.x, targets(validation), validation.weights)
        logs = model.fit(
            rows.x, targets(rows), sample_weight=rows.weights, batch_size=16, shuffle=False, verbose=0,
            validation_data=held_out,
        ).history  # fmt: skip
        for name in ("loss", "price_loss", "kind_loss", "val_loss", "val_kind_loss", "val_kind_entropy"):
            assert result.curves[name][epoch] == pytest.approx(logs[name][0], rel=1e-5), name


def test_a_study_of_several_outputs_is_searched_tested_and_predicts(
    module: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(text(f"{module}:dicts", f"{module}:named", metric="val_price_mae"))
    study = hpsearch.run(tmp_path / "study.toml", verbose=0)
    assert study.record.facts.data.task is Task.SEVERAL
    assert study.record.facts.plan.engine == "fused", study.record.facts.plan.reason
    assert {"price_mae", "kind_accuracy", "loss"} <= study.record.champion.test.keys()
    told = study.predict(np.zeros((3, 4), np.float32))
    assert list(told) == [
        "price", "kind", "kind probability", "kind p(flat)", "kind p(house)", "kind p(room)"
    ]  # fmt: skip
    assert {*told["kind"]} <= {"flat", "house", "room"}

    import mlflow

    registered = mlflow.pyfunc.load_model(study.record.champion.mlflow_model).predict(np.zeros((3, 4), np.float32))
    pd.testing.assert_frame_equal(registered.reset_index(drop=True), told.reset_index(drop=True), rtol=1e-5)
    report = (tmp_path / "mlruns/studies/outputs/report.md").read_text()
    assert "test kind\\_accuracy" in report
    assert "held-out rows, output 'price'" in report
    assert "held-out rows, output 'kind'" in report


def test_folds_keep_the_shares_of_all_combinations_of_classes_if_asked_to(module: str, tmp_path: Path) -> None:
    def problem(source: str, method: str) -> Problem:
        settings = {"data": "test_fraction = 0"}
        told = text(f"{module}:{source}", f"{module}:two_kinds", **settings).replace(
            "folds = 2", f"folds = 2\n{method}"
        )
        return Problem.load(parse_spec(told, folder=tmp_path))

    found = problem("two_kinds_of_rows", 'method = "stratified"')
    y = found.dataset.train.y
    for kind, size in {(kind, size) for kind, size in zip(y["kind"], y["size"], strict=True)}:
        here = (y["kind"] == kind) & (y["size"] == size)
        assert {int(here[fold.validation].sum()) - here.sum() // 2 for fold in found.folds} <= {0, 1}
    plain = problem("two_kinds_of_rows", "")
    assert [fold.validation.tolist() for fold in plain.folds] != [fold.validation.tolist() for fold in found.folds]
    with pytest.raises(DataError, match="of every combination of the outputs' classes, but the rarest combination"):
        problem("rare_kinds", 'method = "stratified"')
    with pytest.raises(DataError, match="stratified folds need one class for each row, and the targets have none"):
        problem("maps", 'method = "stratified"')


def test_a_scorer_of_the_users_own_gets_several_outputs(module: str, tmp_path: Path) -> None:
    for engine in (FusedEngine, FitEngine):
        problem = load(module, tmp_path, "dicts", "named", metric=f"{module}:total")
        for result in results(engine(problem), LANES[:2]).values():
            np.testing.assert_allclose(result.curves["val_total"], result.curves["val_price_mae"], rtol=1e-5)


@pytest.mark.parametrize(
    ("source", "build", "data", "shape"),
    [
        ("alone", "autoencoder", 'target = "inputs"', (101, 4)),
        ("alone", "", 'target = "inputs"', (101, 4)),
        ("pixels", "autoencoder", 'target = "inputs"', (60, 6, 6)),
        ("table", "", 'target = "inputs"', (101, 2)),
        ("dicts", "autoencoder", 'target = "inputs"', (101, 4)),
    ],
)
def test_the_inputs_are_the_targets(
    module: str, tmp_path: Path, source: str, build: str, data: str, shape: tuple[int, ...]
) -> None:
    problem = load(module, tmp_path, source, build, data=f"{data}\ntest_fraction = 0")
    part = problem.dataset.train
    assert (part.y.shape, part.y.dtype, problem.dataset.task) == (shape, np.float32, Task.REGRESSION)
    if source == "pixels":
        np.testing.assert_allclose(part.y, part.x / 255, rtol=1e-6)
    fused, fit = (results(engine(problem), LANES[:2]) for engine in (FusedEngine, FitEngine))
    for lane, wanted in fit.items():
        np.testing.assert_allclose(fused[lane].curves["val_loss"], wanted.curves["val_loss"], rtol=1e-4)


@pytest.mark.parametrize("build", ["own_losses", "variational"])
def test_a_model_with_losses_of_its_own_needs_no_targets(
    module: str, tmp_path: Path, monkeypatch: Any, build: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(text(f"{module}:alone", f"{module}:{build}", data='target = "none"'))
    study = hpsearch.run(tmp_path / "study.toml", verbose=0)
    assert study.record.facts.plan.engine == "fit"
    assert "there are no targets" in study.record.facts.plan.reason
    assert study.record.champion.test.keys() == {"loss"}
    assert len(study.predict(np.zeros((3, 4), np.float32))) == 3
    with pytest.raises(CannotTrainError, match="there are no targets"):
        FusedEngine(load(module, tmp_path, "alone", "own_losses", data='target = "none"'))


@pytest.mark.parametrize(
    ("source", "build", "data", "words"),
    [
        ("uneven", "named", "", "the outputs of y have different lengths: 'price' 101, 'kind' 7"),
        ("gaps", "named", "", "output 'price': "),
        ("alike", "named", "", "outputs 'kind' and 'kind_log' both have a metric 'kind_log_loss'"),
        ("one_class", "named", "", "output 'kind': all 101 targets have the same class, 'flat'"),
        (
            "dicts",
            "",
            "",
            "the targets are for 2 outputs, 'price', 'kind', but the models of family 'mlp' have one output",
        ),
        ("dicts", "named", 'task = "regression"', "task = 'regression' is for targets of one output, but there are 2"),
        ("dicts", "named", "unit = 10.0", "unit = 10.0 is for targets of one output, but there are 2"),
        ("dicts", "named", "standardize_targets = true", "standardize_targets = True is for targets of one output"),
        (
            "cities",
            "",
            'target = "inputs"',
            'target = "inputs" needs one array or columns of numbers, but city is something',
        ),
        (
            "alone",
            "",
            'target = "none"',
            "there are no targets, but the models of family 'mlp' have one output and learn",
        ),
        ("alone", "named", "", "returned ndarray, not rows and targets"),
        ("table_with_gaps", "", 'target = "inputs"', "needs a number in every cell, but "),
    ],
)
def test_bad_targets_are_refused(module: str, tmp_path: Path, source: str, build: str, data: str, words: str) -> None:
    address = f"{module}:{build}" if build else ""
    with pytest.raises(DataError, match=re.escape(words)):
        load_dataset(parse_spec(text(f"{module}:{source}", address, data=data), folder=tmp_path))


def test_rows_without_one_of_their_targets_are_left_out(module: str, tmp_path: Path) -> None:
    found = load(module, tmp_path, "gaps", "named", data='missing_targets = "drop"\ntest_fraction = 0')
    assert len(found.dataset.train) < 101
    assert np.isfinite(found.dataset.train.y["price"]).all()


def test_scikit_learns_scorers_are_for_one_output(module: str, tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=re.escape("scores the predictions of one output, but the targets are for several")
    ):
        _ = load(module, tmp_path, "dicts", "named", metric="sklearn:r2").scorer


def test_rows_without_targets_keep_all_that_comes_with_them(module: str, tmp_path: Path) -> None:
    for source in ("alone_weighted", "alone_named"):
        part = load(module, tmp_path, source, "autoencoder", data='target = "inputs"\ntest_fraction = 0').dataset.train
        assert part.weights is not None
        assert part.y.shape == (101, 4 if source == "alone_weighted" else 2)
    column = load(module, tmp_path, "called_inputs", data='target = "inputs"\ntest_fraction = 0').dataset
    assert (column.train.y.shape, [one.name for one in column.columns]) == ((101,), ["a"])


def test_two_tuples_are_inputs_and_outputs_unless_their_rows_are_alike(module: str, tmp_path: Path) -> None:
    several = load(module, tmp_path, "two_tuples", "by_list", data="test_fraction = 0").dataset
    assert several.test is None
    assert ([one.name for one in several.columns], [one.name for one in several.outputs]) == (
        ["input_0", "input_1"],
        ["output_0", "output_1"],
    )
    assert load(module, tmp_path, "parts_alike", "autoencoder").dataset.test is not None


def test_a_null_search_needs_targets(module: str, tmp_path: Path) -> None:
    spec = parse_spec(text(f"{module}:alone", f"{module}:own_losses", data='target = "none"'), folder=tmp_path)
    with pytest.raises(DataError, match="a null search permutes targets, and this study has none"):
        Problem.load(spec.model_copy(update={"validation": spec.validation.model_copy(update={"null": 0})}))
