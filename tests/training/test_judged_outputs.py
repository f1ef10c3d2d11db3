"""Several outputs are judged one by one: metrics, baselines, intervals, predictions, figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hpsearch
from hpsearch import analysis, report
from hpsearch.champion.export import export
from hpsearch.core.events import Lane
from hpsearch.core.metrics import values_of
from hpsearch.core.out_of_fold import lane_file
from hpsearch.core.records import records
from hpsearch.errors import StudyError
from hpsearch.report.content import gather, plain
from hpsearch.report.markdown import render_markdown
from hpsearch.report.page import render_page
from hpsearch.spec import load_spec
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem
from hpsearch.training.worker import Worker
from tests.engines.conftest import results
from tests.raising import raises

MODULE = """
import keras
import numpy as np
from keras import layers

N = 240
rng = np.random.default_rng(0)
x = rng.normal(size=(N, 4)).astype("float32")
price = 100 + x.sum(axis=1) * 3
kind = np.array(["flat", "house", "room"])[np.digitize(x[:, 0], [-0.5, 0.5])]
tags = (x[:, :2] > 0).astype(int)
weights = rng.gamma(1.0, size=N)

def dicts(): return x, {"price": price, "kind": kind}
def late(): return x, {"price": price * 1e4, "kind": np.where(np.arange(N) < 160, kind, "flat")}
def weighted(): return x, {"price": price, "kind": kind}, weights
def turned(): return x, {"kind": kind, "price": price}
def tuples(): return {"x": x, "y": (price, kind)}
def maps(): return x, {"price": price, "map": np.repeat(x[:, :1], 6, axis=1).reshape(N, 3, 2)}
def tagged(): return x, {"price": price, "tags": tags}

def of(config, kind, activation="softmax", size=3):
    inputs = keras.Input((4,))
    hidden = layers.Dense(config["units"], "relu")(inputs)
    area = layers.Rescaling(10, 100, name="price")(layers.Dense(1)(hidden))
    return inputs, area, layers.Dense(size, activation, name=kind)(hidden)

def named(config, data):
    inputs, price, kind = of(config, "kind")
    return keras.Model(inputs, {"price": price, "kind": kind})

def logits(config, data):
    inputs, price, kind = of(config, "kind", None)
    model = keras.Model(inputs, {"price": price, "kind": kind})
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss={"price": "mse", "kind": entropy}, metrics={"kind": ["accuracy"]})
    return model

def by_list(config, data):
    inputs, price, kind = of(config, "kind")
    model = keras.Model(inputs, [price, kind])
    model.compile("adam", loss=["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
    return model

def tags_and_price(config, data):
    inputs, price, tags = of(config, "tags", "sigmoid", 2)
    return keras.Model(inputs, {"price": price, "tags": tags})

def of_maps(config, data):
    inputs, price, flat = of(config, "flat", None, 6)
    return keras.Model(inputs, {"price": price, "map": layers.Reshape((3, 2), name="map")(flat)})

def more(config, data):
    inputs, price, kind = of(config, "kind")
    model = keras.Model(inputs, {"price": price, "kind": kind, "emb": layers.Dense(5)(inputs)})
    model.compile("adam", loss={"price": "mse", "kind": "sparse_categorical_crossentropy"})
    return model

class Stepping(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.price, self.kind = layers.Dense(1), layers.Dense(3, "softmax")

    def call(self, inputs):
        return {"amount": self.price(inputs), "sort": self.kind(inputs)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        off = keras.losses.mean_squared_error(y["price"][:, None], y_pred["amount"])
        return keras.ops.mean(off + keras.losses.sparse_categorical_crossentropy(y["kind"], y_pred["sort"]))

def stepping(config, data):
    model = Stepping(config["units"])
    model.compile("adam")
    return model

def price_and_kind(y, predicted):
    return both(y, predicted)

def both(y, predicted):
    off = np.abs(y["price"] - predicted["price"].reshape(-1)).mean()
    return off + (y["kind"] != predicted["kind"].argmax(axis=1)).mean()
"""


def lay(folder: Path, source: str, build: str, metric: str) -> Path:
    """The study file in its folder, with its module."""
    folder.mkdir(exist_ok=True)
    (folder / "judged_outputs.py").write_text(MODULE)
    path = folder / "study.toml"
    path.write_text(text(source, build, metric))
    return path


def text(source: str, build: str, metric: str) -> str:
    direction = "maximize" if metric.endswith(("accuracy", "f1_macro", "auc")) else "minimize"
    return f"""
name = "judged"
[data]
source = "judged_outputs:{source}"
[validation]
folds = 2
[model]
build = "judged_outputs:{build}"
[space]
units = [8, 16]
epochs = 3
[objective]
metric = "{metric}"
direction = "{direction}"
[search]
trials = 2
"""


def load(folder: Path, source: str, build: str, metric: str, *, folds: str = "folds = 2") -> Problem:
    path = lay(folder, source, build, metric)
    path.write_text(path.read_text().replace("folds = 2", folds))
    spec = load_spec(path)[0]
    return Problem.load(spec, predictions=str(folder / "kept"))


CONFIG = {"units": 8, "epochs": 3, "batch_size": 32}
LANES = [Lane(0, fold, CONFIG) for fold in range(2)]


@pytest.mark.parametrize(
    ("source", "build", "metric"),
    [
        ("dicts", "named", "val_kind_f1_macro"),
        ("weighted", "named", "val_price_rmse"),
        ("turned", "by_list", "val_kind_auc"),
        ("tuples", "by_list", "val_output_1_auc"),
        ("tagged", "tags_and_price", "val_tags_auc"),
    ],
)
def test_any_metric_of_an_output_is_an_objective_in_both_engines(
    tmp_path: Path, source: str, build: str, metric: str
) -> None:
    found = {}
    for engine in (FusedEngine, FitEngine):
        problem = load(tmp_path / engine.__name__, source, build, metric)
        lanes = results(engine(problem), LANES)
        for fold in range(2):
            with np.load(lane_file(Path(problem.predictions), 0, fold)) as file:
                y, predicted, weights = file["y"], file["predicted"], file.get("weights")
            output = next(one for one in problem.dataset.outputs if metric.startswith(f"val_{one.name}_"))
            name = metric.removeprefix(f"val_{output.name}_")
            curve = lanes[0, fold].curves[metric]
            for epoch in range(3):
                by_hand = values_of(
                    output.task, y[output.name], predicted[epoch][output.name], (name,), weights=weights
                )
                assert curve[epoch] == pytest.approx(by_hand[name], rel=1e-5)
            found[engine, fold] = predicted
    for fold in range(2):
        for name in found[FusedEngine, fold].dtype.names:
            np.testing.assert_allclose(
                found[FusedEngine, fold][name], found[FitEngine, fold][name], rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize(
    ("source", "build"), [("turned", "named"), ("turned", "by_list"), ("dicts", "logits"), ("tuples", "by_list")]
)
def test_a_curve_of_one_output_has_the_baselines_of_that_output(tmp_path: Path, source: str, build: str) -> None:
    problem = load(tmp_path, source, build, "val_kind_accuracy")
    told = Worker(problem.spec).rehearse(CONFIG)
    assert [one.rule for one in told.baselines] == ["the commonest class", "the shares of the classes"]
    y = problem.dataset.train.y
    price, kind = ("output_0", "output_1") if source == "tuples" else ("price", "kind")
    by_hand = []
    for fold in problem.folds:
        commonest = np.bincount(y[kind][fold.train]).argmax()
        by_hand.append(float((y[kind][fold.validation] == commonest).mean()))
    assert told.baselines[0].fold_scores == pytest.approx(by_hand)
    of_price = {
        rule: np.mean([np.abs(y[price][one.validation] - rule(y[price][one.train])).mean() for one in problem.folds])
        for rule in (np.mean, np.median)
    }
    assert told.baselines[0].metrics[f"{price}_mae"] == pytest.approx(min(of_price.values()), rel=1e-5)
    assert told.baselines[0].metrics[f"{kind}_auc"] == 0.5


@pytest.mark.parametrize(
    ("metric", "rules"),
    [
        ("val_loss", {"the mean of the targets for 'price' and the shares of the classes for 'kind'"}),
        ("val_kind_loss", {"the commonest class", "the shares of the classes"}),
        ("judged_outputs:price_and_kind", {"the mean of the targets for 'price' and the commonest class for 'kind'"}),
    ],
)
def test_a_loss_has_baselines_and_a_curve_of_all_outputs_has_one_the_best_of_each(
    tmp_path: Path, metric: str, rules: set[str]
) -> None:
    problem = load(tmp_path, "dicts", "named", metric)
    told = Worker(problem.spec).rehearse(CONFIG)
    assert {one.rule for one in told.baselines} == rules
    y, values = problem.dataset.train.y, []
    for fold in problem.folds:
        price, kind = y["price"], y["kind"]
        shares = np.bincount(kind[fold.train]) / len(fold.train)
        if metric == "val_kind_loss":
            values.append(-np.log(shares[kind[fold.validation]]).mean())
        elif metric == "val_loss":
            squares = (price[fold.validation] - price[fold.train].mean()) ** 2
            values.append(squares.mean() - np.log(shares[kind[fold.validation]]).mean())
        else:
            off = np.abs(price[fold.validation] - price[fold.train].mean())
            values.append(off.mean() + (kind[fold.validation] != shares.argmax()).mean())
    assert told.baselines[0].fold_scores == pytest.approx(values, rel=1e-4)


def test_metrics_without_a_value_in_a_fold_and_targets_far_away_are_told_of_each_output(tmp_path: Path) -> None:
    folds = 'folds = 2\nmethod = "time-series"'
    problem = load(tmp_path, "late", "named", "val_kind_auc", folds=folds)
    told = Worker(problem.spec.model_copy(update={"data": problem.spec.data.model_copy(update={"test_fraction": 0})}))
    found = told.rehearse(CONFIG)
    lacking = {one.metric: (one.folds, one.reason) for one in found.undefined}
    assert lacking["val_kind_auc"] == ((1,), "rows of class 'flat' only")
    assert not any(name.startswith("val_price") for name in lacking)
    assert len(found.baselines[0].fold_scores) == 1
    (doubt,) = [one for one in found.doubts if "the targets of output" in one]
    assert doubt.startswith("the targets of output 'price' are around 1e+06 (standard deviation ")
    assert doubt.endswith("but the model starts near 0 and may not get there: let it end in Rescaling(scale, offset)")


@pytest.mark.parametrize(("build", "there"), [("more", True), ("stepping", False)])
def test_outputs_without_targets_do_not_matter_and_other_names_mean_no_baselines(
    tmp_path: Path, build: str, there: bool
) -> None:
    problem = load(tmp_path, "dicts", build, "val_loss")
    told = Worker(problem.spec).rehearse(CONFIG)
    assert bool(told.baselines) == there
    results(FitEngine(problem), LANES[:1])
    path = lane_file(Path(problem.predictions), 0, 0)
    assert path.exists() == there
    if there:
        with np.load(path) as file:
            assert file["predicted"].dtype.names == ("price", "kind")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("studied")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield hpsearch.run(lay(folder, "dicts", "named", "val_kind_accuracy"), verbose=0)


def truth_and_said(study: Any) -> tuple[Any, pd.DataFrame]:
    test = Problem.load(study.record.spec).dataset.test
    assert test is not None
    return test, study.predict(test.x)


def test_the_champion_is_tested_on_every_output(study: Any) -> None:
    test, said = truth_and_said(study)
    champion = study.record.champion
    off = np.abs(said["price"] - test.y["price"]).mean()
    classes = study.record.facts.data.outputs[1].classes
    right = (said["kind"] == [classes[one] for one in test.y["kind"]]).mean()
    assert champion.test["price_mae"] == pytest.approx(off, rel=1e-4)
    assert champion.test["kind_accuracy"] == pytest.approx(right)
    assert {"kind_auc", "kind_f1_macro", "price_r2", "kind_loss"} <= champion.test.keys()
    train = Problem.load(study.record.spec).dataset.train
    constants = [np.abs(test.y["price"] - one).mean() for one in (train.y["price"].mean(), np.median(train.y["price"]))]
    assert champion.baseline["price_mae"] == pytest.approx(min(constants), rel=1e-4)
    assert champion.baseline["kind_auc"] == 0.5
    assert {"kind_accuracy", "kind_auc", "price_r2"} <= champion.validation.keys()  # MLflow has them, too
    assert champion.validation["kind_accuracy"] == pytest.approx(study.best.score)
    shares = np.bincount(train.y["kind"]) / len(train)
    entropy = -np.log(shares[test.y["kind"]]).mean()
    squares = min(
        np.square(test.y["price"] - one).mean() for one in (train.y["price"].mean(), np.median(train.y["price"]))
    )
    assert champion.baseline["kind_loss"] == pytest.approx(entropy, rel=1e-4)
    assert champion.baseline["price_loss"] == pytest.approx(squares, rel=1e-4)
    assert champion.baseline["loss"] == pytest.approx(entropy + squares, rel=1e-4)


def test_the_report_has_a_part_for_every_output(study: Any) -> None:
    test, said = truth_and_said(study)
    folder = study.folder
    content = gather(study.record, report.load_artifacts(study.record, folder))
    assert not content.predictions.reason
    price, kind = content.predictions.outputs
    assert (price.output, price.kind, kind.output, kind.kind) == ("price", "values", "kind", "classes")
    classes = study.record.facts.data.outputs[1].classes
    matrix = pd.crosstab(pd.Categorical(test.y["kind"], [0, 1, 2]), pd.Categorical(said["kind"], classes), dropna=False)
    assert np.array(kind.confusion).sum() == len(test)
    numbers = [classes.index(name) for name in kind.classes]
    assert kind.confusion == tuple(map(tuple, matrix.to_numpy()[np.ix_(numbers, numbers)].tolist()))
    assert {one.name: one.value for one in kind.metrics}["accuracy"] == pytest.approx(
        study.record.champion.test["kind_accuracy"]
    )
    assert {"kind_accuracy", "price_mae", "kind_auc", "kind_loss", "loss"} <= content.verdict.test_intervals.keys()
    for one in content.out_of_fold.outputs:
        assert one.rows == "validation row"
        assert one.n_rows == study.record.facts.data.rows
    assert content.optimism.low is not None  # drawn from rows
    assert content.inputs.metric == "kind_accuracy"
    page = (folder / "report.html").read_text()
    assert page.count("Confusion matrix") == 2
    assert "output &#39;price&#39;" in page
    told = (folder / "report.md").read_text()
    assert "output 'kind'" in told
    assert told.count("| balanced\\_accuracy |") == 2
    assert json.dumps(plain(content))


def test_figures_of_one_output_are_drawn_by_its_name(study: Any) -> None:
    assert study.figures.confusion(output="kind").data
    assert study.figures.residuals(rows="validation", output="price").data
    with raises("study.no-such-output") as caught:
        study.figures.confusion()
    assert str(caught.value.what) == ("study 'judged' has the outputs 'price', 'kind', but output=None was asked for")
    assert caught.value.hint == "output='price' draws the first of them"
    with pytest.raises(StudyError, match="there are no predictions to draw"):
        study.figures.confusion(output="price")


def test_predictions_of_every_output_are_exported(study: Any, tmp_path: Path) -> None:
    test, said = truth_and_said(study)
    export(study.record, study.folder, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    assert list(table) == [
        "row",
        "price y_true",
        "price y_pred",
        "kind y_true",
        *(f"kind y_pred_{n}" for n in range(3)),
    ]
    np.testing.assert_allclose(table["price y_pred"], said["price"], rtol=1e-4)
    np.testing.assert_array_equal(table["kind y_true"], test.y["kind"])
    card = (tmp_path / "out/model_card.md").read_text()
    assert "class of kind" in card


def test_an_output_of_arrays_is_shown_by_its_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = hpsearch.run(lay(tmp_path, "maps", "of_maps", "val_price_mae"), verbose=0)
    found = analysis.predictions_info(study.record, report.load_artifacts(study.record, study.folder).predictions)
    shown = {one.output: one for one in found.outputs}
    assert [one.name for one in shown["price"].metrics] == ["r2", "mae", "rmse"]
    assert not shown["map"].metrics
    assert shown["map"].residual_std == pytest.approx(float(np.std(residuals(study), ddof=1)), rel=1e-4)


def residuals(study: Any) -> Any:
    test, _ = truth_and_said(study)
    return study.best_model().predict(test.x, verbose=0)["map"] - test.y["map"]


def test_an_output_whose_form_is_not_known_is_said_and_the_others_are_shown(study: Any) -> None:
    kept = report.load_artifacts(study.record, study.folder).predictions
    pixels = np.zeros((len(kept.rows), 2, 3))
    strange = replace(kept, y_pred=records({"price": kept.y_pred["price"], "kind": pixels}))
    price, kind = analysis.predictions_info(study.record, strange).outputs
    assert not price.reason
    assert kind.reason == "outputs of shape (2, 3) are not one class for each row"
    content = replace(gather(study.record, None), predictions=analysis.predictions_info(study.record, strange))
    said = "is not shown: outputs of shape (2, 3) are not one class for each row."
    assert f"Output &#39;kind&#39; {said}" in render_page(content)
    assert f"Output 'kind' {said}" in render_markdown(content).replace("\\", "")
