"""A worker's refit: what it leaves behind, and how its failures are told. (Training itself: tests/engines.)"""

import ctypes
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpsearch import analysis
from hpsearch.core.events import Bundle, BundleFinished, Lane
from hpsearch.errors import LedgerError, ModelError
from hpsearch.report import load_artifacts
from hpsearch.spec import parse_spec
from hpsearch.testing.factories import make_record
from hpsearch.training import champions
from hpsearch.training.environment import resident_bytes
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker
from tests.executors.test_processes import CONFIG, STUDY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker(parse_spec(STUDY.format(epochs=1)))


def test_a_refit_leaves_its_files_and_nothing_of_a_killed_one(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / ".champion.keras").write_text("half a file")
    champion = worker.refit(RefitOrder((ToRefit(3, CONFIG, 1),), tmp_path))
    names = ["champion.json", "champion.keras", "inputs.npz", "mlflow_model", "predictions.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert champion.trial == 3
    with np.load(tmp_path / "predictions.npz") as arrays:
        right = arrays["y_pred"].argmax(axis=1) == arrays["y_true"]
    assert right.mean() == pytest.approx(champion.test["accuracy"], abs=1e-6)


def test_a_refit_that_fails_in_the_users_code_is_the_models_error(worker: Worker, tmp_path: Path, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no room for all rows")

    monkeypatch.setattr(champions, "train_whole", broken)
    with pytest.raises(ModelError, match="no room for all rows") as caught:
        worker.refit(RefitOrder((ToRefit(3, CONFIG, 1),), tmp_path))
    assert caught.value.code == "model.refit-failed"
    assert caught.value.values == {"trial": 3, "error": "RuntimeError"}


def test_a_champion_that_cannot_be_saved_names_its_folder(worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.write_text("a file where a folder should be")
    with pytest.raises(LedgerError) as caught:
        worker.refit(RefitOrder((ToRefit(3, CONFIG, 1),), folder))
    assert caught.value.code == "ledger.cannot-save-champion"
    assert caught.value.values["folder"] == str(folder)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc keeps freed memory")
def test_memory_freed_during_a_bundle_is_given_back(worker: Worker) -> None:
    stopped = Bundle(0, (Lane(0, 0, {**CONFIG, "epochs": 1}),))
    list(worker.train(stopped, lambda: frozenset({0})))  # whatever is loaded with the first bundle
    blocks = [bytes(2000) for _ in range(100_000)]
    last = blocks.pop()  # the end of the heap: behind it, nothing is given back of itself
    full = resident_bytes()
    blocks.clear()
    *_, end = worker.train(stopped, lambda: frozenset({0}))
    assert isinstance(end, BundleFinished)
    assert end.rss_bytes < full - 100e6  # of 200 MB; beside other tests' objects not every page is free
    assert last


GROUPED = """
name = "grouped"
seed = 3
[data]
source = "patients.csv"
target = "state"
group = "patient"
test_fraction = 0.4
[validation]
method = "group"
folds = 2
[model]
build = "patients:build"
[space]
units = [4]
[objective]
metric = "val_auc"
direction = "maximize"
[resources]
engine = "fit"
"""

PATIENTS = """
import keras

def half_right(y_true, y_pred):
    return keras.ops.mean(keras.ops.cast(keras.ops.abs(y_true - y_pred) < 0.5, "float32")) / 2

def not_of_55_rows(y_true, y_pred):
    if y_true.shape[0] == 55:  # the test part without one of its 12 groups
        raise ValueError("one group is missing")
    return keras.ops.mean(y_pred)

def build(hp, data):
    inputs = {"x": keras.Input((), name="x")}
    hidden = keras.layers.Dense(4, activation="tanh")(keras.ops.expand_dims(inputs["x"], -1))
    output = keras.layers.Dense(1, activation="sigmoid", kernel_regularizer="l2")(hidden)
    model = keras.Model(inputs, output)
    metrics = ["accuracy", keras.metrics.AUC(name="auc"), half_right]
    model.compile("adam", "binary_crossentropy", metrics=metrics)
    return model
"""


def test_every_metric_of_the_test_gets_an_interval(tmp_path: Path, monkeypatch) -> None:
    """A mean over rows, one over pairs of rows, the user's own, and a loss with penalties, all over whole groups."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    rows = [
        f"{value},{row // 5},{'ill' if value + noise > 0 else 'well'}"
        for row, (value, noise) in enumerate(zip(x, rng.normal(size=150), strict=True))
    ]
    (tmp_path / "patients.csv").write_text("\n".join(["x,patient,state", *rows]))
    (tmp_path / "patients.py").write_text(PATIENTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = parse_spec(GROUPED).model_copy(update={"folder": str(tmp_path)})
    champion = Worker(spec).refit(RefitOrder((ToRefit(0, {"units": 4}, 3),), tmp_path / "study"))
    of_task = {"balanced_accuracy", "f1_macro", "pr_auc", "log_loss"}  # accuracy and auc are the model's own
    assert set(champion.test) == {"loss", "accuracy", "auc", "half_right", *of_task}
    record = replace(make_record(), spec=spec, champion=champion)
    predictions = load_artifacts(record, tmp_path / "study").predictions
    found = analysis.test_intervals(record, predictions)
    assert set(found) == set(champion.test)
    for metric, interval in found.items():
        assert interval.low < champion.test[metric] < interval.high
    assert found["auc"].high < 1
    assert "12 groups" in found["accuracy"].method
    assert len(predictions.left_out["auc"].without) == 12
    assert (tmp_path / "study" / "predictions.npz").stat().st_size < 20_000
    assert not predictions.left_out_problem

    # A metric that fails on fewer rows takes its like along, but not the loss, and says why.
    (tmp_path / "patients.py").write_text(PATIENTS.replace("half_right]", "half_right, not_of_55_rows]"))
    sys.modules.pop("patients")
    champion = Worker(spec).refit(RefitOrder((ToRefit(0, {"units": 4}, 3),), tmp_path / "failing"))
    record = replace(record, champion=champion)
    predictions = load_artifacts(record, tmp_path / "failing").predictions
    assert set(analysis.test_intervals(record, predictions)) == {"accuracy", "loss", *of_task}
    verdict = analysis.verdict_info(record, predictions=predictions)
    assert verdict.interval_problem.startswith("ValueError: one group is missing (")
    assert verdict.interval_problem.endswith("patients.py, line 9)")
