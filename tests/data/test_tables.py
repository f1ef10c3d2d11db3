"""Tables: roles, types, categories, missing cells, and every error with its text."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.facts import Column, Task
from hpsearch.data.categories import MISSING, category_code, category_codes
from hpsearch.data.tables import rows_of
from hpsearch.errors import DataError

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
        Column("cylinders", "number"),
        Column("horsepower", "number"),
        Column("origin", "category"),
        Column("diesel", "number"),
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
    with pytest.raises(DataError, match=f"column 'c': '{pair[0]}' and '{pair[1]}' have the same code, {code}"):
        category_codes("c", pair)


def test_text_target_gives_named_classes_and_several_targets_a_matrix(cars, load):
    by_origin = load("cars.csv", target="diesel", ignore=["maker"])
    assert by_origin.task is Task.BINARY
    assert by_origin.classes == ("False", "True")
    two = load("cars.csv", target=["mpg", "cylinders"], ignore=["maker"])
    assert two.train.y.shape == (5, 2)
    assert two.task is Task.REGRESSION


def test_a_number_can_be_declared_a_category(cars, load):
    dataset = load("cars.csv", target="mpg", ignore=["maker"], options={"categories": ["cylinders"]})
    assert Column("cylinders", "category") in dataset.columns
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
    with pytest.raises(DataError, match=r"needs the columns horsepower, origin, but origin is missing"):
        rows_of("new.csv", pd.DataFrame({"horsepower": [1]}), columns)
    with pytest.raises(DataError, match=r"column 'horsepower' needs numbers, but row 1 holds 'many'"):
        rows_of("new.csv", pd.DataFrame({"horsepower": [1, "many"], "origin": "a"}), columns)


@pytest.mark.parametrize(
    ("text", "data", "message", "hint"),
    [
        (CARS, {}, "which column is the target? It has mpg, cylinders", '[data] target = "maker"'),
        (CARS, {"target": "mgp"}, "target names column 'mgp', which is not there (did you mean 'mpg'?)", "it has mpg"),
        (CARS, {"target": "mpg", "ignore": ["makers"]}, "ignore names column 'makers'", "it has"),
        (CARS, {"target": "mpg", "group": "mpg"}, "column 'mpg' is both target and group", "one role"),
        (CARS, {"target": "horsepower"}, "1 of 5 targets are missing (NaN), the first in row 1", "drop those rows"),
        (CARS, {"target": "maker", "task": "regression"}, "regression needs numbers as targets, but got 'a'", "target"),
        (CARS, {"target": "mpg", "group": "origin"}, "column 'origin' is empty in 1 rows, the first is row 4", "fill"),
        (CARS, {"target": "mpg", "time": "maker"}, "time column 'maker' holds 'a'", "dates such as"),
        (CARS, {"target": "mpg", "options": {"seb": ";"}}, "has no option 'seb'", "sep"),
        ("x,y\n", {"target": "y"}, "holds no rows", "check the file"),
        ("", {"target": "y"}, "is empty", "header row"),
        ("y\n1.5\n2.5\n", {"target": "y"}, "holds no rows", ""),
        ("x,y\n1,a\n2,a\n", {"target": "y"}, "all 2 targets are of one class, 'a'", "at least two classes"),
        (
            "x,y\n1,2.5\n2,3.5\n?,4.5\n",
            {"target": "y"},
            "column 'x' needs numbers, but row 2 holds '?' (1 of 3 rows is text)",
            'na_values = ["?"]',
        ),
        ("x,e,y\n1,,2.5\n2,,3.5\n", {"target": "y"}, "column 'e' is empty", 'ignore = ["e"]'),
        ("x,y\n1,2.5\ninf,3.5\n", {"target": "y"}, "column 'x' holds an infinite value in row 1", "replace"),
        ("a/b,y\n1,2.5\n2,3.5\n", {"target": "y"}, "'a/b' cannot be the name of a model's input", "rename"),
        (
            "n,y\n" + "".join(f"name {i},{i}.5\n" for i in range(30)),
            {"target": "y"},
            "column 'n' holds 30 different texts in 30 rows, such as 'name 0': free text, not categories",
            'ignore = ["n"]',
        ),
    ],
)
def test_errors_of_tables(tmp_path, load, text, data, message, hint):
    (tmp_path / "cars.csv").write_text(text)
    if text == "y\n1.5\n2.5\n":
        message, hint = "no column is left to learn from", "target and ignore"
    with pytest.raises(DataError) as caught:
        load("cars.csv", **data)
    assert message in caught.value.what
    assert hint in caught.value.hint


def test_dates_and_missing_files(tmp_path, load):
    pd.DataFrame({"when": pd.to_datetime(["2024-05-02", "2024-05-03"]), "y": [1.5, 2.5]}).to_parquet(
        tmp_path / "d.parquet"
    )
    with pytest.raises(DataError, match="column 'when' holds dates"):
        load("d.parquet", target="y")
    with pytest.raises(DataError, match=r"there is no file .*d\.parquett?") as caught:
        load("dd.parquet", target="y")
    assert "did you mean d.parquet?" in caught.value.hint
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as PARQUET"):
        load("broken.parquet", target="y")
