"""Rows that ``hpsearch predict`` refuses before the champion is loaded. (What it predicts: tests/test_cli.py.)"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from hpsearch.champion.predict import _as_the_model_takes, predict
from hpsearch.core.facts import Column
from hpsearch.errors import DataError
from hpsearch.portable.columns import NUMBERS
from hpsearch.portable.predictor import Card
from hpsearch.testing.factories import make_champion, make_record, make_trials

TABLE = (Column("a", "number"), Column("b", "category"))


@pytest.fixture
def refused(tmp_path: Path, monkeypatch):
    """The error for a file, of a model that takes rows of two numbers or the columns a and b."""
    never = tmp_path / "never-loaded.keras"
    monkeypatch.setattr("hpsearch.champion.predict.check_champion", lambda record, trust: never)

    def _refused(file: Path, columns: tuple[Column, ...]) -> DataError:
        record = make_record(champion=make_champion(make_trials(2)[1]))
        data = replace(record.facts.data, columns=columns, input_shape=(2,))
        record = replace(record, facts=replace(record.facts, data=data))
        with pytest.raises(DataError) as caught:
            predict(record, file)
        return caught.value

    return _refused


@pytest.mark.parametrize("columns", [(), TABLE])
def test_a_header_without_rows_is_refused(refused, tmp_path: Path, columns: tuple[Column, ...]) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    assert refused(tmp_path / "rows.csv", columns).code == "data.no-rows"


@pytest.mark.parametrize(
    ("arrays", "code", "values"),
    [
        ({"x": np.zeros((0, 2))}, "data.no-rows", {}),
        ({"x": np.zeros((4, 3))}, "data.wrong-shape", {"found": (4, 3), "wanted": (2,), "dtype": "float64"}),
        ({"x": np.zeros(())}, "data.wrong-shape", {"found": ()}),
        ({"x": np.full((4, 2), "a")}, "data.wrong-shape", {"dtype": "<U1"}),
        ({"x": np.array([[1, np.nan]])}, "data.not-finite", {"count": 1, "first": (0, 1)}),
        ({"z": np.zeros((4, 2))}, "data.no-array", {"found": ("z",)}),
        ({"x": np.array([[object(), None]])}, "data.unreadable-file", {}),
    ],
)
def test_arrays_that_the_model_cannot_take(refused, tmp_path: Path, arrays, code: str, values) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)
    error = refused(tmp_path / "rows.npz", ())
    assert error.code == code
    assert error.values.items() >= values.items()


def test_a_table_must_have_the_models_columns(refused, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,c\n1,2\n")
    error = refused(tmp_path / "rows.csv", TABLE)
    assert (error.code, error.values["missing"]) == ("data.missing-columns", ("b",))
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    error = refused(tmp_path / "rows.csv", ())
    wanted = {"source": str(tmp_path / "rows.csv"), "found": (3,), "wanted": (2,)}
    assert (error.code, error.values) == ("data.wrong-shape", wanted)


def test_a_table_is_given_as_the_model_takes_it() -> None:
    """Ledgers of hpsearch 0.1 do not say whether number columns are one input."""
    keras = pytest.importorskip("keras")
    columns = (Column("a", "number"), Column("b", "number"))
    one = keras.Input((2,), name=NUMBERS)
    each = [keras.Input((1,), name=column.name) for column in columns]
    together = keras.Model({NUMBERS: one}, keras.layers.Dense(1)(one))
    apart = keras.Model(
        {column.name: layer for column, layer in zip(columns, each, strict=True)},
        keras.layers.Dense(1)(keras.layers.Concatenate()(each)),
    )
    inputs = {"a": np.ones(3, np.float32), "b": np.zeros(3, np.float32)}
    card = Card("jax", (), columns, (2,))
    given = _as_the_model_takes(together, inputs, card)
    assert isinstance(given, dict)
    assert {name: value.shape for name, value in given.items()} == {NUMBERS: (3, 2)}
    assert _as_the_model_takes(apart, inputs, card) is inputs
