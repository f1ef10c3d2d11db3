"""Targets of which a row may have any number: columns of zeros and ones."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.data import load_dataset
from hpsearch.data.card import card_of
from hpsearch.data.loaded import Loaded
from hpsearch.data.targets import code_targets
from hpsearch.portable.predictor import Predictor, labels_table
from hpsearch.spec import parse_spec
from hpsearch.testing.factories import make_champion, make_trials
from tests.raising import raises

STUDY = """
name = "labels"
[data]
source = "rows.csv"
target = ["rock", "jazz", "folk"]
test_fraction = 0
{more}
[model]
family = "mlp"
[space]
epochs = 1
[objective]
metric = "val_auc"
direction = "maximize"
"""


def coded(y, *, more="", y_test=None, classes=()):
    loaded = Loaded(np.zeros((len(y), 1)), np.asarray(y), y_test=y_test, classes=classes)
    return code_targets(loaded, parse_spec(STUDY.format(more=more)))


def table(folder: Path, rows: list[str]):
    (folder / "rows.csv").write_text("x,rock,jazz,folk\n" + "\n".join(rows) + "\n")
    return load_dataset(parse_spec(STUDY.format(more=""), folder=folder))


@pytest.mark.parametrize("words", [("0", "1"), ("False", "True"), ("0.0", "1.0")])
def test_columns_of_zeros_and_ones_are_labels_named_by_their_columns(tmp_path: Path, words) -> None:
    off, on = words
    found = table(tmp_path, [f"{n},{on if n % 2 else off},{on if n % 3 else off},{off}" for n in range(12)])
    assert found.task is Task.MULTILABEL
    assert found.classes == ("rock", "jazz", "folk")
    assert (found.train.y.shape, found.train.y.dtype) == ((12, 3), np.float32)
    assert found.class_counts() == (6, 8, 0)
    assert [text for text in found.warnings if "nothing can be learned" in text] == [
        "label 'folk' is the same in all rows, so nothing can be learned about it"
    ]


def test_one_hot_rows_are_classes_and_other_numbers_are_amounts_unless_it_says_otherwise() -> None:
    one_hot = np.eye(3)[np.arange(9) % 3]
    assert coded(one_hot).task is Task.MULTICLASS
    assert coded(one_hot, more='task = "multilabel"').task is Task.MULTILABEL
    assert coded(one_hot * 2).task is Task.REGRESSION
    assert coded(np.ones((9, 3)) - one_hot).task is Task.MULTILABEL
    assert coded(np.ones((9, 3)) - one_hot, more='task = "regression"').task is Task.REGRESSION
    assert coded(np.eye(2, dtype=bool)[np.arange(9) % 2] | True, classes=("a", "b")).classes == ("a", "b")
    assert coded(np.ones((9, 4), int)).classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("y", [np.arange(9) % 2, np.arange(18).reshape(9, 2), np.full((9, 2), "yes")])
def test_what_is_no_label_is_refused_where_labels_are_asked_for(y) -> None:
    with raises("data.not-labels", source="rows.csv", shape=y.shape):
        coded(y, more='task = "multilabel"')
    labels = np.eye(2)[np.arange(9) % 2]
    with raises("data.not-labels"):
        coded(labels, more='task = "multilabel"', y_test=y)


@pytest.mark.parametrize("logits", [False, True])
def test_predictions_have_a_column_for_each_label_and_one_for_its_probability(tmp_path: Path, logits) -> None:
    found = table(tmp_path, [f"{n},{n % 2},{(n % 3) // 2},1" for n in range(12)])
    card = card_of(found, make_champion(make_trials(2)[1]), None)
    assert card.labels
    shares = np.array([[0.9, 0.2, 0.6], [0.1, 0.7, 0.5]])
    given = np.log(shares / (1 - shares)) if logits else shares

    class Model:
        def predict(self, inputs, **_):
            return given

    said = Predictor(Model(), card).predict({"x": [1.0, 2.0]})
    assert list(said.columns) == ["rock", "jazz", "folk", "p(rock)", "p(jazz)", "p(folk)"]
    assert said[["rock", "jazz", "folk"]].to_numpy().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert said[["p(rock)", "p(jazz)", "p(folk)"]].to_numpy() == pytest.approx(shares)
    assert labels_table(shares[:1], ["a", "b", "c"], said.index[:1]).shape == (1, 6)
