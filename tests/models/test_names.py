"""Names of metrics and layers do not depend on what a process has built before."""

import sys
from pathlib import Path

import keras
import pytest

from hpsearch.keras_internals.naming import count_names_from, load_with_names


@pytest.fixture
def module(tmp_path: Path, monkeypatch):
    """Writes a module, and returns a call that imports it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str):
        (tmp_path / f"{name}.py").write_text(f"import keras\n{text}\n")
        return lambda: __import__(name)

    return write


def next_name(names) -> str:
    count_names_from(names)
    return keras.metrics.AUC().name


def test_a_second_study_and_another_module_count_as_the_first_did(module) -> None:
    load, other = module("first_names", ""), module("second_names", "base = keras.layers.Dense(1)")
    assert next_name(load_with_names("first_names", load)[1]) == "auc"
    assert next_name(load_with_names("first_names", load)[1]) == "auc"
    assert dict(load_with_names("second_names", other)[1]) == {"dense": 1}
    assert next_name(load_with_names("second_names", other)[1]) == "auc"


def test_a_module_that_was_imported_before_counts_what_it_holds(module) -> None:
    load = module("held_names", "layers = [keras.layers.Dense(1), keras.layers.Dense(1)]\nauc = keras.metrics.AUC()")
    count_names_from({"dense": 4, "dropout": 7})
    load()
    names = load_with_names("held_names", load)[1]
    assert (names["dense"], names["auc"]) == (6, 1)
    assert "dropout" not in names
    del sys.modules["held_names"]
    assert dict(load_with_names("held_names", load)[1]) == {"dense": 2, "auc": 1}
