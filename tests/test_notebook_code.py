"""What a notebook has in memory goes on in other processes: its model, callbacks, weights and several outputs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.callbacks import EarlyStopping
from hpsearch.data import load_dataset
from hpsearch.errors import SpecError
from hpsearch.given import keep
from hpsearch.study import run
from hpsearch.training.problem import Problem
from tests.calls import X, Y, spec_of


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


NOTEBOOK = """
import keras
import numpy as np
import hpsearch

rng = np.random.default_rng(0)
x = rng.normal(size=(120, 3)).astype("float32")
y = np.where(x[:, 0] > 0, "yes", "no")
UNITS = [2, 4]

class Doubled(keras.layers.Layer):
    def call(self, x):
        return x * 2

class Model:
    def build(self, hp):
        model = keras.Sequential([keras.Input((3,)), Doubled(), keras.layers.Dense(hp.Choice("units", UNITS))])
        model.add(keras.layers.Dense(1, "sigmoid"))
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model

build = Model().build
study = hpsearch.run(
    lambda hp: build(hp), x, y, name="mine", folds=2, trials=2, metric="val_accuracy", direction="maximize",
    space={"epochs": 2, "batch_size": 32}, verbose=0,
)
print(study.predict(x[:2])["prediction"].tolist(), len(study.best_configs()), "<table" in study._repr_html_())
print(study, study.best_model().predict(x[:2], verbose=0).shape)
"""


@pytest.mark.slow
def test_a_notebook_s_study_goes_on_and_predicts_in_other_processes(tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    for _ in range(2):
        done = subprocess.run([sys.executable, "notebook.py"], capture_output=True, text=True, check=True)
        assert "<Study 'mine': finished, 2 trials, best val_accuracy = " in done.stdout
        assert done.stdout.strip().endswith("(2, 1)")
        assert re.match(r"\['(yes|no)', '(yes|no)'\] 2 True\n", done.stdout), done.stdout
        assert "[1/2]" not in done.stderr
    (tmp_path / "notebook.py").unlink()
    command = [sys.executable, "-m", "hpsearch"]
    subprocess.run([*command, "resume", "mine", "--trials", "3"], capture_output=True, check=True)
    np.savez("rows.npz", x=np.array([[3.0, 0, 0], [-3.0, 0, 0]], dtype="float32"))
    done = subprocess.run([*command, "predict", "mine", "rows.npz"], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3, done.stdout


def test_a_study_file_still_runs_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing.toml cannot be read"):
        run(tmp_path / "nothing.toml", verbose=0)


def test_a_kept_model_names_the_packages_that_it_needs(tmp_path: Path) -> None:
    names = {"__name__": "__main__", "np": np, "load_dataset": load_dataset, "DataFrame": pd.DataFrame}
    helper = "def helper(x):\n    return DataFrame(load_dataset(x))\n"
    exec(f"import math\n{helper}def build(config, data):\n    return helper(np.ones(math.pi))", names)
    folder, module = keep(tmp_path, names["build"], {})
    text = (folder / f"{module}.py").read_text()
    assert "import numpy\nimport pandas\n" in text
    assert "import math" not in text
    assert "def data" not in text


CALLBACKS = """
import keras

class Told(keras.callbacks.Callback):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

def callbacks(config):
    return [Told(config["units"])]
"""


def test_callbacks_in_memory_are_made_anew_for_every_fold() -> None:
    import keras

    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(CALLBACKS, "notebook.py", "exec"), names)
    told = names["Told"]
    assert isinstance(told, type)
    stock = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    plain = spec_of(x=X, y=Y)
    listed = spec_of(x=X, y=Y, callbacks=[stock, told(7)])
    made = spec_of(x=X, y=Y, callbacks=names["callbacks"])
    assert len({one.model.build for one in (plain, listed, made)}) == 3, "another study each"
    assert plain.model.build == spec_of(x=X, y=Y).model.build
    assert not Problem.load(plain).callbacks({"units": 5}).items
    problem = Problem.load(listed)
    (rule, own), (_, again) = problem.callbacks({"units": 5}).items, problem.callbacks({"units": 5}).items
    assert rule == EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    assert own is not again
    assert (type(own).__name__, own.factor, again.factor) == ("Told", 7, 7)
    (own,) = Problem.load(made).callbacks({"units": 5}).items
    assert own.factor == 5


def test_weights_are_kept_with_the_rows() -> None:
    weights = np.linspace(0, 1, len(Y))
    dataset = load_dataset(spec_of(x=X, y=Y, sample_weight=weights))
    np.testing.assert_allclose(dataset.train.weights, weights, rtol=1e-6)
    with pytest.raises(SpecError, match="sample_weight is given, but no x"):
        spec_of(sample_weight=weights)


def test_several_outputs_may_be_vectors_and_rows_may_come_as_tuples() -> None:
    price, kind = X[:, 0], np.where(Y > 0, "a", "b")
    dataset = load_dataset(spec_of(x=X, y={"price": price, "kind": kind}))
    assert [one.name for one in dataset.outputs] == ["price", "kind"]
    assert len(load_dataset(spec_of(x=[X, X[:, :1]], y=(price, kind))).outputs) == 2
    rows, targets = zip(*((row, "ab"[place % 2]) for place, row in enumerate(X)), strict=True)
    assert load_dataset(spec_of(x=rows, y=targets)).train.x.shape == X.shape
