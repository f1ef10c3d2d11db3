"""Models measured before they are trained, with real Keras."""

from pathlib import Path

import pytest

from hpsearch.core.events import Bundle, BundleFinished, BundleStarted, Lane, LaneFailed, LaneFinished, ModelMeasured
from hpsearch.core.trial import FailureKind
from hpsearch.spec import parse_spec
from hpsearch.training.worker import Worker

STUDY = """
name = "limited"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
{model}
[objective]
metric = "val_loss"
direction = "minimize"
at_most = {{ {limits} }}
[resources]
engine = "{engine}"
backend = "jax"
"""

CONFIG = {"learning_rate": 0.01, "batch_size": 32, "epochs": 1, "optimizer": "adam", "layers": 1, "dropout": 0.0,
          "activation": "relu", "batch_norm": False}  # fmt: skip

OWN = """
import keras

class Lazy(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.one, self.two = keras.layers.Dense(units), keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.two(self.one(x))

def build(config, data):
    if config["units"] == 13:
        raise ValueError("13 is unlucky")
    model = Lazy(config["units"])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
"""


def lanes(*units: int) -> Bundle:
    found = tuple(Lane(trial, fold, {**CONFIG, "units": one}) for trial, one in enumerate(units) for fold in (0, 1))
    return Bundle(7, found, tuple(range(len(units))))


@pytest.mark.parametrize("engine", ["fit", "fused"])
def test_what_is_too_large_is_not_trained_and_its_bundle_goes_on(engine: str) -> None:
    text = STUDY.format(
        model='family = "mlp"', limits="parameters = 200, model_mb = 1, latency_ms = 60000", engine=engine
    )
    events = list(Worker(parse_spec(text)).train(lanes(8, 64), frozenset))
    assert isinstance(events[0], BundleStarted)
    assert isinstance(events[-1], BundleFinished)
    small, large = [one for one in events if isinstance(one, ModelMeasured)]
    # 4 inputs that are standardised by two weights each and a count, then 4 * u + u and 3 * u + 3.
    assert large.parameters - small.parameters == (64 - 8) * 8
    assert small.measured["parameters"] == small.parameters
    assert small.measured["model_mb"] == pytest.approx(4 * small.parameters / 1e6, rel=0.02)
    assert 0 < small.measured["latency_ms"] < 60000
    failed = [one for one in events if isinstance(one, LaneFailed)]
    assert [(one.trial, one.fold) for one in failed] == [(1, 0), (1, 1)]
    assert {one.failure.kind for one in failed} == {FailureKind.INFEASIBLE}
    assert failed[0].failure.message == f"{large.parameters} parameters, at most 200; not trained"
    finished = [one for one in events if isinstance(one, LaneFinished)]
    assert sorted((one.trial, one.result.fold) for one in finished) == [(0, 0), (0, 1)]
    assert finished[0].parameters == small.parameters


def test_a_bundle_of_models_that_are_all_too_large_ends_at_once() -> None:
    text = STUDY.format(model='family = "mlp"', limits="parameters = 2", engine="fit")
    events = list(Worker(parse_spec(text)).train(lanes(8), frozenset))
    assert [type(one).__name__ for one in events] == [
        "BundleStarted", "ModelMeasured", "LaneFailed", "LaneFailed", "BundleFinished",
    ]  # fmt: skip
    assert set(events[1].measured) == {"parameters"}, "only what is limited is measured"


def test_a_model_that_is_built_when_it_is_called_is_measured_and_one_that_raises_fails(
    tmp_path: Path,
) -> None:
    (tmp_path / "lazy_models.py").write_text(OWN)
    model = 'build = "lazy_models:build"'
    spec = parse_spec(STUDY.format(model=model, limits="parameters = 100", engine="fit"), folder=tmp_path)
    events = list(Worker(spec).train(lanes(8, 13, 80), frozenset))
    found = {one.trial: one.parameters for one in events if isinstance(one, ModelMeasured)}
    assert found == {0: 4 * 8 + 8 + 3 * 8 + 3, 2: 4 * 80 + 80 + 3 * 80 + 3}
    failed = {one.trial: one.failure for one in events if isinstance(one, LaneFailed)}
    assert failed[1].kind is FailureKind.ERROR
    assert "13 is unlucky" in failed[1].message
    assert failed[2].kind is FailureKind.INFEASIBLE
    assert {one.trial for one in events if isinstance(one, LaneFinished)} == {0}


def test_the_same_model_is_trained_whether_it_was_measured_before_or_not() -> None:
    text = STUDY.format(model='family = "mlp"', limits="parameters = 20000, latency_ms = 60000", engine="fit")
    measured = list(Worker(parse_spec(text)).train(lanes(8), frozenset))
    bundle = Bundle(7, lanes(8).lanes)
    plain = list(Worker(parse_spec(text)).train(bundle, frozenset))
    curves = [[one.result.curves for one in events if isinstance(one, LaneFinished)] for events in (measured, plain)]
    assert curves[0] == curves[1]
