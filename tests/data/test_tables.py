"""Tables: roles, types, categories, missing cells, and every error."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.facts import Column, Task
from hpsearch.data.tables import from_frame, rows_of
from hpsearch.portable.cells import MISSING, category_code
from tests.raising import raises

from .conftest import make_spec

CARS = """mpg,cylinders,horsepower,origin,diesel,maker
18.0,8,130,USA,False,a
15.5,8,,USA,False,b
31.0,4,65,Japan,True,c
24.0,4,95,Europe,True,c
27.5,4,88,,True,d
"""


@pytest.fixture
def cars(tmp_path):
    (tmp_path / "cars.csv").write_text(CARS)
    return tmp_path / "cars.csv"


def test_columns_get_roles_types_and_codes(cars, load):
    dataset = load("cars.csv", target="mpg", group="maker")
    assert dataset.task is Task.REGRESSION
    assert dataset.columns == (
        Column("cylinders", "number", "number"),
        Column("horsepower", "number", "number"),
        Column("origin", "category", "text"),
        Column("diesel", "number", "boolean"),
    )
    x = dataset.train.x
    assert x["horsepower"].dtype == np.float32
    assert np.isnan(x["horsepower"]).tolist() == [False, True, False, False, False]
    assert x["diesel"].tolist() == [0, 0, 1, 1, 1]
    assert x["origin"].dtype == np.int32
    assert x["origin"].tolist() == [*map(category_code, ["USA", "USA", "Japan", "Europe"]), MISSING]
    assert dataset.train.groups.tolist() == [0, 1, 2, 2, 3]
    assert dataset.train.y.tolist() == [18.0, 15.5, 31.0, 24.0, 27.5]


def test_code_of_a_category_is_the_documented_checksum():
    # The value stands in docs/models-and-data.md: exported models rely on it for ever.
    assert category_code("USA") == 359242
    assert category_code(4.0) == category_code(4) == category_code("4")
    assert category_code(float("nan")) == category_code(None) == MISSING


def test_two_texts_with_one_code_are_refused():
    seen: dict[int, str] = {}
    texts = (str(i * i * 2_654_435_761 % 2**48) for i in range(100_000))
    pair = next((seen[code], text) for text in texts if seen.setdefault(code := category_code(text), text) != text)
    with raises("data.category-clash", column="c", texts=pair, checksum=code):
        from_frame(pd.DataFrame({"c": pair, "y": [1.5, 2.5]}), make_spec("rows.csv", target="y"))


def test_text_target_gives_named_classes_and_several_targets_a_matrix(cars, load):
    by_origin = load("cars.csv", target="diesel", ignore=["maker"])
    assert by_origin.task is Task.BINARY
    assert by_origin.classes == ("False", "True")
    two = load("cars.csv", target=["mpg", "cylinders"], ignore=["maker"])
    assert two.train.y.shape == (5, 2)
    assert two.task is Task.REGRESSION


def test_a_number_can_be_declared_a_category(cars, load):
    dataset = load("cars.csv", target="mpg", ignore=["maker"], options={"categories": ["cylinders"]})
    assert Column("cylinders", "category", "number") in dataset.columns
    assert dataset.train.x["cylinders"].tolist() == [*[category_code("8")] * 2, *[category_code("4")] * 3]


def test_parquet_and_csv_agree(cars, load, tmp_path):
    pd.read_csv(cars).to_parquet(tmp_path / "cars.parquet")
    assert (
        load("cars.parquet", target="mpg", ignore=["maker"]).fingerprint()
        == load("cars.csv", target="mpg", ignore=["maker"]).fingerprint()
    )


def test_time_column_orders_and_is_no_input(tmp_path, load):
    (tmp_path / "t.csv").write_text("day,x,y\n2024-05-02,1,0.5\n2024-05-01,2,1.5\n")
    dataset = load("t.csv", target="y", time="day")
    assert np.argsort(dataset.train.time).tolist() == [1, 0]
    assert list(dataset.train.x) == ["x"]


def test_prediction_rows_take_unseen_categories_and_name_missing_columns(cars):
    columns = (Column("horsepower", "number"), Column("origin", "category"))
    rows = rows_of("new.csv", pd.DataFrame({"origin": ["Mars"], "horsepower": [None], "extra": [1]}), columns)
    assert rows["origin"].tolist() == [category_code("Mars")]
    assert np.isnan(rows["horsepower"]).all()
    with raises("data.missing-columns", missing=("origin",)):
        rows_of("new.csv", pd.DataFrame({"horsepower": [1]}), columns)
    with raises("data.text-in-numbers", column="horsepower", row=1, value="many", count=1):
        rows_of("new.csv", pd.DataFrame({"horsepower": [1, "many"], "origin": "a"}), columns)


MANY_NAMES = "n,y\n" + "".join(f"name {i},{i}.5\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "data", "code", "values"),
    [
        (CARS, {}, "no-target", {"columns": ["mpg", "cylinders", "horsepower", "origin", "diesel", "maker"]}),
        (CARS, {"target": "mgp"}, "unknown-column", {"role": "target", "column": "mgp"}),
        (CARS, {"target": "mpg", "ignore": ["makers"]}, "unknown-column", {"role": "ignore", "column": "makers"}),
        (
            CARS,
            {"target": "mpg", "options": {"categories": ["color"]}},
            "unknown-column",
            {"role": "option categories", "column": "color"},
        ),
        (CARS, {"target": "mpg", "group": "mpg"}, "two-roles", {"column": "mpg", "roles": ("target", "group")}),
        (CARS, {"target": "horsepower"}, "missing-targets", {"count": 1, "row": 1}),
        (CARS, {"target": "maker", "task": "regression"}, "text-targets", {"value": "a"}),
        (CARS, {"target": "mpg", "group": "origin"}, "gaps-in-role", {"column": "origin", "count": 1, "row": 4}),
        (CARS, {"target": "mpg", "time": "maker"}, "bad-time", {"column": "maker", "value": "a"}),
        (CARS, {"target": "mpg", "options": {"seb": ";"}}, "unknown-option", {"source": "cars.csv", "option": "seb"}),
        ("x,y\n", {"target": "y"}, "no-rows", {}),
        ("", {"target": "y"}, "empty-file", {}),
        ("y\n1.5\n2.5\n", {"target": "y"}, "no-inputs", {}),
        ("x,y\n1,a\n2,a\n", {"target": "y"}, "one-class", {"classes": ("a",)}),
        ("x,y\n1,2.5\n2,3.5\n?,4.5\n", {"target": "y"}, "text-in-numbers", {"column": "x", "row": 2, "value": "?"}),
        ("x,e,y\n1,,2.5\n2,,3.5\n", {"target": "y"}, "empty-column", {"column": "e"}),
        ("x,y\n1,2.5\ninf,3.5\n", {"target": "y"}, "not-finite", {"column": "x", "row": 1}),
        ("a/b,y\n1,2.5\n2,3.5\n", {"target": "y"}, "bad-column-name", {"column": "a/b"}),
        (MANY_NAMES, {"target": "y"}, "free-text", {"column": "n", "distinct": 30, "rows": 30}),
    ],
)
def test_errors_of_tables(tmp_path, load, text, data, code, values):
    (tmp_path / "cars.csv").write_text(text)
    with raises(f"data.{code}", **values) as caught:
        load("cars.csv", **data)
    assert caught.value.hint


def test_an_error_is_one_sentence_and_a_hint(tmp_path, load):
    (tmp_path / "cars.csv").write_text(CARS)
    with raises("data.unknown-column") as caught:
        load("cars.csv", target="mgp")
    assert str(caught.value) == (
        "cars.csv: target names column 'mgp', which does not exist (did you mean 'mpg'?)\n"
        "  hint: the table has mpg, cylinders, horsepower, origin, diesel, maker"
    )


def test_two_columns_of_one_name():
    frame = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with raises("data.duplicate-column", column="x"):
        from_frame(frame, make_spec("rows.csv"))


def test_dates_and_missing_files(tmp_path, load):
    pd.DataFrame({"when": pd.to_datetime(["2024-05-02", "2024-05-03"]), "y": [1.5, 2.5]}).to_parquet(
        tmp_path / "d.parquet"
    )
    with raises("data.date-column", column="when"):
        load("d.parquet", target="y")
    with raises("data.no-file", path=str(tmp_path / "dd.parquet"), closest="d.parquet"):
        load("dd.parquet", target="y")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with raises("data.unreadable-file", format="PARQUET"):
        load("broken.parquet", target="y")


def test_free_text_is_for_layers_of_ones_own(tmp_path, load):
    (tmp_path / "t.csv").write_text("review,n,y\n" + "".join(f"word {i},{i},{i % 2}\n" for i in range(300)) + ",1,0\n")
    with raises("data.free-text") as caught:
        load("t.csv", target="y")
    assert 'text = ["review"]' in caught.value.hint
    found = load("t.csv", target="y", text=["review"])
    assert [(one.name, one.kind) for one in found.columns] == [("review", "text"), ("n", "number")]
    assert found.train.x["review"][[0, 300]].tolist() == ["word 0", ""]
    assert found.fingerprint() == load("t.csv", target="y", text=["review"]).fingerprint()
    with raises("data.unknown-column", role="text", column="revue"):
        load("t.csv", target="y", text=["revue"])
