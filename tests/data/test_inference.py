"""What a column is, whichever type holds its cells; and what looks like a mistake."""

from datetime import date, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.facts import Task
from hpsearch.data import load_dataset
from hpsearch.data.inference import infer_column
from hpsearch.data.prepare import WIDE, prepare
from hpsearch.data.tables import from_frame
from hpsearch.portable.cells import inputs_of
from hpsearch.portable.columns import NUMBERS
from tests.raising import raises

from .conftest import make_spec

HALVES = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]


@pytest.mark.parametrize(
    ("cells", "kind", "type_"),
    [
        (pd.Series([Decimal("1.5"), None, Decimal(2)]), "number", "number"),
        (pd.Series([1, None, 2], dtype="Int64"), "number", "number"),
        (pd.Series([1.5, 2], dtype="Float32"), "number", "number"),
        (pd.Series([1, 2.5, None], dtype=object), "number", "number"),
        (pd.Series([True, False]), "number", "boolean"),
        (pd.Series([True, None, False], dtype="boolean"), "number", "boolean"),
        (pd.Series([True, None, False], dtype=object), "category", "boolean"),
        (pd.Series(["a", "b"], dtype="string"), "category", "text"),
        (pd.Series(["1", "2"], dtype="category"), "category", "number"),
        (pd.Series(["01", "2"], dtype="category"), "category", "text"),
        (pd.Series([1, 2], dtype="category"), "category", "number"),
        (pd.Series(["a", "b"], dtype="category"), "category", "text"),
        (pd.Series(["a", 1, None], dtype=object), "category", "any"),
        (pd.Series(["-0.27", "1.5"]), "number", "number"),
        (pd.Series(["1", "2", "1"]), "category", "text"),
        (pd.Series(["007", "012.5"]), "category", "text"),
        (pd.Series([1.5, 2], dtype="double[pyarrow]"), "number", "number"),
    ],
)
def test_every_type_of_cell(cells, kind, type_):
    column = infer_column("t", cells.rename("c"), forced=False).column
    assert (column.kind, column.cells) == (kind, type_)


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (pd.Series([["a"], ["b"]]), "nested-column"),
        (pd.Series([{"a": 1}]), "nested-column"),
        (pd.Series([b"a", b"b"]), "nested-column"),
        (pd.Series([1 + 2j]), "nested-column"),
        (pd.to_timedelta(pd.Series(["1 day"])), "nested-column"),
        (pd.Series([date(2024, 5, 1)]), "date-column"),
        (pd.to_datetime(pd.Series(["2024-05-01T10:00+02:00"])), "date-column"),
        (pd.Series(["2024-05-01", "2024-05-02"]), "date-column"),
        (pd.Series([f"{i + 1}.5.2024" for i in range(25)]), "date-column"),
        (pd.Series([time(8, 15), time(9, 30)]), "nested-column"),
        (pd.Series(["2024-05-01T10:00:00+02:00", "2024-05-02T10:00:00Z"]), "date-column"),
        (pd.Series(pd.period_range("2024-01", periods=2, freq="M")), "date-column"),
        (pd.Series(["1,5", "2,25", "3"]), "decimal-comma"),
        (pd.Series(["1", "2", "3", "many"]), "text-in-numbers"),
        (pd.Series([None, None], dtype=object), "empty-column"),
    ],
)
def test_cells_that_no_model_takes(cells, code):
    with raises(f"data.{code}", column="c") as caught:
        infer_column("t", cells.rename("c"), forced=False)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (pd.Series([Decimal("1.5"), Decimal(2)] * 3), Task.REGRESSION, ()),
        (pd.Series(["1.5", "2.25"] * 3), Task.REGRESSION, ()),
        (pd.Series(["1", "2"] * 3), Task.BINARY, ("1", "2")),
        (pd.Series(["low", "None", "high"] * 2), Task.MULTICLASS, ("None", "high", "low")),
        (pd.Series([1, 2] * 3, dtype="Int64"), Task.BINARY, ("1", "2")),
        (pd.Series(["a", "b"] * 3, dtype="category"), Task.BINARY, ("a", "b")),
        (pd.Series([True, False] * 3, dtype="boolean"), Task.BINARY, ("False", "True")),
    ],
)
def test_targets_of_every_type(y, task, classes):
    spec = make_spec("t", target="y")
    dataset = prepare(from_frame(pd.DataFrame({"x": HALVES, "y": y}), spec), spec)
    assert (dataset.task, dataset.classes) == (task, classes)
    assert not classes or sum(dataset.class_counts()) == 6


@pytest.mark.parametrize("y", [pd.Series([1, None] * 3, dtype="Int64"), pd.Series([Decimal(1), None] * 3)])
def test_gaps_in_targets_of_every_type(y):
    spec = make_spec("t", target="y")
    with raises("data.missing-targets", count=3, row=1):
        prepare(from_frame(pd.DataFrame({"x": HALVES, "y": y}), spec), spec)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": [7, 3, 5, 4, 6, 8]}, "column 'id' numbers the rows"),
        ({"user_id": [17, 3, 95, 4, 60, 8]}, "column 'user_id' has a different number in every row"),
        ({"c": ["cat", "cat ", "dog", " dog", "Dog", "cow"]}, "'cat' and 'cat '"),
        ({"t": 20240131154800 + np.arange(6) ** 2}, "20240131154809 is subtracted before they reach the model"),
        ({"t": [1e15, 1e15 + 1, 2e15, 2e15 + 1, 3e15, 3e15 + 1]}, "are equal in float32"),
        ({"Unnamed: 0": range(6)}, "a column without a name numbers the rows"),
        ({"Unnamed: 1": [None] * 6}, "a column without a name is empty"),
        ({"again": ["low", "high"] * 3, "y": ["a", "b"] * 3}, "column 'again' determines 'y'"),
        ({"again": [2 * y for y in HALVES]}, "column 'again' determines 'y'"),
        ({"c": ["1%", "2%", "3 %", "4%", "5.5%", "6%"]}, "numbers with a prefix or a unit"),
        ({"c": ["$1", "$2", "$3.50", "$4", "$5", "$6"]}, "such as '$1'"),
        ({"c": ["caf\u00e9", "cafe\u0301"] * 3}, "differ in blanks, case or Unicode form only"),
        ({"c": ["31/12/2020", "1/1/2021"] * 3}, "column 'c' holds dates, such as '31/12/2020'"),
        ({"c": ["08:15", "9:30:00"] * 3}, "column 'c' holds times, such as '08:15'"),
        ({"c": ["a", "", None] * 2}, "column 'c': 2 of 4 texts are blank, such as ''"),
        ({"y": 1e9 + np.arange(6) / 4}, "different targets, such as 1000000000, are equal in float32"),
        ({"y": [0.0, 1.0] * 3}, "the targets are 2 different whole numbers stored as floats"),
        ({"y": ["NA", "a", "b"] * 2}, "class 'NA' has 2 rows"),
        ({"y": ["a", "b", "A "] * 2}, "classes 'A ' and 'a' differ in blanks, case or Unicode form only"),
    ],
)
def test_doubts_are_said(columns, words):
    spec = make_spec("t", target="y")
    frame = pd.DataFrame({"x": [1.5, 2.5, 1.5, 2.5, 1.5, 1.5], "y": HALVES, **columns})
    warnings = prepare(from_frame(frame, spec), spec).warnings
    assert any(words in text for text in warnings), warnings


def test_plain_tables_raise_no_doubt():
    spec = make_spec("t", target="y")
    frame = pd.DataFrame({"x": [1, 1, 2, 3, 5, 8], "k": [3, 1, 4, 1, 5, 9], "c": list("ababab"), "y": HALVES})
    assert prepare(from_frame(frame, spec), spec).warnings == ()


def test_a_nameless_column_of_data_is_refused():
    frame = pd.DataFrame({"Unnamed: 0": [3, 1, 4, 1, 5, 9], "y": [2.5, 1, 7, 7, 2, 4]})
    with raises("data.nameless-column", column="Unnamed: 0"):
        from_frame(frame, make_spec("t", target="y"))
    ignored = from_frame(frame.assign(x=HALVES), make_spec("t", target="y", ignore=["Unnamed: 0"]))
    assert (list(ignored.x), ignored.warnings) == (["x"], ())


def test_float32_keeps_numbers_apart_that_the_table_keeps_apart():
    spec = make_spec("t", target="y")
    stamps = 20240131080000 + np.arange(300) * 100
    dataset = prepare(from_frame(pd.DataFrame({"t": stamps, "y": np.arange(300) / 7}), spec), spec)
    assert len(np.unique(dataset.train.x["t"])) == 300
    assert dataset.columns[0].offset > 0
    plain = prepare(from_frame(pd.DataFrame({"t": stamps - stamps[0], "y": np.arange(300) / 7}), spec), spec)
    assert plain.columns[0].offset == 0


def test_the_numbers_of_a_wide_table_are_one_input():
    values = np.random.default_rng(0).normal(size=(20, WIDE + 1))
    frame = pd.DataFrame(values, columns=[f"n{i}" for i in range(WIDE + 1)]).assign(c=list("ab") * 10, y=values[:, 0])
    frame.loc[3, "n5"] = np.nan
    spec = make_spec("t", target="y")
    wide = prepare(from_frame(frame, spec), spec)
    assert (list(wide.train.x), wide.train.x[NUMBERS].shape) == ([NUMBERS, "c"], (20, WIDE + 1))
    assert (wide.input_shape, wide.gaps()) == ((WIDE + 2,), {"n5": 1})
    own = spec.model_copy(update={"model": spec.model.model_copy(update={"family": None, "build": "m:build"})})
    separate = prepare(from_frame(frame, own), own)
    assert list(separate.train.x) == list(frame.columns[:-1])
    assert separate.fingerprint() == wide.fingerprint()
    assert any("each as an input of its own" in text for text in separate.warnings)


@pytest.mark.parametrize(
    ("times", "code"),
    [
        (["2024-05-01T10:00:00+02:00", "2024-05-01T09:00:00Z", "2024-05-02T00:00:00-05:00"], None),
        (["2024-05-01T10:00:00+02:00", "2024-05-01T09:00:00", "2024-05-02T00:00:00"], "mixed-times"),
    ],
)
def test_times_with_offsets_are_compared_as_utc(tmp_path, times, code):
    pd.DataFrame({"when": times, "x": [1.5, 2, 3], "y": [0.5, 1, 2]}).to_csv(tmp_path / "t.csv", index=False)
    spec = make_spec("t.csv", tmp_path, target="y", time="when")
    if code is not None:
        with raises(f"data.{code}", column="when", row=1):
            load_dataset(spec)
        return
    assert np.argsort(load_dataset(spec).train.time).tolist() == [0, 1, 2]


def test_tables_of_other_libraries(tmp_path, load):
    import pyarrow as pa

    table = pa.table({"x": HALVES, "c": ["a", "b"] * 3, "y": [Decimal("1.25"), Decimal("2.5")] * 3})
    (tmp_path / "arrow_tables.py").write_text("def load(): return table")
    import importlib
    import sys

    sys.path.insert(0, str(tmp_path))
    importlib.import_module("arrow_tables").table = table
    sys.path.remove(str(tmp_path))
    dataset = load("arrow_tables:load", target="y")
    assert [column.kind for column in dataset.columns] == ["number", "category"]
    assert dataset.task is Task.REGRESSION
    large = [2**60 + 3 * i for i in range(5)]
    importlib.import_module("arrow_tables").table = pa.table({"x": [*large, None], "y": HALVES})
    assert np.diff(load("arrow_tables:load", target="y").train.x["x"])[:4].tolist() == [3] * 4


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32, "UInt64", "uint32[pyarrow]"])
def test_large_whole_numbers_of_every_type_keep_their_distances(dtype):
    top = 2**32 - 1 if "32" in str(dtype) else 2**63 - 1 if dtype is np.int64 else 2**64 - 1
    values = pd.Series([top - 7 * i for i in range(30)], name="x", dtype=object).astype(dtype)
    column = infer_column("t", values, forced=False).column
    read = inputs_of(values, column)
    assert np.diff(read).tolist() == [-7] * 29
    # Small numbers, as a file of other rows holds them, are far below.
    assert inputs_of(pd.Series([1, 2], name="x"), column) == pytest.approx([-column.offset] * 2)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([date(2024, 5, 1), date(2024, 5, 2)] * 3),
        pd.to_datetime(pd.Series(["2024-05-01", "2024-05-02"] * 3)),
        pd.to_timedelta(pd.Series(range(6)), unit="D"),
        pd.Series([[1.0, 2.0]] * 6),
        pd.Series([1 + 2j] * 6),
        pd.Series([b"a", b"b"] * 3),
    ],
)
def test_targets_that_are_neither_numbers_nor_names(y):
    spec = make_spec("t", target="y")
    with raises("data.bad-target-type") as caught:
        prepare(from_frame(pd.DataFrame({"x": HALVES, "y": y}), spec), spec)
    assert caught.value.hint


def test_targets_without_a_value_in_float32():
    spec = make_spec("t", target="y")
    for y, code, row in (([1.0, np.inf, 2.0] * 2, "missing-targets", 1), ([1.0, 2.0, 1e39] * 2, "large-targets", 2)):
        with raises(f"data.{code}", count=2, row=row) as caught:
            prepare(from_frame(pd.DataFrame({"x": HALVES, "y": y}), spec), spec)
        assert "NaN" not in caught.value.what


def test_a_different_text_in_every_row_is_hardly_a_class():
    spec = make_spec("t", target="y")
    frame = pd.DataFrame({"x": np.arange(30) ** 2, "y": [f"order {i}" for i in range(30)]})
    assert any("30 different texts in 30 rows" in text for text in prepare(from_frame(frame, spec), spec).warnings)


def test_an_index_with_a_name_is_said():
    spec = make_spec("t", target="y")
    frame = pd.DataFrame({"x": [3.0, 1, 4, 1, 5, 9], "y": HALVES, "day": range(6)}).set_index("day")
    assert any("index 'day'" in text for text in from_frame(frame, spec).warnings)
    with raises("data.unknown-column", column="day") as caught:
        from_frame(frame, make_spec("t", target="y", time="day"))
    assert "reset_index()" in caught.value.hint
