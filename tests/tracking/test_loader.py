"""The loader that is shipped with every model does as ``hpsearch predict`` does, without its code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.facts import Column
from hpsearch.data.categories import category_code
from hpsearch.data.tables import rows_of
from hpsearch.training import mlflow_loader
from hpsearch.training.mlflow_loader import Card, Predictor

TABLE = pd.DataFrame(
    {
        "age": [31, None, 44],
        "member": [True, False, True],
        "city": ["Rome", None, "Oslo"],
        "size": [4.0, np.nan, 5.0],
        "spare": ["x", "y", "z"],
    },
    index=[7, 8, 9],
)
COLUMNS = (Column("age", "number"), Column("member", "number"), Column("city", "category"), Column("size", "category"))


class Recorder:
    """Stands for a Keras model: keeps what it is given and returns as many rows."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def predict(self, x: object, **_: object) -> np.ndarray:
        self.x = x
        rows = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)  # type: ignore[arg-type]
        return np.linspace(0.1, 0.9, rows * self.outputs, dtype=np.float32).reshape(rows, self.outputs)


def make(outputs: int, classes: tuple[str, ...] = (), *, table: bool = False) -> tuple[Recorder, Predictor]:
    columns = {column.name: column.kind for column in COLUMNS} if table else {}
    model = Recorder(outputs)
    return model, Predictor(model, Card("jax", classes, columns, (4,) if table else (2, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["Rome", "", "Österreich", 4, 4.0, 4.5, True, None, float("nan"), np.float32(3), 2**40]
)
def test_categories_have_the_codes_of_training(value: object) -> None:
    assert mlflow_loader.category_code(value) == category_code(value)


@pytest.mark.parametrize("as_categories", [False, True])
def test_a_table_becomes_what_the_model_was_trained_on(as_categories: bool) -> None:
    table = TABLE.astype({"city": "category"}) if as_categories else TABLE
    model, predictor = make(1, table=True)
    predicted = predictor.predict(table)
    expected = rows_of("the test", table, COLUMNS)
    assert isinstance(model.x, dict)
    assert list(model.x) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(model.x[name], values)
        assert model.x[name].dtype == values.dtype
    assert list(predicted.columns) == ["prediction"]
    assert list(predicted.index) == [7, 8, 9]


def test_arrays_and_tables_of_numbers_are_the_same_rows() -> None:
    rows = np.arange(24).reshape(4, 2, 3)
    model, predictor = make(2)
    of_array = predictor.predict(rows)
    np.testing.assert_array_equal(model.x, rows)
    of_table = predictor.predict(pd.DataFrame(rows.reshape(4, 6)).assign(name=list("abcd")))
    np.testing.assert_array_equal(model.x, rows)
    assert list(of_array.columns) == ["prediction_0", "prediction_1"]
    pd.testing.assert_frame_equal(of_array, of_table)
    assert len(predictor.predict(rows.tolist())) == 4


def test_classes_get_names_and_probabilities() -> None:
    binary = make(1, ("no", "yes"))[1].predict(np.zeros((2, 2, 3)))
    assert list(binary.columns) == ["prediction", "probability", "p(no)", "p(yes)"]
    assert list(binary["prediction"]) == ["no", "yes"]
    np.testing.assert_allclose(binary["p(no)"] + binary["p(yes)"], 1, rtol=1e-6)
    several = make(3, ("a", "b", "c"))[1].predict(np.zeros((2, 2, 3)))
    assert list(several["prediction"]) == ["c", "c"]
    np.testing.assert_array_equal(several["probability"], several["p(c)"])


@pytest.mark.parametrize(
    ("table", "rows", "what"),
    [
        (True, TABLE[["age"]], "member, city, size are missing"),
        (True, TABLE.assign(age="old"), "'age' needs numbers, but holds 'old'"),
        (True, TABLE.assign(age=np.inf), "'age' holds an infinite value"),
        (True, TABLE.head(0), "no rows"),
        (False, np.zeros((4, 3, 2)), r"of shape \(4, 3, 2\)"),
        (False, np.full((1, 2, 3), np.nan), "missing or infinite"),
        (False, pd.DataFrame(np.zeros((4, 5))), "5 columns of numbers"),
    ],
)
def test_rows_that_the_model_cannot_take_are_refused(table: bool, rows: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make(1, table=table)[1].predict(rows)  # type: ignore[arg-type]


def test_two_models_may_have_modules_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "their_model.py").write_text(f"name = {name!r}\n")
    monkeypatch.delitem(sys.modules, "their_model", raising=False)
    path = list(sys.path)
    for name in ("first", "second", "first"):
        with mlflow_loader._importing(tmp_path / name, ["their_model"]) as modules:
            assert modules[0].name == name
    assert sys.modules["their_model"].name == "first"
    assert sys.path == path
    del sys.modules["their_model"]


def test_the_loader_imports_nothing_of_hpsearch() -> None:
    code = f"import runpy, sys; sys.modules['hpsearch'] = None; runpy.run_path({mlflow_loader.__file__!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
