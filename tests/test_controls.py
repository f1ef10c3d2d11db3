"""Nested validation and null searches take what `hpsearch.run` takes."""

from pathlib import Path

import pytest
from keras.callbacks import EarlyStopping
from sklearn.datasets import load_wine

import hpsearch
from tests.raising import raises
from tests.scikit_learn.linear import INLINE, SPACE, build


@pytest.mark.slow
def test_data_and_code_in_memory_are_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = load_wine(return_X_y=True)
    given = {
        "name": "wine",
        "space": {**SPACE, "rate": 0.3},
        "folds": 2,
        "trials": 1,
        "metric": "val_loss",
        "direction": "minimize",
        "verbose": 0,
        "callbacks": [EarlyStopping(patience=1)],
        **INLINE,
    }
    study = hpsearch.run_null(build, x, y, searches=1, **given)
    assert len(study.record.facts.null.scores) == 1
    nested = hpsearch.run_nested(build, x, y, outer=2, **given)
    assert len(nested.record.facts.nested.scores) == 2
    assert nested.record.facts.null == study.record.facts.null
    (folder,) = (tmp_path / "mlruns" / "given").iterdir()  # one function with its callbacks, for all of these studies
    assert any('_model["callbacks"]' in path.read_text() for path in folder.glob("*.py"))
    assert {one.name for one in (tmp_path / "mlruns" / "studies").iterdir()} == {
        "wine", "wine.null0", "wine.outer0", "wine.outer1"
    }  # fmt: skip
    with raises("study-file.unknown-argument", argument="overwrite") as caught:
        hpsearch.run_nested(build, x, y, overwrite=True)
    assert caught.value.what == "overwrite=True is for hpsearch.run() alone"
    with raises("study-file.unknown-argument", argument="epochs"):
        hpsearch.run_null(build, x, y, epochs=3)
    hpsearch.delete("wine")
    assert not list((tmp_path / "mlruns" / "given").iterdir())
