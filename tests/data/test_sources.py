"""Sets of scikit-learn, NPZ files and functions: shapes, dtypes, tasks, samples, and every error."""

import importlib

import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.data.sources import SOURCES, list_sources
from hpsearch.errors import HpsearchError
from tests.raising import raises


@pytest.mark.parametrize(
    ("source", "shape", "dtype", "task", "classes"),
    [
        ("sklearn:digits", (1797, 8, 8), "uint8", Task.MULTICLASS, 10),
        ("sklearn:iris", (150, 4), "float32", Task.MULTICLASS, 3),
        ("sklearn:wine", (178, 13), "float32", Task.MULTICLASS, 3),
        ("sklearn:breast_cancer", (569, 30), "float32", Task.BINARY, 2),
        ("sklearn:diabetes", (442, 10), "float32", Task.REGRESSION, 0),
    ],
)
def test_sets_of_scikit_learn(load, source, shape, dtype, task, classes):
    dataset = load(source)
    assert (dataset.train.x.shape, str(dataset.train.x.dtype)) == (shape, dtype)
    assert (dataset.task, len(dataset.classes), dataset.test) == (task, classes, None)


def test_max_rows_is_a_reproducible_sample(load):
    a, b = load("sklearn:digits", max_rows=100), load("sklearn:digits", max_rows=100)
    assert len(a.train) == 100
    assert a.fingerprint() == b.fingerprint() != load("sklearn:digits", max_rows=100, seed=1).fingerprint()


def test_npz_with_and_without_test_part(tmp_path, load):
    x, y = np.arange(12.0).reshape(6, 2), np.array(["a", "b"] * 3)
    np.savez(tmp_path / "one.npz", x=x, y=y)
    np.savez(tmp_path / "two.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    assert load("one.npz").classes == ("a", "b")
    assert len(load("two.npz").test) == 2
    np.savez(tmp_path / "bad.npz", rows=x)
    with raises("data.missing-arrays", arrays=("rows",)):
        load("bad.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}]), y=y[:2])
    with raises("data.unreadable-file", format="NPZ"):
        load("objects.npz")
    np.savez(tmp_path / "half.npz", x=x, y=y, x_test=x)
    with raises("data.half-a-test-part", missing="y_test"):
        load("half.npz")
    with raises("data.unknown-option", source="one.npz", option="sep"):
        load("one.npz", options={"sep": ";"})


@pytest.mark.parametrize(
    ("source", "options", "option"),
    [
        ("keras:imdb", {"words": 3}, "words"),
        ("keras:imdb", {"words": True}, "words"),
        ("keras:california_housing", {"version": "medium"}, "version"),
        ("keras:california_housing", {"unit": 0}, "unit"),
    ],
)
def test_options_of_named_sources_are_checked(load, source, options, option):
    with raises("data.bad-option", source=source, option=option, value=options[option]):
        load(source, options=options)


FUNCTIONS = """
import numpy as np
import pandas as pd

x = np.arange(40.0).reshape(20, 2)
y = np.arange(20) % 2
letters = np.array(["p", "q"] * 10)

def two(): return x, y
def four(): return x, y, x[:4], y[:4]
def nested(): return (x, y), (x[:5], y[:5])
def frame(rows=20): return pd.DataFrame({"a": x[:rows, 0], "b": list("pq") * (rows // 2), "y": y[:rows]})
def columns(): return {"a": x[:, 0], "b": list("pq") * 10}, y
def tall(): return {"a": x[:, :1], "b": list("pq") * 10}, y
def tall_test(): return {"a": x[:, :1]}, y, {"a": x[:4, :1]}, y[:4]
def wide(): return {"x": x, "y": y, "groups": np.zeros((20, 3))}
def numbered(): return pd.DataFrame(x), y
def uneven(): return {"a": x[:, 0], "b": x[:5, 1]}, y
def one_table(): return {"a": x[:, 0]}, y, x, y
def grouped(): return {"a": x[:, 0], "g": y // 1, "junk": x[:, 1]}, y
def new_class(): return x, np.array(list("ab") * 10), x[:4], np.array(["a", "b", "c", "c "])
def series(): return pd.Series(x[:, 0]), pd.Series(y)
def one_hot(): return x, np.eye(3)[np.arange(20) % 3]
def nothing(): return None
def three(): return x, y, x
def five(): return x, y, x, y, x
def ragged(): return [[1], [1, 2]], [0, 1]
def gaps(): return np.where(x == 6, np.nan, x), y
def short(): return x, y[:-1]
def other_shape(): return x, y, x[:, :1], y
def texts(): return np.array([["a", "b"]] * 20), y
def empty(): return x[:0], y[:0]
def two_targets(): return x, np.ones((20, 2))
def cube(): return x, np.zeros((20, 2, 2))
def text_cube(): return x, np.full((20, 2, 2), "a")
def broken(): return 1 / 0
def masked(): return np.ma.masked_equal(x, 6), y
def masked_targets(): return x, np.ma.masked_equal(np.arange(20) * 0.5, 3.5)
def masked_column(): return {"a": np.ma.masked_equal(x[:, 0], 6), "b": np.ma.masked_equal(letters, "p")}, y
def half(): return x, y, x[:4], None
def point(): return np.float64(3), y
def days(): return x, np.arange(20).astype("datetime64[D]")
def complexes(): return x, y + 1j
def raw_bytes(): return x, np.array([b"\\xff", b"b"] * 10)
def accents(): return x, np.array(["é".encode(), b"b"] * 10)
def hidden(): return x, np.where(y == 1, np.nan, 0.5)
constant = 3
"""


@pytest.fixture
def user(tmp_path, load):
    (tmp_path / "user_source_functions.py").write_text(FUNCTIONS)
    return lambda name, **data: load(f"user_source_functions:{name}", **data)


def test_what_functions_may_return(user):
    assert user("two").test is None
    assert len(user("four").test) == 4
    assert len(user("nested").test) == 5
    assert [one.kind for one in user("frame", target="y").columns] == ["number", "category"]
    assert len(user("frame", target="y", options={"rows": 10}).train) == 10
    assert [one.kind for one in user("columns").columns] == ["number", "category"]
    assert user("tall").fingerprint() == user("columns").fingerprint()
    assert list(user("numbered").train.x) == ["0", "1"]
    assert user("series").train.x.shape == (20, 1)
    assert user("tall_test").test.x["a"].shape == (4,)
    assert np.isnan(user("masked_column").train.x["a"]).nonzero()[0].tolist() == [3]
    assert user("masked_column").schema.categories == {"b": ("q",)}
    assert user("accents").classes == ("b", "é")
    grouped = user("grouped", group="g", ignore=["junk"]).train
    assert (list(grouped.x), grouped.groups.tolist()) == (["a"], [0, 1] * 10)
    assert user("one_hot").train.y.tolist()[:3] == [0, 1, 2]
    assert user("one_hot", labels="one-hot").train.y.shape == (20, 3)


@pytest.mark.parametrize(
    ("name", "data", "code", "values"),
    [
        ("nothing", {}, "bad-return-value", {"type": "NoneType"}),
        ("three", {}, "weight-shape", {"rows": 20}),
        ("five", {}, "bad-return-value", {"type": "tuple"}),
        ("ragged", {}, "not-an-array", {"part": "x"}),
        ("gaps", {}, "not-finite", {"part": "rows", "count": 1, "row": 3}),
        ("wide", {"group": "groups"}, "bad-column-shape", {"column": "groups", "shape": (20, 3)}),
        ("uneven", {}, "uneven-columns", {"part": "x", "lengths": {"a": 20, "b": 5}}),
        ("one_table", {}, "mixed-containers", {"part": "x_test", "type": "ndarray"}),
        ("grouped", {"group": "h"}, "unknown-column", {"role": "group", "column": "h"}),
        ("two", {"group": "g"}, "role-without-columns", {"role": "group", "column": "g"}),
        ("two", {"time": "t"}, "role-without-columns", {"role": "time", "column": "t"}),
        ("new_class", {}, "unseen-classes", {"count": 2, "classes": ("c", "c ")}),
        ("short", {}, "length-mismatch", {"rows": (20,), "targets": 19}),
        ("other_shape", {}, "shape-mismatch", {"shape": (2,), "test_shape": (1,)}),
        ("texts", {}, "not-numbers", {"part": "rows", "dtype": "<U1"}),
        ("empty", {}, "no-rows", {}),
        ("cube", {}, "targets-of-more-axes", {"shape": (20, 2, 2)}),
        ("text_cube", {}, "bad-target-shape", {"part": "targets", "shape": (20, 2, 2)}),
        ("broken", {}, "function-raised", {"type": "ZeroDivisionError", "options": ""}),
        ("hidden", {}, "missing-targets", {"count": 10, "row": 1}),
        ("constant", {}, "not-a-function", {"type": "int"}),
        ("masked", {}, "not-finite", {"count": 1, "row": 3}),
        ("masked_targets", {}, "missing-targets", {"count": 1, "row": 7}),
        ("half", {}, "half-a-test-part", {"missing": "y_test"}),
        ("point", {}, "not-an-array", {"part": "x"}),
        ("days", {}, "bad-target-type", {"type": "datetime64[D]"}),
        ("complexes", {}, "bad-target-type", {"type": "complex128"}),
        ("raw_bytes", {}, "bad-target-type", {"type": "bytes"}),
        ("two", {"options": {"size": 3}}, "function-raised", {"type": "TypeError", "options": "size=3"}),
        ("too", {}, "no-such-name", {"name": "too", "closest": "two"}),
        ("one_hot", {"task": "binary"}, "not-binary", {"classes": 3}),
        ("two_targets", {"task": "multiclass"}, "not-one-hot", {"shape": (20, 2)}),
    ],
)
def test_errors_of_functions(user, name, data, code, values):
    with raises(f"data.{code}", **values) as caught:
        user(name, **data)
    assert caught.value.hint


def test_an_error_in_the_users_function_says_where(user):
    with raises("data.function-raised") as caught:
        user("broken")
    line = next(number for number, text in enumerate(FUNCTIONS.splitlines(), 1) if "def broken" in text)
    assert caught.value.values["line"] == line
    start = "user_source_functions:broken() raised ZeroDivisionError: division by zero ("
    assert caught.value.what.startswith(start)
    assert caught.value.what.endswith(f"user_source_functions.py, line {line})")


def test_names_that_are_no_source(load, tmp_path):
    with raises("data.unknown-source", source="keras:minst", closest="keras:mnist"):
        load("keras:minst")
    for name in ("rows.xlsx", "rows.csv.gz"):
        with raises("data.unknown-source", source=name) as caught:
            load(name)
        assert "save it as one of .csv" in caught.value.hint
    with raises("data.no-module", module="no_such_module_at_all") as caught:
        load("no_such_module_at_all:load")
    assert str(tmp_path) in caught.value.hint
    with raises("data.unknown-option", source="keras:imdb", option="word"):
        load("keras:imdb", options={"word": 3})


def test_an_address_is_no_source_and_its_password_is_not_shown(load) -> None:
    for address in ("postgresql://me:hunter2@db/x", "https://hunter2@host/rows.csv", "https://me:hunter2@host/r.npz"):
        with pytest.raises(HpsearchError) as caught:
            load(address)
        assert "hunter2" not in f"{caught.value} {caught.value.values}"


def test_every_source_is_listed():
    names = [row["name"] for row in list_sources(pytest.fail)]
    assert set(SOURCES) < set(names)
    assert all(row["description"] for row in list_sources(pytest.fail))


def test_tf_data_batched_and_not(tmp_path, load, monkeypatch):
    """TensorFlow's own data sets, in a process that has it anyway."""
    tf = pytest.importorskip("tensorflow", reason="tf.data comes with TensorFlow")
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    columns = {"a": x[:, 0], "kind": np.array(["p", "q"] * 3)}
    cases = {
        "single": rows,
        "batched": rows.batch(4),
        "table": tf.data.Dataset.from_tensor_slices((columns, y)).batch(4),
        "endless": rows.repeat(),
        "inputs_only": tf.data.Dataset.from_tensor_slices(x),
    }
    (tmp_path / "user_tf_data.py").write_text("\n".join(f"def {name}(): return cases[{name!r}]" for name in cases))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("user_tf_data").cases = cases
    for name in ("single", "batched"):
        dataset = load(f"user_tf_data:{name}")
        assert dataset.train.x.tolist() == x.tolist()
        assert dataset.train.y.tolist() == y.tolist()
    assert [one.kind for one in load("user_tf_data:table").columns] == ["number", "category"]
    with raises("data.endless-dataset"):
        load("user_tf_data:endless")
    with raises("data.bad-tf-element") as caught:
        load("user_tf_data:inputs_only")
    assert caught.value.values["element"].startswith("TensorSpec(")


POLARS = """
import datetime as dt
import polars as pl

n = 30
y = [i * 0.37 % 5 for i in range(n)]

def plain():
    return pl.DataFrame({
        "i": [i * i for i in range(n)], "c": ["a", "b", None] * 10, "b": [True, False] * 15,
        "f": [None if i == 3 else i * 0.5 for i in range(n)], "y": y,
    })
def typed():
    return pl.DataFrame({
        "c": pl.Series(["a", "b", None] * 10, dtype=pl.Categorical), "d": pl.Series([i / 8 for i in range(n)]).cast(
        pl.Decimal(10, 3)), "u": pl.Series([4_000_000_000 + i * i for i in range(n)], dtype=pl.UInt32), "y": y,
    })
def parts(): return plain().drop("y"), plain()["y"]
def test_part(): return plain()[:20].drop("y"), plain()[:20]["y"], plain()[20:].drop("y"), plain()[20:]["y"]
def series(): return plain()["i"], pl.Series(["u", "v", "w"] * 10)
def lazy(): return plain().lazy()
def huge(): return pl.DataFrame({"x": pl.Series(range(n), dtype=pl.Int128), "y": y})
def large(): return pl.DataFrame({"x": [2**60 + 3 * i if i else None for i in range(n)], "y": y})
def lists(): return pl.DataFrame({"x": [[1.0, None]] * n, "y": y})
def dates(): return pl.DataFrame({"x": [dt.date(2020, 1, 1)] * n, "y": y})
"""


def test_polars_frames(tmp_path, load):
    pytest.importorskip("polars", reason="polars is not installed")
    (tmp_path / "polars_source.py").write_text(POLARS)
    plain = load("polars_source:plain", target="y")
    assert [(one.name, one.kind) for one in plain.columns] == [
        ("i", "number"), ("c", "category"), ("b", "number"), ("f", "number"),
    ]  # fmt: skip
    assert plain.schema.categories == {"c": ("a", "b")}
    assert np.isnan(plain.train.x["f"]).nonzero()[0].tolist() == [3]
    assert load("polars_source:parts").fingerprint() == plain.fingerprint()
    assert len(load("polars_source:test_part").test) == 10
    assert load("polars_source:series").classes == ("u", "v", "w")
    typed = load("polars_source:typed", target="y")
    assert typed.train.x["d"][:3].tolist() == [0, 0.125, 0.25]
    assert np.diff(typed.train.x["u"])[:3].tolist() == [1, 3, 5]
    assert np.diff(load("polars_source:large", target="y").train.x["x"])[1:4].tolist() == [3, 3, 3]
    for name, code, words in (
        ("lazy", "bad-return-value", ".collect()"),
        ("huge", "bad-return-value", "cast its columns"),
        ("lists", "not-finite", "fill or convert them"),
        ("dates", "date-column", 'time = "x"'),
    ):
        with raises(f"data.{code}") as caught:
            load(f"polars_source:{name}", target="y")
        assert words in caught.value.hint


def test_rows_without_a_target_are_refused_or_left_out(tmp_path, load):
    (tmp_path / "t.csv").write_text(
        "a,who,y\n" + "".join(f"{i},{i % 3},{'' if i == 2 else i}.\n" for i in range(6)).replace(",.", ",")
    )
    with raises("data.missing-targets", count=1, row=2) as caught:
        load("t.csv", target="y")
    assert 'missing_targets = "drop"' in caught.value.hint
    dropped = load("t.csv", target="y", group="who", missing_targets="drop")
    assert (dropped.task, dropped.classes) == ("multiclass", ("0", "1", "3", "4", "5")), "a gap makes no amounts"
    assert dropped.train.y.tolist() == [0, 1, 2, 3, 4]
    assert dropped.train.x["a"].tolist() == [0, 1, 3, 4, 5]
    assert dropped.train.groups.tolist() == [0, 1, 0, 1, 2]
    assert "1 of 6 rows has no target and is left out" in dropped.warnings
    y = np.array([0.0, np.nan, 2.5, np.inf])
    np.savez(tmp_path / "t.npz", x=np.arange(4.0), y=y, x_test=np.arange(4.0), y_test=y)
    both = load("t.npz", missing_targets="drop")
    assert (both.train.y.tolist(), both.test.y.tolist(), both.train.x.ravel().tolist()) == ([0, 2.5], [0, 2.5], [0, 2])
    np.savez(tmp_path / "none.npz", x=np.arange(2.0), y=np.full(2, np.nan))
    with raises("data.no-rows"):
        load("none.npz", missing_targets="drop")


def test_amounts_come_in_their_unit(tmp_path, load):
    np.savez(tmp_path / "t.npz", x=np.arange(2.0), y=np.array([150_000.0, 300_000.0]))
    assert load("t.npz", unit=100_000).train.y.tolist() == [1.5, 3.0]
    np.savez(tmp_path / "c.npz", x=np.arange(2.0), y=np.array([0, 1]))
    with raises("data.unit-of-classes"):
        load("c.npz", unit=10)
