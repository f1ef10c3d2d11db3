"""Rows that ``hpsearch predict`` refuses before the champion is loaded. (What it predicts: tests/test_cli.py.)"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpsearch.champion.predict import predict
from hpsearch.core.facts import Column
from hpsearch.errors import DataError
from hpsearch.testing.factories import make_record

TABLE = (Column("a", "number"), Column("b", "category"))


@pytest.fixture
def refused(tmp_path: Path, monkeypatch):
    """The error for a file, of a model that takes rows of two numbers or the columns a and b."""
    monkeypatch.setattr("hpsearch.champion.predict.check_champion", lambda record: tmp_path / "never-loaded.keras")

    def _refused(file: Path, columns: tuple[Column, ...]) -> DataError:
        record = make_record()
        data = replace(record.facts.data, columns=columns, input_shape=(2,))
        record = replace(record, facts=replace(record.facts, data=data))
        with pytest.raises(DataError) as caught:
            predict(record, file)
        return caught.value

    return _refused


@pytest.mark.parametrize("columns", [(), TABLE])
def test_a_header_without_rows_is_told(refused, tmp_path: Path, columns: tuple[Column, ...]) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    error = refused(tmp_path / "rows.csv", columns)
    assert error.what.endswith("rows.csv: holds no rows")
    assert error.hint


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((0, 2))}, "holds no rows"),
        ({"x": np.zeros((4, 3))}, "array x is of shape (4, 3) and dtype float64, but the model takes rows of numbers"),
        ({"x": np.zeros(())}, "array x is of shape ()"),
        ({"x": np.full((4, 2), "a")}, "dtype <U1"),
        ({"x": np.array([[1, np.nan]])}, "1 values are missing or infinite, the first at (0, 1)"),
        ({"z": np.zeros((4, 2))}, "needs an array x, but holds z"),
        ({"x": np.array([[object(), None]])}, "cannot be read as NPZ"),
    ],
)
def test_arrays_that_the_model_cannot_take(refused, tmp_path: Path, arrays, message: str) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)
    assert message in refused(tmp_path / "rows.npz", ()).what


def test_a_table_must_have_the_models_columns(refused, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,c\n1,2\n")
    assert "but b is missing" in refused(tmp_path / "rows.csv", TABLE).what
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    assert "3 columns of numbers, but the model takes 2 numbers per row" in refused(tmp_path / "rows.csv", ()).what
