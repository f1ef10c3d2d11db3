"""The loader that is shipped with every model does as ``hpsearch predict`` does, without its code."""

import shutil
import subprocess
import sys
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.facts import Column
from hpsearch.data.tables import rows_of
from hpsearch.portable import predictor as loader
from hpsearch.portable.cells import MISSING, category_code, inputs_of
from hpsearch.portable.errors import RowsError, RowsWarning
from hpsearch.portable.predictor import Card, Predictor

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
    model = Recorder(outputs)
    return model, Predictor(model, Card("jax", classes, COLUMNS if table else (), (4,) if table else (2, 3)))  # type: ignore[arg-type]


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


@pytest.mark.parametrize("labels", [False, True])
def test_what_logits_mean_does_not_depend_on_the_rows_beside_them(labels: bool) -> None:
    class Given:
        def predict(self, x: np.ndarray, **_: object) -> np.ndarray:
            return x

    def said(rows: np.ndarray, logits: bool | None) -> pd.DataFrame:
        names = ("a",) if labels else ("no", "yes")
        card = Card("jax", names, (), (1,), labels=labels, logits=logits)
        return Predictor(Given(), card).predict(rows)  # type: ignore[arg-type]

    rows, name = np.array([[0.3], [-2.0], [3.0]], np.float32), "p(a)" if labels else "p(yes)"
    together = said(rows, logits=True)
    assert together[name].to_numpy() == pytest.approx(1 / (1 + np.exp(-rows[:, 0])))
    pd.testing.assert_frame_equal(said(rows[:1], logits=True), together[:1])
    # Probabilities stay what they are. Champions of earlier versions do not say: all rows tell.
    assert said(rows[:1], logits=False)[name][0] == said(rows[:1], logits=None)[name][0] == pytest.approx(0.3)
    pd.testing.assert_frame_equal(said(rows, logits=None), together)
    # Rounding in half precision makes no logits.
    assert said(np.array([[1.001], [0.2]]), logits=None)[name][1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("table", "rows", "what"),
    [
        (True, TABLE[["age"]], "member, city, size are missing"),
        (True, TABLE.assign(age="old"), "'age' needs numbers, but has text: 'old' in row 0"),
        (True, TABLE.assign(age=np.inf), "'age' has an infinite value: 'inf' in row 0"),
        (True, TABLE.head(0), "no rows"),
        (False, np.zeros((4, 3, 2)), r"shape \(4, 3, 2\)"),
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
        with loader._importing(tmp_path / name, ["their_model"]) as modules:
            assert modules[0].name == name
    assert sys.modules["their_model"].name == "first"
    assert sys.path == path
    del sys.modules["their_model"]


def test_the_package_imports_nothing_of_hpsearch(tmp_path: Path) -> None:
    shutil.copytree(Path(loader.__file__).parent, tmp_path / "hpsearch_champion")
    code = "import sys; sys.modules['hpsearch'] = None; import hpsearch_champion as c; print(c._load_pyfunc.__name__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "_load_pyfunc\n"), done.stderr


def test_cells_are_read_as_training_has_read_them() -> None:
    code = Column("code", "category", "text")
    assert inputs_of(pd.Series(["007", None], name="code"), code).tolist() == [category_code("007"), MISSING]
    with pytest.raises(RowsError, match="needs texts, but has numbers") as caught:
        inputs_of(pd.Series([7, 12], name="code"), code)
    assert (caught.value.code, caught.value.values["value"]) == ("numbers-in-texts", "7")
    flag = Column("flag", "category", "boolean")
    for cells in ([True, False], ["true", "false"], ["TRUE", "False"]):
        assert inputs_of(pd.Series(cells), flag).tolist() == [category_code("True"), category_code("False")]
    size = Column("size", "category", "number")
    for cells in ([4, 5], [4.0, 5.0], ["4", "5.0"], [Decimal(4), Decimal("5.0")]):
        assert inputs_of(pd.Series(cells), size).tolist() == [category_code("4"), category_code("5")]
    assert inputs_of(pd.Series(["true", None, "FALSE"]), Column("b", "number", "boolean"))[[0, 2]].tolist() == [1, 0]
    with pytest.raises(RowsError, match="'yes' in row 1"):
        inputs_of(pd.Series(["true", "yes"], name="b"), Column("b", "number", "boolean"))


def test_an_offset_is_subtracted_before_the_cast() -> None:
    stamps = pd.Series([20240131154800, 20240131154801, None], dtype="Int64")
    column = Column("t", "number", "number", offset=20240131154800.0)
    np.testing.assert_array_equal(inputs_of(stamps, column), np.array([0, 1, np.nan], np.float32))
    np.testing.assert_array_equal(inputs_of(pd.Series([Decimal("20240131154800.5")]), column), [np.float32(0.5)])


def test_an_unknown_category_is_predicted_with_a_word() -> None:
    card = Card("jax", (), (Column("city", "category", "text"),), (1,), categories={"city": ["Oslo", "Rome"]})
    predictor = Predictor(Recorder(1), card)  # type: ignore[arg-type]
    with pytest.warns(RowsWarning, match=r"column 'city': 2 of 4 rows .* such as 'rome' in row 1"):
        assert len(predictor.predict(pd.DataFrame({"city": ["Rome", "rome", None, "Paris"]}))) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.predict(pd.DataFrame({"city": ["Rome", None]}))


IMAGES = np.full((2, 4, 4), 200)


@pytest.mark.parametrize(
    ("dtype", "value_range", "rows", "fits"),
    [
        ("uint8", (0, 209), IMAGES.astype(np.uint8), True),
        ("uint8", (0, 209), IMAGES.astype(np.float64), True),
        ("uint8", (0, 209), IMAGES / 255, False),
        ("uint8", (0, 209), IMAGES + 100, False),
        ("uint8", (0, 209), -IMAGES, False),
        ("uint8", (0, 1), IMAGES.astype(np.uint8), False),
        ("float32", (0, 1), IMAGES.astype(np.uint8), False),
        ("float32", (0, 1), IMAGES / 255, True),
        ("float32", (0, 300), IMAGES.astype(np.uint8), True),
    ],
)
def test_arrays_must_have_the_values_of_training(dtype: str, value_range, rows, fits: bool) -> None:
    model = Recorder(1)
    predictor = Predictor(model, Card("jax", (), (), (4, 4), dtype=dtype, value_range=value_range))  # type: ignore[arg-type]
    if fits:
        predictor.predict(rows)
        assert np.array_equal(model.x, rows)
        assert dtype == "float32" or model.x.dtype == dtype
        return
    with pytest.raises(RowsError, match="but the model was trained on") as caught:
        predictor.predict(rows)
    assert caught.value.code == "other-values"
    assert caught.value.values["found"] == (rows.min(), rows.max())


def test_word_numbers_stay_below_the_number_of_words() -> None:
    card = Card("jax", (), (), (3,), dtype="uint16", value_range=(0, 19), words=20)
    predictor = Predictor(Recorder(1), card)  # type: ignore[arg-type]
    assert len(predictor.predict(np.array([[1, 19, 0]]))) == 1
    with pytest.raises(RowsError, match="from 0 to 19"):
        predictor.predict(np.array([[1, 20, 0]]))


def test_rows_of_one_number_may_be_a_plain_list() -> None:
    assert len(Predictor(Recorder(1), Card("jax", (), (), (1,))).predict([1.5, 2.5])) == 2  # type: ignore[arg-type]


def test_names_and_categories_that_look_alike_are_told_apart() -> None:
    card = Card("jax", (), (Column("\xe9t\xe9", "category", "text"),), (1,), categories={"\xe9t\xe9": ["\xe9", "Yes"]})
    predictor = Predictor(Recorder(1), card)  # type: ignore[arg-type]
    with pytest.raises(RowsError) as caught:
        predictor.predict(pd.DataFrame({"e\u0301te\u0301": ["Yes"]}))
    assert r"rename 'e\u0301te\u0301' to '\xe9t\xe9'" in caught.value.hint
    with pytest.warns(RowsWarning, match=r"such as 'yes' in row 0 \(there it is 'Yes'\)"):
        predictor.predict(pd.DataFrame({"\xe9t\xe9": ["yes"]}))
    with pytest.warns(RowsWarning, match=r"such as 'e\\u0301' in row 0 \(there it is '\\xe9'\)"):
        predictor.predict(pd.DataFrame({"\xe9t\xe9": ["e\u0301"]}))


def test_a_number_is_no_boolean() -> None:
    column = Column("b", "number", "boolean")
    assert inputs_of(pd.Series([1, 0, None], name="b"), column)[:2].tolist() == [1, 0]
    with pytest.raises(RowsError, match="needs true or false") as caught:
        inputs_of(pd.Series([1, 0, 2], name="b"), column)
    assert (caught.value.code, caught.value.values["row"]) == ("not-boolean", 2)


def test_one_row_needs_its_axis_and_values_must_fit_float32() -> None:
    predictor = Predictor(Recorder(1), Card("jax", (), (), (3,)))  # type: ignore[arg-type]
    with pytest.raises(RowsError, match=r"x\[None\]"):
        predictor.predict(np.zeros(3))
    with pytest.raises(RowsError, match="infinite in float32") as caught:
        predictor.predict(np.array([[1.0, 1e300, 2.0]]))
    assert caught.value.values["first"] == (0, 1)
