"""The fused engine against Keras ``fit`` and against itself.

Tolerances: float32 sums in another order differ by some 1e-7 per step; an update near a kink of ReLU or Adam can carry
that to 1e-4 within two epochs of such small networks. A wrong formula shows as 1e-2 and more.
"""

import re
import weakref
from dataclasses import replace

import jax
import numpy as np
import pytest

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.errors import ModelError
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.fused.program import Program
from hpsearch.training.engines.fused.training import Training

from .conftest import MLP, SPACE, make_problem, never, results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(mlp):
    engine = make_engine(mlp)
    assert isinstance(engine, FusedEngine)
    return engine


def assert_same(one, two, *, tolerance):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=tolerance, atol=tolerance, err_msg=name)


CNN = (
    'batch_size = 32\nepochs = 2\nfilters = 4\ndense_units = 8\noptimizer = "adam"\ndropout = { low = 0.0, high = 0.5 }'
)
SMALL_CNN = {
    **{name: MLP[name] for name in ("learning_rate", "batch_size", "epochs", "optimizer", "activation")},
    "blocks": 1,
    "convolutions": 1,
    "filters": 4,
    "kernel_size": 3,
    "dropout": 0.0,
    "dense_units": 8,
    "dense_dropout": 0.0,
    "batch_norm": True,
}


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("mlp", {**MLP, "learning_rate": 0.003}),
        ("mlp", {**MLP, "optimizer": "sgd", "batch_norm": True}),
        ("cnn", SMALL_CNN),
    ],
    ids=["adam", "sgd-momentum-batch-norm", "cnn-batch-norm"],
)
def test_equals_keras_fit_epoch_by_epoch(family, config, mlp, engine):
    """Folds of 193 and 194 rows, last batches of 1 and 2 rows, same initial weights and order, no dropout."""
    if family == "cnn":
        mlp = make_problem('family = "cnn"', CNN)
        engine = make_engine(mlp)
    lanes = [Lane(0, 2, config)] if family == "cnn" else [Lane(0, 0, config), Lane(0, 2, config)]
    fused, fit = results(engine, lanes), results(FitEngine(mlp), lanes)
    assert len({len(fold.train) for fold in mlp.folds}) == 2
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=5e-4)


def test_lane_in_a_bundle_of_many_equals_the_lane_alone(engine):
    """Learning rate, dropout, momentum and epochs differ from trial to trial, and none costs a program."""
    rates = np.linspace(0.001, 0.02, 14)
    configs = [
        {**MLP, "learning_rate": float(r), "dropout": 0.03 * i, "epochs": 1 + i % 4} for i, r in enumerate(rates)
    ]
    lanes = [Lane(number, fold, config) for number, config in enumerate(configs) for fold in range(3)][:40]
    together = results(engine, lanes)
    programs = len(engine.programs)
    for place in (0, 5, 22, 39):
        lane = lanes[place]
        alone = results(engine, [lane])[lane.trial, lane.fold]
        assert alone.epochs == lane.config["epochs"]
        assert_same(together[lane.trial, lane.fold].curves, alone.curves, tolerance=1e-5)
    assert len(engine.programs) == programs
    assert {"learning_rate", "dropout", "epochs", "momentum"} <= engine.dynamic


def test_lanes_of_several_signatures_share_a_bundle(engine):
    """Batch size and optimizer make programs of their own; every lane is still what it is alone."""
    configs = [MLP, {**MLP, "batch_size": 50}, {**MLP, "optimizer": "sgd"}]
    lanes = [Lane(number, 0, config) for number, config in enumerate(configs)]
    together = results(engine, lanes)
    for lane in lanes:
        assert_same(together[lane.trial, 0].curves, results(engine, [lane])[lane.trial, 0].curves, tolerance=1e-5)
    assert together[0, 0].curves["loss"] != together[1, 0].curves["loss"]
    assert "batch_size" not in engine.dynamic


def test_dropout_rate_is_an_input_and_zero_means_none(engine, mlp):
    strong, weak = {**MLP, "dropout": 0.5}, {**MLP, "dropout": 0.01}
    found = results(engine, [Lane(0, 0, strong), Lane(1, 0, weak)])
    assert found[0, 0].curves["loss"][-1] > found[1, 0].curves["loss"][-1] + 0.1


def test_stopped_trial_frees_its_place_and_diverged_lane_leaves_the_others_alone(engine):
    good = {**MLP, "optimizer": "sgd", "epochs": 4}
    alone = results(engine, [Lane(0, 0, good)])[0, 0]
    bundle = Bundle(
        0, (Lane(0, 0, good), Lane(1, 0, {**good, "learning_rate": 1e30}), *(Lane(2, f, good) for f in range(3)))
    )
    stop: set[int] = set()
    ends = {}
    for event in engine.train(bundle, lambda: frozenset(stop)):
        if isinstance(event, EpochFinished) and event.trial == 2:
            stop.add(2)
        if isinstance(event, LaneFinished | LaneFailed | LaneStopped):
            ends.setdefault(event.trial, []).append(event)
    assert isinstance(ends[0][0], LaneFinished)
    assert_same(ends[0][0].result.curves, alone.curves, tolerance=1e-5)
    failure = ends[1][0].failure
    assert (failure.kind, failure.epoch) == ("diverged", 1)
    assert failure.message.startswith("loss = ")
    assert [type(e) for e in ends[2]] == [LaneStopped] * 3
    assert {e.result.epochs for e in ends[2]} == {1}


def test_out_of_memory_halves_the_bundle_and_repeats_nothing(mlp, monkeypatch):
    engine = FusedEngine(mlp)
    engine.plan()
    lanes = [Lane(0, fold, {**MLP, "dropout": 0.2}) for fold in range(3)]
    expected = results(engine, lanes)
    run, calls, make, made = Program.run, [], Training.__init__, []

    def remember(self, *arguments, **named):
        assert not any(one() for one in made), "what ran out of memory still takes it"
        made.append(weakref.ref(self))
        make(self, *arguments, **named)

    monkeypatch.setattr(Training, "__init__", remember)

    def scarce(self, *arguments):
        calls.append(self.width)
        if self.width > 1 and len(calls) > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", scarce)
    found = results(engine, lanes)
    for lane in found:
        assert_same(found[lane].curves, expected[lane].curves, tolerance=1e-5)
    assert engine.take_notes() == ("out of memory with 3 lanes: trained in halves",)
    assert set(calls) == {3, 1}


def test_memory_that_ran_out_for_few_lanes_is_not_asked_for_again(mlp, monkeypatch):
    engine = FusedEngine(mlp)
    engine.plan()
    run, widths, refused = Program.run, [], [3]

    def scarce(self, *arguments):
        widths.append(self.width)
        if self.width in refused:
            refused.remove(self.width)
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", scarce)
    results(engine, [Lane(0, fold, {**MLP, "dropout": 0.2}) for fold in range(3)])
    refused.append(1)
    results(engine, [Lane(trial, fold, {**MLP, "dropout": 0.2}) for trial in (1, 2) for fold in range(3)])
    assert not refused
    assert widths[0] == 3
    assert set(widths[1:]) == {1}


def test_single_lane_out_of_memory_fails_with_the_reason(mlp, monkeypatch):
    engine = FusedEngine(mlp)
    engine.plan()
    widths = []

    def none_left(self, *arguments):
        widths.append(self.width)
        raise RuntimeError("RESOURCE_EXHAUSTED: 8 GB")

    monkeypatch.setattr(Program, "run", none_left)
    events = list(engine.train(Bundle(0, (Lane(6, 1, MLP),)), never))
    assert [(e.trial, e.failure.kind) for e in events] == [(6, "out-of-memory")]
    assert widths == [3, 1], "tried by itself before it is given up"


def test_single_lane_that_fits_only_by_itself_is_trained(mlp, monkeypatch):
    engine = FusedEngine(mlp)
    engine.plan()
    lane = Lane(6, 1, {**MLP, "dropout": 0.2})
    expected = results(engine, [lane])
    run = Program.run

    def scarce(self, *arguments):
        if self.width > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: 8 GB")
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", scarce)
    found = results(engine, [lane])
    assert_same(found[6, 1].curves, expected[6, 1].curves, tolerance=1e-5)
    assert engine.take_notes() == ()


def halves(config, data):
    """The rate is not the hyperparameter itself: it cannot be an input, and must cost a program instead."""
    import keras

    model = keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dropout(config["noise"] / 2),
            keras.layers.Dense(10, activation="softmax", kernel_regularizer=keras.regularizers.L2(config["l2"])),
        ]
    )
    optimizer = keras.optimizers.SGD(1e-4, clipnorm=config["clip"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_only_what_is_a_number_in_the_model_is_dynamic():
    space = "noise = { low = 0.1, high = 0.9 }\nl2 = { low = 0.0001, high = 0.1 }\nclip = { low = 0.1, high = 2.0 }"
    problem = make_problem('build = "nowhere:build"', space + "\nbatch_size = 50\nepochs = 1", halves)
    engine = make_engine(problem)
    config = {"noise": 0.4, "clip": 1.0, "batch_size": 50, "epochs": 1}
    lanes = [Lane(0, 0, {**config, "l2": 0.001}), Lane(1, 0, {**config, "l2": 0.1})]
    found = results(engine, lanes)
    assert engine.dynamic == {"l2", "noise"}  # half of it is read off each model; clipping reads 0 as "off"
    # The same weights and rows but for trial numbers: the penalty is the difference.
    assert found[1, 0].curves["val_loss"][0] > found[0, 0].curves["val_loss"][0] + 0.5


def coupled(config, data):
    """Rows act on each other through the batch's mean."""
    import keras

    inputs = keras.Input(data.input_shape)
    x = keras.layers.Flatten()(inputs)
    x = x - keras.ops.mean(x, axis=0, keepdims=True)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_model_that_cannot_be_fused_is_found_out_by_numbers():
    space = "batch_size = 50\nepochs = 1"
    problem = make_problem('build = "nowhere:build"', space, coupled)
    plan = make_engine(problem).plan()
    assert plan.engine == "fit"
    assert "the rows of a batch act on each other" in plan.reason
    resources = problem.spec.resources.model_copy(update={"engine": "fused"})
    strict = replace(problem, spec=problem.spec.model_copy(update={"resources": resources}))
    strict.__dict__["builder"] = problem.builder
    with pytest.raises(ModelError) as caught:
        make_engine(strict)
    assert caught.value.code == "model.cannot-train"
    assert caught.value.values["reason"] == plan.reason


def test_program_that_needs_too_much_memory_is_made_narrower(mlp, monkeypatch):
    """XLA tells what a compiled program needs; it is believed before memory runs out."""
    engine = FusedEngine(mlp)
    engine.plan()
    lanes = [Lane(0, fold, {**MLP, "dropout": 0.2}) for fold in range(3)]
    expected = results(engine, lanes)
    state = engine.recipes.first().lane_bytes
    cramped = FusedEngine(mlp, memory_bytes=9 * state)  # enough for the state of three lanes
    cramped.plan()
    run, widths = Program.run, []

    def watched(self, *arguments):
        widths.append(self.width)
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", watched)
    found = results(cramped, lanes)
    for lane in found:
        assert_same(found[lane].curves, expected[lane].curves, tolerance=1e-5)
    assert set(widths) == {1}
    [note] = cramped.take_notes()
    assert re.fullmatch(r"a step of 3 lanes needs [\d,]+ MB: at most 1 at once", note)


@pytest.mark.parametrize("place", ["cpu", "gpu"])
def test_a_bundle_for_a_larger_device_is_trained_in_parts_with_the_same_results(mlp, monkeypatch, place):
    """The first worker's memory decides how many trials a bundle has; another worker's device may have less."""
    monkeypatch.setattr(jax, "default_backend", lambda: place)
    lanes = [Lane(trial, fold, {**MLP, "dropout": 0.1 * (1 + trial)}) for trial in range(3) for fold in range(3)]
    large = FusedEngine(mlp)
    expected = results(large, lanes)
    small = FusedEngine(mlp, memory_bytes=12 * large.recipes.first().lane_bytes)
    run, widths = Program.run, []

    def watched(self, *arguments):
        widths.append(self.width)
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", watched)
    found = results(small, lanes)
    for lane in found:
        assert_same(found[lane].curves, expected[lane].curves, tolerance=1e-5)
    assert max(widths) <= 4
    assert "9 lanes trained 4 at a time: that is what the memory holds" in small.take_notes()
    assert small.plan().trials_per_bundle == 1


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_lanes_packed_as_for_a_gpu_train_as_on_a_cpu(family, monkeypatch):
    """All lanes of a signature in one wide program, XLA's own convolutions, the next programs compiled meanwhile."""
    config = {"mlp": MLP, "cnn": SMALL_CNN}[family]
    problem = make_problem(f'family = "{family}"', SPACE if family == "mlp" else CNN)
    lanes = [Lane(trial, fold, {**config, "dropout": 0.1 * (1 + trial)}) for trial in range(3) for fold in range(3)]
    lanes.append(Lane(3, 0, {**config, "batch_size": 48}))
    expected = results(make_engine(problem), lanes)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    engine = make_engine(problem)
    assert engine.plan().trials_per_bundle == 32
    run, widths = Program.run, set()

    def watched(self, *arguments):
        widths.add((self.batch, self.width))
        return run(self, *arguments)

    monkeypatch.setattr(Program, "run", watched)
    found = results(engine, lanes)
    assert widths == {(32, 12), (48, 3)}
    for lane in found:
        assert_same(found[lane].curves, expected[lane].curves, tolerance=5e-4)


def on_frozen_base(config, data):
    import keras

    if not BASE:
        BASE.append(keras.layers.Dense(8, activation="relu", trainable=False, name="pretrained"))
    layers = [keras.Input(data.input_shape), keras.layers.Flatten(), *BASE, keras.layers.Dense(10, "softmax")]
    return keras.Sequential(layers)


BASE: list[object] = []


def test_models_that_share_a_frozen_layer_are_trained_one_by_one():
    problem = make_problem('build = "nowhere:build"', "batch_size = 50\nepochs = 1", on_frozen_base)
    plan = make_engine(problem).plan()
    assert plan.engine == "fit"
    assert plan.reason == "its models share layers with each other, such as 'pretrained'"


def test_jobs_at_once_train_what_they_train_alone(mlp):
    lanes = [
        Lane(trial, fold, {**MLP, "units": units, "dropout": 0.2, "epochs": 2})
        for trial, units in enumerate((4, 6, 8))
        for fold in range(3)
    ]
    alone, together = FusedEngine(mlp, jobs_at_once=1), FusedEngine(mlp, jobs_at_once=3)
    expected, found = results(alone, lanes), results(together, lanes)
    assert found.keys() == expected.keys()
    assert {lane: one.curves for lane, one in found.items()} == {lane: one.curves for lane, one in expected.items()}
