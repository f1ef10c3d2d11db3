import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFailed, LaneStopped
from hpsearch.data.dataset import Part
from hpsearch.errors import ModelError
from hpsearch.training.engines.fit import FitEngine, release, train_whole
from hpsearch.training.engines.loop import order_of, train_epochs

from .conftest import MLP, make_problem, never, results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(mlp):
    return FitEngine(mlp)


def test_lane_depends_on_its_address_only(engine, mlp):
    config = {**MLP, "epochs": 1}
    lanes = [Lane(0, 0, config), Lane(1, 1, config)]
    together = results(engine, lanes)
    alone = results(engine, lanes[1:])
    assert together[1, 1].curves == alone[1, 1].curves
    assert together[0, 0].curves["loss"] != together[1, 1].curves["loss"]
    assert set(alone[1, 1].curves) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    # Rows that do not fill their batches: means must be over rows, not over batches.
    rows = len(mlp.folds[1].validation)
    assert rows % 32
    right = alone[1, 1].curves["val_accuracy"][0] * rows
    assert right == pytest.approx(round(right), abs=1e-3)


def test_epochs_are_told_as_they_go_and_a_stopped_trial_trains_no_further(engine):
    stop: set[int] = set()
    events = []
    for event in engine.train(Bundle(0, (Lane(0, 0, {**MLP, "epochs": 4}),)), lambda: frozenset(stop)):
        events.append(event)
        if isinstance(event, EpochFinished) and event.epoch == 1:
            stop.add(0)
    assert [type(e) for e in events] == [EpochFinished, EpochFinished, LaneStopped]
    assert events[-1].result.epochs == 2


def test_diverged_lane_names_value_and_epoch(engine):
    config = {**MLP, "optimizer": "sgd", "learning_rate": 1e30}
    events = list(engine.train(Bundle(0, (Lane(4, 1, config),)), never))
    failure = events[0].failure
    assert isinstance(events[0], LaneFailed)
    assert (failure.kind, failure.fold, failure.epoch) == ("diverged", 1, 1)
    assert failure.message in ("loss = nan in epoch 1", "loss = inf in epoch 1")
    assert len(events) == 1


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no such layer"), "error", "ValueError: no such layer"),
        (MemoryError("8 GB"), "out-of-memory", "MemoryError: 8 GB"),
        (RuntimeError("RESOURCE_EXHAUSTED: 8 GB"), "out-of-memory", "RuntimeError: RESOURCE_EXHAUSTED: 8 GB"),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"), "out-of-memory", "CUDA_ERROR_OUT_OF_MEMORY"),
        (RuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified"), "worker", "CUDA_ERROR_LAUNCH_FAILED"),
    ],
)
def test_what_the_code_raises_is_an_event(error, kind, message):
    def build(config, data):
        raise error

    problem = make_problem('build = "nowhere:build"', "epochs = 1", build)
    (event,) = FitEngine(problem).train(Bundle(0, (Lane(3, 0, {}),)), never)
    assert event.failure.kind == kind
    assert message in event.failure.message
    assert "in build" in event.failure.traceback


def test_refit_trains_on_all_rows_and_reports_divergence(mlp):
    rows, order = mlp.dataset.train, order_of(3)
    model, curves = train_whole(mlp, rows, {**MLP, "batch_size": 64}, epochs=2, weights=3, order=order)
    assert {name: len(values) for name, values in curves.items()} == {"loss": 2, "accuracy": 2}
    assert model.predict(mlp.dataset.train.x[:3], verbose=0).shape == (3, 10)
    diverging = {**MLP, "optimizer": "sgd", "learning_rate": 1e30}
    with pytest.raises(ModelError, match=r"loss = (nan|inf) in epoch 1") as caught:
        train_whole(mlp, rows, diverging, epochs=1, weights=3, order=order)
    assert (caught.value.code, caught.value.values) == ("model.refit-diverged", {"epoch": 1})


def test_orders_are_permutations_of_their_own():
    one, two = order_of(7, 0, 0)(50, 0), order_of(7, 0, 0)(50, 1)
    assert sorted(one) == list(range(50))
    assert not np.array_equal(one, two)
    assert list(order_of(7, 0, 0, shuffle=False)(5, 3)) == list(range(5))


@pytest.mark.parametrize("frequency", [None, 4])
def test_averaged_weights_come_in_at_the_very_end_as_in_one_fit(frequency):
    def compiled():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
        adam = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=frequency)
        model.compile(adam, loss="mse")
        return model

    x = np.random.default_rng(0).random((40, 4), np.float32)
    rows = Part(x, x.sum(axis=1))
    one, stepwise = compiled(), compiled()
    wanted = one.fit(
        rows.x, rows.y, batch_size=8, epochs=3, shuffle=False, validation_data=(rows.x, rows.y), verbose=0
    ).history
    raw = []
    epochs = train_epochs(
        stepwise, rows, validation=rows, config={"batch_size": 8}, epochs=3, order=lambda n, _: np.arange(n)
    )
    for epoch, metrics in enumerate(epochs):
        assert metrics == pytest.approx({name: values[epoch] for name, values in wanted.items()}, rel=1e-6)
        raw = stepwise.get_weights()
    for mine, theirs in zip(stepwise.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert not np.allclose(raw[0], stepwise.get_weights()[0])
    assert stepwise.evaluate(rows.x, rows.y, verbose=0) == pytest.approx(one.evaluate(rows.x, rows.y, verbose=0))


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="is what it starts")
def test_averaged_weights_on_tensorflow():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "as_in_one_fit"]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "2 passed" in done.stdout


def test_what_one_thread_releases_leaves_alone_what_another_builds():
    """Lanes that only fit can train are released while other lanes' models are built and traced."""

    def build(config, data):
        first = keras.layers.Dense(4)
        other = threading.Thread(target=release)
        other.start()
        other.join()
        return keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(), first, keras.layers.Dense(10)])

    problem = make_problem('build = "nowhere:build"', "epochs = 1", build)
    model = problem.build({}, problem.dataset.train, seed=1)
    assert len({layer.name for layer in model.layers}) == 3
