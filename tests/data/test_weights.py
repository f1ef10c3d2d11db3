"""What rows count: where weights come from, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from hpsearch.data import load_dataset
from hpsearch.data.dataset import Part
from hpsearch.data.permuted import permuted
from hpsearch.errors import DataError, SpecError
from hpsearch.spec import parse_spec
from hpsearch.training.problem import Problem

STUDY = """
name = "weights"
[data]
source = "{source}"
test_fraction = 0.25
{data}
[validation]
folds = 2
[model]
family = "mlp"
{model}
[objective]
metric = "val_loss"
"""

FORMS = """
import numpy as np
import pandas as pd

x = np.arange(24.0).reshape(12, 2)
y = np.tile([0, 1], 6)
w = np.arange(12) / 2

def plain(): return x, y
def pair(): return x, y, w
def parts(): return (x, y, w), (x[:3], y[:3], w[:3])
def named(): return {"x": x, "y": y, "sample_weight": w}
def table(): return pd.DataFrame({"a": x[:, 0], "y": y, "w": w})
def with_test_table():
    frame = pd.DataFrame({"a": x[:, 0], "w": w})
    return {"x": frame, "y": y, "x_test": frame[:3], "y_test": y[:3]}
def half(): return (x, y, w), (x[:3], y[:3])
def text(): return pd.DataFrame({"a": x[:, 0], "y": y, "w": ["1"] * 11 + ["many"]})
def negative(): return x, y, w - 1
def gaps(): return x, y, np.where(w == 2, np.nan, w)
def zero(): return x, y, w * 0
def short(): return x, y, w[:5]
def twice(): return {"x": pd.DataFrame({"a": x[:, 0], "w": w}), "y": y, "sample_weight": w}
"""


@pytest.fixture
def forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "weight_forms.py").write_text(FORMS)
    return tmp_path


def spec(folder: Path, form: str, data: str = "", model: str = ""):
    source = form if "." in form else f"weight_forms:{form}"
    return parse_spec(STUDY.format(source=source, data=data, model=model), folder=folder)


COLUMN = 'weight = "w"'
IN_TABLE = f'{COLUMN}\ntarget = "y"'


@pytest.mark.parametrize(
    ("form", "data"), [("pair", ""), ("parts", ""), ("named", ""), ("table", IN_TABLE), ("with_test_table", COLUMN)]
)
def test_weights_come_with_the_rows(forms: Path, form: str, data: str) -> None:
    dataset = load_dataset(spec(forms, form, data))
    assert dataset.train.weights is not None
    assert dataset.train.weights.dtype == np.float32
    assert dataset.train.weights.tolist() == [place / 2 for place in range(12)]
    if dataset.test is not None:
        assert dataset.test.weights.tolist() == [0.0, 0.5, 1.0]
    assert "w" not in {column.name for column in dataset.columns}


def test_weights_come_with_an_npz_file(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(12, 2), np.tile([0, 1], 6)
    np.savez(tmp_path / "rows.npz", x=x, y=y, sample_weight=np.arange(12))
    assert load_dataset(spec(tmp_path, "rows.npz")).train.weights.tolist() == [*range(12)]


def test_rows_keep_their_weights_in_every_part(forms: Path) -> None:
    problem = Problem.load(spec(forms, "pair"))
    parts = [problem.dataset.test, *problem.fold_parts(0)]
    for part in parts:
        assert part.weights.tolist() == (part.x[:, 0] / 4).tolist()


def test_weights_are_part_of_the_datas_digest(forms: Path) -> None:
    digests = {
        load_dataset(spec(forms, *one)).fingerprint() for one in [("table", IN_TABLE), ("table", 'target = "y"')]
    }
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        ("half", "", "weight_forms:half: the training rows have weights, but the test rows have none"),
        ("text", IN_TABLE, "weight_forms:text: weight names column 'w', but row 11 has 'many'"),
        ("negative", "", "sample_weight is -1 in row 0, and below 0, infinite or missing in 2 of 12 rows"),
        ("gaps", "", "sample_weight is nan in row 4, and below 0, infinite or missing in 1 of 12 rows"),
        ("zero", "", "sample_weight is 0 in all 12 rows"),
        ("short", "", "sample_weight has shape (5,) and dtype float64, but there are 12 rows"),
        ("twice", COLUMN, "weight names column 'w', but the function returns sample_weight, too"),
        ("plain", COLUMN, "weight names column 'w', but the source has arrays without named columns"),
        ("table", 'weight = "v"\ntarget = "y"', "weight names column 'v', which does not exist"),
        ("table", 'weight = "y"\ntarget = "y"', "column 'y' is both target and weight"),
    ],
)
def test_bad_weights_are_refused(forms: Path, form: str, data: str, text: str) -> None:
    with pytest.raises(DataError, match=re.escape(text)):
        load_dataset(spec(forms, form, data))


@pytest.mark.parametrize(
    ("model", "data", "text"),
    [
        ("class_weight = { 2 = 1.0 }", "", "model.class_weight: there is no class '2'"),
        ('class_weight = "balanced"', 'task = "regression"', "the targets of weight_forms:pair are no classes"),
        ("class_weight = { 1 = -1.0 }", "", "must be finite numbers of 0 or more, but class '1' has -1"),
        ('class_weight = "equal"', "", "class_weight"),
    ],
)
def test_bad_class_weights_are_refused(forms: Path, model: str, data: str, text: str) -> None:
    with pytest.raises(SpecError, match=re.escape(text)):
        Problem.load(spec(forms, "pair", data, model))


def test_balanced_classes_are_counted_in_the_training_rows(forms: Path) -> None:
    problem = Problem.load(spec(forms, "table", 'target = "y"', 'class_weight = "balanced"'))
    train = problem.dataset.train.take(np.array([0, 1, 2, 4]))
    weights = problem.to_train(train).weights
    counts = np.bincount(train.y)
    assert weights.tolist() == pytest.approx([4 / (2 * counts[one]) for one in train.y])


def test_weights_of_an_npz_file_have_its_names(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(12, 2), np.tile([0, 1], 6)
    for name in ("sample_weight", "sample_weight_train"):
        np.savez(tmp_path / "rows.npz", **{"x_train": x, "y_train": y, name: np.arange(12)})
        assert load_dataset(spec(tmp_path, "rows.npz")).train.weights.tolist() == [*range(12)]
    np.savez(tmp_path / "rows.npz", plan=x, y=y, weights=np.arange(12))
    with pytest.raises(DataError, match=r"every array but y and sample_weight is an input: 'weights' is hardly one"):
        load_dataset(spec(tmp_path, "rows.npz"))


def test_some_rows_of_every_fold_must_count(forms: Path) -> None:
    (forms / "weightless_rows.py").write_text(FORMS + "w[:] = 0\nw[:4] = 1\n")
    study = STUDY.replace("folds = 2", 'folds = 2\nmethod = "kfold"').replace(
        "test_fraction = 0.25", "test_fraction = 0"
    )
    text = study.format(source="weightless_rows:pair", data="", model="").replace('"kfold"', '"time-series"')
    with pytest.raises(DataError, match="rows of fold 0 have weight 0"):
        Problem.load(parse_spec(text, folder=forms))
    with pytest.raises(DataError, match="all training rows of fold 0 have weight 0"):
        Problem.load(spec(forms, "plain", "", "class_weight = { 0 = 0.0, 1 = 0.0 }"))


def test_in_a_null_search_a_weight_goes_where_its_target_goes() -> None:
    y = np.array([0, 1] * 10)
    part = Part(np.arange(20.0)[:, None], y, weights=np.where(y == 1, 9.0, 1.0).astype(np.float32))
    found, _ = permuted(part, seed=0, index=0, in_order=False)
    assert found.y.tolist() != y.tolist()
    assert (found.weights == np.where(found.y == 1, 9.0, 1.0)).all()


@pytest.mark.parametrize("other", ["group", "text"])
def test_a_weight_has_no_other_role(forms: Path, other: str) -> None:
    data = f"{IN_TABLE}\n{other} = " + ('["w"]' if other == "text" else '"w"')
    with pytest.raises(DataError, match=f"column 'w' is both .*{other}|column 'w' is both {other}"):
        load_dataset(spec(forms, "table", data))
