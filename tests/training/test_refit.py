"""A worker's refit: what it leaves behind, and how its failures are told. (Training itself: tests/engines.)"""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from hpsearch.core.events import Bundle, BundleFinished, Lane
from hpsearch.errors import LedgerError, ModelError
from hpsearch.spec import parse_spec
from hpsearch.training import refit
from hpsearch.training.environment import resident_bytes
from hpsearch.training.protocol import RefitOrder
from hpsearch.training.worker import Worker
from tests.executors.test_processes import CONFIG, STUDY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker(parse_spec(STUDY.format(epochs=1)))


def test_a_refit_leaves_its_files_and_nothing_of_a_killed_one(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / ".champion.keras").write_text("half a file")
    champion = worker.refit(RefitOrder(3, CONFIG, 1, tmp_path))
    names = ["champion.json", "champion.keras", "mlflow_model", "predictions.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert champion.trial == 3
    with np.load(tmp_path / "predictions.npz") as arrays:
        right = arrays["y_pred"].argmax(axis=1) == arrays["y_true"]
    assert right.mean() == pytest.approx(champion.test["accuracy"], abs=1e-6)


def test_a_refit_that_fails_in_the_users_code_is_the_models_error(worker: Worker, tmp_path: Path, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no room for all rows")

    monkeypatch.setattr(refit, "train_on_all", broken)
    with pytest.raises(ModelError, match="no room for all rows") as caught:
        worker.refit(RefitOrder(3, CONFIG, 1, tmp_path))
    assert caught.value.code == "model.refit-failed"
    assert caught.value.values == {"trial": 3, "error": "RuntimeError"}


def test_a_champion_that_cannot_be_saved_names_its_folder(worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.write_text("a file where a folder should be")
    with pytest.raises(LedgerError) as caught:
        worker.refit(RefitOrder(3, CONFIG, 1, folder))
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
    assert end.rss_bytes < full - 150e6
    assert last
