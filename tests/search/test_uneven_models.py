"""Models that record other metrics than the first one, trained for real: their trials fail, and the study ends well."""

from pathlib import Path

import pytest

import hpsearch
from hpsearch.ledger.record import StudyState

pytestmark = pytest.mark.slow

BUILD = '''
import keras
import numpy as np


class Matrix(keras.metrics.Metric):
    """As many values as classes."""

    def __init__(self):
        super().__init__(name="hits")
        self.counts = self.add_variable((3,), "zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.counts.assign_add(keras.ops.sum(y_pred, axis=0))

    def result(self):
        return self.counts * 1.0


def build(config, data):
    kind = config["kind"]
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4 if kind == "fine" else 5, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="hits")]
    if kind == "bare":
        metrics = []
    if kind == "renamed":
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="catches")]
    if kind == "matrix":
        metrics = [Matrix()]
    if kind == "by fold":
        first = float(np.asarray(data.x).sum())
        metrics = metrics if int(first * 10) % 2 else []
    rate = 1e30 if kind == "nan" else 0.01
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=metrics)
    return model
'''
STUDY = """
name = "uneven"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
build = "uneven_models:build"
[space]
kind = ["fine", "bare", "renamed", "matrix", "by fold", "nan"]
epochs = 2
batch_size = 32
learning_rate = 0.01
[objective]
metric = "val_hits"
direction = "maximize"
[search]
tuner = "optuna"
algorithm = "grid"
max_failures = 10
[[search.try]]
kind = "fine"
[resources]
engine = "{engine}"
backend = "jax"
[tracking]
system_metrics = false
"""


@pytest.mark.parametrize("engine", ["fit", "fused"])
def test_a_trial_whose_model_lacks_the_metric_fails_and_says_what_it_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uneven_models.py").write_text(BUILD)
    (tmp_path / "study.toml").write_text(STUDY.format(engine=engine))
    record = hpsearch.run("study.toml", verbose=0).record
    assert record.state is StudyState.FINISHED
    assert record.facts.plan.engine == engine
    ended = {str(trial.config["kind"]): trial for trial in record.trials}
    told = {kind: f"{one.state}: {one.failure.message}" for kind, one in ended.items() if one.failure}
    assert told == {
        "bare": "failed: the model records no 'val_hits'; it records loss, val_loss",
        "renamed": "failed: the model records no 'val_hits'; it records catches, loss, val_catches, val_loss",
        "matrix": "failed: ModelError: metric 'hits' is no number, but an array of shape [3]",
        **{kind: text for kind, text in told.items() if kind in ("nan", "by fold")},
    }
    assert ended["fine"].number == 0
    assert record.champion.trial == 0
    assert (tmp_path / "mlruns" / "studies" / "uneven" / "report.html").exists()
