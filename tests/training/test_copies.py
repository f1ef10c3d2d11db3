"""Coin-flip labels on rows that stand there three times: what a model seems to learn, and what it does learn."""

from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from hpsearch.core.events import Bundle, Lane, LaneFinished
from hpsearch.spec import parse_spec
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker

pytestmark = pytest.mark.slow

STUDY = """
name = "coin"
[data]
source = "rows.npz"
duplicates = "{duplicates}"
[validation]
folds = 3
[model]
family = "mlp"
layers = 1
[space]
units = 128
dropout = 0.0
optimizer = "adam"
learning_rate = 0.02
batch_size = 32
epochs = 12
[objective]
metric = "val_accuracy"
direction = "maximize"
[resources]
engine = "fused"
"""
CONFIG = {"learning_rate": 0.02, "batch_size": 32, "optimizer": "adam", "layers": 1, "units": 128, "dropout": 0.0}
CONFIG |= {"activation": "relu", "batch_norm": False, "epochs": 12}


@pytest.fixture
def scores(tmp_path: Path):
    rng = np.random.default_rng(5)
    order = rng.permutation(900)
    x, y = np.repeat(rng.normal(size=(300, 20)), 3, axis=0), np.repeat(rng.integers(0, 2, 300), 3)
    np.savez(tmp_path / "rows.npz", x=x[order], y=y[order])

    def trained(duplicates: str) -> tuple[float, float, np.ndarray | None]:
        worker = Worker(parse_spec(STUDY.format(duplicates=duplicates), folder=tmp_path))
        events = worker.train(Bundle(0, tuple(Lane(0, fold, CONFIG) for fold in range(3))), frozenset)
        folds = [event.result for event in events if isinstance(event, LaneFinished)]
        champion = worker.refit(RefitOrder((ToRefit(0, CONFIG, 12),), tmp_path / duplicates))
        with np.load(tmp_path / duplicates / "predictions.npz") as arrays:
            groups = arrays.get("groups")
        return fmean(fold.curves["val_accuracy"][-1] for fold in folds), champion.test["accuracy"], groups

    return trained


def test_copies_of_rows_on_both_sides_look_like_skill_and_copies_kept_together_do_not(scores) -> None:
    validated, tested, groups = scores("allow")
    assert validated > 0.85  # a row whose copies all validate at once, one in nine, is a coin flip
    assert tested > 0.85
    assert groups is None
    validated, tested, groups = scores("group")
    assert validated == pytest.approx(0.5, abs=0.09)  # 240 different rows: a standard error of 0.03
    assert tested == pytest.approx(0.5, abs=0.2)  # 60 of them: 0.065
    assert len(np.unique(groups)) == 60  # the interval of the test score takes three copies for one row
