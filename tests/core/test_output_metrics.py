"""Metrics of targets with one output and with several, which are called as Keras calls its own."""

from dataclasses import dataclass

import numpy as np
import pytest

from hpsearch.core.facts import Output, Task
from hpsearch.core.metrics import metrics_for, names_shown, values_of
from hpsearch.core.output_metrics import (
    best_values,
    known_metrics,
    metric_on_rows,
    metric_values,
    output_of_metric,
    shown_metrics,
)
from hpsearch.core.records import records


@dataclass(frozen=True)
class Targets:
    task: Task
    classes: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()


RNG = np.random.default_rng(0)
N = 60
PRICE, KIND = RNG.normal(size=N), RNG.integers(0, 3, N)
SAID = {"price": PRICE + RNG.normal(size=N) / 9, "kind": RNG.dirichlet(np.ones(3), N)}
SEVERAL = Targets(
    Task.SEVERAL, (), (Output("price", Task.REGRESSION), Output("kind", Task.MULTICLASS, ("a", "b", "c")))
)
ALONE = Targets(Task.MULTICLASS, ("a", "b", "c"))
Y = records({"price": PRICE, "kind": KIND})


def test_of_several_outputs_each_has_the_metrics_of_its_task():
    weights = RNG.gamma(1.0, size=N)
    found = metric_values(SEVERAL, Y, SAID, weights=weights)
    price = values_of(Task.REGRESSION, PRICE, SAID["price"], weights=weights)
    kind = values_of(Task.MULTICLASS, KIND, SAID["kind"], weights=weights)
    assert found == {f"price_{n}": v for n, v in price.items()} | {f"kind_{n}": v for n, v in kind.items()}
    assert found.keys() == known_metrics(SEVERAL).keys()
    as_records = records(SAID)
    assert metric_values(SEVERAL, Y, as_records, weights=weights) == found
    assert metric_values(SEVERAL, Y, SAID, ("kind_auc",)) == {"kind_auc": pytest.approx(values_of(*KIND_AUC)["auc"])}


KIND_AUC = (Task.MULTICLASS, KIND, SAID["kind"], ("auc",))


def test_an_output_that_is_missing_or_has_no_known_form_has_no_metrics():
    assert not metric_values(SEVERAL, Y, {"other": SAID["kind"]})
    two = metric_values(SEVERAL, Y, {"price": SAID["price"], "kind": SAID["kind"][:, :2]})
    assert two.keys() == {f"price_{name}" for name in metrics_for(Task.REGRESSION)}


def test_one_output_is_as_before():
    assert metric_values(ALONE, KIND, SAID["kind"]) == values_of(Task.MULTICLASS, KIND, SAID["kind"])
    assert known_metrics(ALONE) == metrics_for(Task.MULTICLASS)
    assert shown_metrics(ALONE) == names_shown(Task.MULTICLASS, 3)


def test_what_is_shown_depends_on_the_classes_of_the_output():
    many = Targets(Task.SEVERAL, (), (Output("a", Task.MULTICLASS, tuple("abcdefghijklm")), SEVERAL.outputs[1]))
    assert "a_top_5_accuracy" in shown_metrics(many)
    assert "kind_top_5_accuracy" not in shown_metrics(many)


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("kind_accuracy", ("kind", "accuracy")),
        ("kind_two_loss", ("kind_two", "loss")),
        ("kind_loss", ("kind", "loss")),
        ("loss", None),
        ("val_mae", ("val", "mae")),
        ("kind", None),
        ("kinds_auc", None),
    ],
)
def test_the_output_of_a_metric_is_the_one_with_the_longest_name(metric, wanted):
    outputs = tuple(Output(name, Task.REGRESSION) for name in ("kind", "kind_two", "val"))
    found = output_of_metric(outputs, metric)
    assert wanted == (None if found is None else (found[0].name, found[1]))


def test_the_best_of_several_goes_by_the_metrics_direction():
    binary = Targets(Task.BINARY, ("a", "b"))
    found = best_values(binary, [{"auc": 0.5, "log_loss": 0.7}, {"auc": 0.6, "log_loss": 0.4, "other": 1.0}])
    assert found == {"auc": 0.6, "log_loss": 0.4}
    found = best_values(SEVERAL, [{"price_mae": 2.0, "kind_auc": 0.5}, {"price_mae": 1.0, "kind_auc": 0.4, "loss": 1}])
    assert found == {"price_mae": 1.0, "kind_auc": 0.5}


def test_a_metric_of_an_output_has_values_on_rows():
    said, errors = records(SAID), np.abs(SAID["price"] - PRICE)
    rows = metric_on_rows(SEVERAL.outputs, Y, said, "price_mae", float(errors.mean()))
    assert rows is not None
    np.testing.assert_allclose(rows.values, errors)
    right = SAID["kind"].argmax(axis=1) == KIND
    rows = metric_on_rows(SEVERAL.outputs, Y, said, "kind_accuracy", float(right.mean()))
    assert rows is not None
    assert rows.is_share
    assert metric_on_rows(SEVERAL.outputs, Y, said, "loss", 1.0) is None
    assert metric_on_rows((), KIND, SAID["kind"], "accuracy", float(right.mean())) is not None
