"""A dynamic hyperparameter must be a mere number: every lane is trained as Keras ``fit`` trains it.

Build functions let a hyperparameter act in all the places where users let it act. A wrong decision shows as a lane that
trained with another lane's value.
"""

import keras
import numpy as np
import pytest

from hpsearch.core.events import Bundle, Lane, LaneFailed, LaneFinished
from hpsearch.keras_internals.capabilities import capabilities
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.fused.program_digest import program_digest
from hpsearch.training.engines.fused.template import Template

from .conftest import make_problem, never, results
from .test_fused import assert_same

pytestmark = pytest.mark.slow

FIXED = {"batch_size": 64, "epochs": 1}


def network(data, middle=lambda x: x, optimizer=None, loss="sparse_categorical_crossentropy", **dense):
    inputs = keras.Input(data.input_shape)
    x = keras.layers.Flatten()(inputs) / 16.0
    x = middle(keras.layers.Dense(8, activation="tanh", **dense)(x))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", **dense)(x))
    model.compile(optimizer or keras.optimizers.SGD(0.5), loss=loss, metrics=["accuracy"])
    return model


def crossentropy(targets, predicted):
    return keras.losses.sparse_categorical_crossentropy(targets, predicted)


class Scaled(keras.Model):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.flatten, self.out = keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")

    def call(self, x):
        return self.out(self.flatten(x) / 16.0 * self.factor)


def in_a_layer(config, data):
    return network(data, keras.layers.LeakyReLU(negative_slope=config["a"]))


def in_statistics(config, data):
    return network(data, keras.layers.BatchNormalization(momentum=config["a"]))


def in_an_operation(config, data):
    return network(data, lambda x: x * config["a"])


def in_an_attribute(config, data):
    model = Scaled(config["a"])
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_a_loss(config, data):
    return network(data, loss=lambda y, p: config["a"] * crossentropy(y, p))


def in_a_constant(config, data):
    """A weight that nothing trains, with an initial value of its own."""
    layer = keras.layers.EinsumDense("ab,bc->ac", 8, kernel_initializer=keras.initializers.Constant(config["a"]))
    layer.trainable = False
    return network(data, layer)


def in_two_penalties(config, data):
    """Two of the same range."""
    inputs = keras.Input(data.input_shape)
    x = keras.layers.Flatten()(inputs) / 16.0
    x = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(config["a"]))(x)
    x = keras.layers.Dense(10, activation="softmax", kernel_regularizer=keras.regularizers.L2(config["b"]))(x)
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_half_a_rate(config, data):
    return network(data, optimizer=keras.optimizers.SGD(config["a"] / 2))


def in_a_limited_rate(config, data):
    return network(data, optimizer=keras.optimizers.SGD(min(config["a"], 0.5)))


def in_the_layers_there_are(config, data):
    penalty = keras.regularizers.L2(config["a"]) if config["a"] > 0.4 else None
    return network(data, kernel_regularizer=penalty)


A = "a = { low = 0.1, high = 1.0 }\n"


@pytest.mark.parametrize(
    ("build", "dynamic"),
    [
        (in_a_layer, set()),
        (in_statistics, set()),
        (in_an_operation, set()),
        (in_an_attribute, set()),
        (in_a_loss, set()),
        (in_a_constant, {"a"}),
        (in_two_penalties, {"a", "b"}),
        (in_half_a_rate, {"a"}),
        (in_a_limited_rate, {"a"}),
        (in_the_layers_there_are, set()),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_every_lane_has_its_own_value(build, dynamic):
    space = A + ("b = { low = 0.1, high = 1.0 }\n" if "b" in dynamic else "")
    problem = make_problem('build = "nowhere:build"', space + "batch_size = 64\nepochs = 1", build)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine), engine.plan().reason
    # A hyperparameter that is not dynamic has a program for every value: one will do.
    configs = [{**FIXED, "a": 0.15}, {**FIXED, "a": 0.95}] if dynamic else [{**FIXED, "a": 0.95}]
    if "b" in dynamic:
        configs = [{**one, "b": 1.1 - one["a"]} for one in configs]
    lanes = [Lane(0, 2, config) for config in configs]
    for lane in lanes:
        fused, fit = results(engine, [lane])[0, 2], results(FitEngine(problem), [lane])[0, 2]
        assert_same(fused.curves, fit.curves, tolerance=1e-5)
    assert engine.dynamic == dynamic
    assert not engine.take_notes()


def test_lanes_of_different_values_share_a_program_and_differ():
    """The same trial and fold, so the same weights and rows: what differs is the value."""
    problem = make_problem('build = "nowhere:build"', A + "batch_size = 64\nepochs = 1", in_half_a_rate)
    engine = make_engine(problem)
    low, high = (results(engine, [Lane(0, 2, {**FIXED, "a": a})])[0, 2].curves["loss"] for a in (0.15, 0.95))
    assert low != high
    assert len(engine.programs) == 1


def weighted_by_fold(config, data):
    """Class weights counted in the fold's training rows, which only the fold may know."""
    weights = keras.ops.convert_to_tensor(1.0 / np.bincount(data.y, minlength=10), "float32") * 100

    def loss(targets, predicted):
        labels = keras.ops.cast(keras.ops.reshape(targets, (-1,)), "int32")
        return keras.ops.take(weights, labels) * crossentropy(labels, predicted)

    return network(data, loss=loss)


def test_what_is_counted_in_a_folds_rows_stays_in_that_fold():
    problem = make_problem('build = "nowhere:build"', "batch_size = 64\nepochs = 1", weighted_by_fold)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lanes = [Lane(0, fold, FIXED) for fold in range(3)]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=1e-5)


def loses_a_layer(config, data):
    """Without dropout there is no such layer, as many write it."""
    return network(data, keras.layers.Dropout(config["a"]) if config["a"] else lambda x: x)


def test_a_config_whose_model_has_other_layers_gets_a_program_of_its_own():
    space = "a = { low = 0.0, high = 0.9 }\nbatch_size = 64\nepochs = 1"
    problem = make_problem('build = "nowhere:build"', space, loses_a_layer)
    engine = make_engine(problem)
    lanes = [Lane(0, 2, {**FIXED, "a": 0.0}), Lane(1, 2, {**FIXED, "a": 0.5})]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes[:1])
    assert_same(fused[0, 2].curves, fit[0, 2].curves, tolerance=1e-5)
    assert engine.dynamic == {"a"}
    assert len(engine.programs) == 2


def structure_of(shape, units=12):
    hidden = [keras.layers.Dense(units), keras.layers.Reshape(shape), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(4)])
    model.compile("sgd", loss="mse")
    x, y = np.zeros((2, 8), np.float32), np.zeros((2, 4), np.float32)
    return program_digest(Template(model, x, y), (), x, y).structure


def test_structures_are_alike_whatever_their_sizes_but_not_whatever_their_axes():
    assert structure_of((4, -1)) == structure_of((4, -1), units=24)
    assert structure_of((4, -1)) != structure_of((4, 1, -1))


def one_of_three(config, data):
    kind = config["kind"]
    if kind == "sum":
        return network(data, loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
    if kind == "ignoring":
        return network(data, loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=3))
    return network(data)


def test_every_structure_is_checked_not_only_the_first():
    space = 'kind = ["sum", "plain", "ignoring"]\nbatch_size = 64\nepochs = 1'
    problem = make_problem('build = "nowhere:build"', space, one_of_three)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lanes = [Lane(number, 2, {**FIXED, "kind": kind}) for number, kind in enumerate(("sum", "plain", "ignoring"))]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=1e-5)
    notes = engine.take_notes()
    assert len(notes) == 2
    assert all("is not the mean over its rows" in note for note in notes), notes


@pytest.mark.parametrize(
    "middle",
    [
        lambda x: keras.layers.BatchNormalization()(x),
        lambda x: keras.layers.GRU(3)(keras.layers.Reshape((4, 2))(x)),
    ],
    ids=["a bias that batch normalisation takes back", "a layer with a generator that it does not use"],
)
def test_what_is_exact_is_not_turned_away(middle):
    problem = make_problem('build = "nowhere:build"', "batch_size = 64\nepochs = 1", lambda c, d: network(d, middle))
    assert make_engine(problem).plan().engine == "fused"


def recurrent_and_coupled(config, data):
    def middle(x):
        x = keras.layers.GRU(3)(keras.layers.Reshape((4, 2))(x))
        return x - keras.ops.mean(x, axis=0, keepdims=True)

    return network(data, middle)


def behind_a_mask(config, data):
    """Batch normalisation of steps that an embedding marks as padding."""
    inputs = keras.Input(data.input_shape)
    x = keras.ops.cast(keras.layers.Flatten()(inputs)[:, 20:40], "int32")
    x = keras.layers.BatchNormalization()(keras.layers.Embedding(17, 4, mask_zero=True)(x))
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_padding_rows_stay_out_of_statistics_behind_a_mask():
    problem = make_problem('build = "nowhere:build"', "batch_size = 190\nepochs = 1", behind_a_mask)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lane = Lane(0, 2, {"batch_size": 190, "epochs": 1})
    assert_same(results(engine, [lane])[0, 2].curves, results(FitEngine(problem), [lane])[0, 2].curves, tolerance=1e-5)


def coupled_inside(config, data):
    """The operation that couples rows is in a model inside the model."""
    inner_inputs = keras.Input((12,))
    inner = keras.Model(inner_inputs, inner_inputs - keras.ops.mean(inner_inputs, axis=0, keepdims=True))
    return network(data, lambda x: inner(keras.layers.Dense(12)(x)))


def hardly_coupled(config, data):
    return network(data, lambda x: x + 1e-3 * keras.ops.mean(x, axis=0, keepdims=True))


class CoupledBackwards(keras.layers.Layer):
    """Adds what is 0, and whose gradient is not."""

    def call(self, x):
        mean = keras.ops.mean(x, axis=0, keepdims=True)
        return x + mean - keras.ops.stop_gradient(mean)


def coupled_backwards(config, data):
    return network(data, lambda x: CoupledBackwards()(keras.layers.Dense(12, name="before")(x)))


class Counting(keras.layers.Layer):
    """Adds up what it has seen, padding rows too."""

    def build(self, shape):
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False, name="total")

    def call(self, x, training=False):
        if training:
            self.total.assign_add(keras.ops.sum(x))
        return x


def counting(config, data):
    return network(data, lambda x: Counting(name="counting")(x))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (recurrent_and_coupled, "the rows of a batch act on each other in operation 'mean"),
        (coupled_inside, "the rows of a batch act on each other in operation 'mean"),
        (hardly_coupled, "the rows of a batch act on each other in operation 'mean"),
        (coupled_backwards, "the gradient of 'before/kernel' depends on the batch as a whole"),
        (counting, "the statistic 'counting/total' depends on the batch as a whole"),
    ],
)
def test_models_that_only_fit_can_train_say_why(build, reason):
    plan = make_engine(make_problem('build = "nowhere:build"', "batch_size = 64\nepochs = 1", build)).plan()
    assert plan.engine == "fit"
    assert reason in plan.reason, plan.reason


def scaled(config, data):
    return network(data, optimizer=keras.optimizers.SGD(0.1, momentum=0.9, loss_scale_factor=8.0))


def test_an_optimizer_that_scales_the_loss_trains_as_with_fit():
    problem = make_problem('build = "nowhere:build"', "batch_size = 64\nepochs = 1", scaled)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lane = Lane(0, 1, FIXED)
    assert_same(results(engine, [lane])[0, 1].curves, results(FitEngine(problem), [lane])[0, 1].curves, tolerance=1e-5)


def test_rows_in_their_own_order_train_as_with_fit():
    space = "shuffle = [true, false]\nbatch_size = 64\nepochs = 2"
    problem = make_problem('build = "nowhere:build"', space, plain)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lanes = [Lane(number, 1, {**FIXED, "shuffle": shuffle}) for number, shuffle in enumerate((True, False))]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=1e-5)
    assert fused[0, 1].curves["loss"] != fused[1, 1].curves["loss"]


def picky(config, data):
    if config["units"] == 12:
        raise ValueError("twelve is odd")
    return network(data, keras.layers.Dense(config["units"]))


def test_a_config_that_cannot_be_built_fails_alone():
    space = "units = [8, 12, 16]\nbatch_size = 64\nepochs = 1"
    engine = make_engine(make_problem('build = "nowhere:build"', space, picky))
    assert isinstance(engine, FusedEngine), "planned with another config than the one in the middle"
    lanes = tuple(Lane(number, 0, {**FIXED, "units": units}) for number, units in enumerate((8, 12)))
    ends = {e.trial: e for e in engine.train(Bundle(0, lanes), never) if isinstance(e, LaneFinished | LaneFailed)}
    assert isinstance(ends[0], LaneFinished)
    assert "twelve is odd" in ends[1].failure.message
    assert not engine.take_notes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_is_named_as_what_cannot_be_fused(dtype):
    policy = keras.config.dtype_policy()
    capabilities.cache_clear()  # the probe, too, runs under the user's policy
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        plan = make_engine(make_problem('build = "nowhere:build"', "batch_size = 64\nepochs = 1", plain)).plan()
    finally:
        keras.config.set_dtype_policy(policy)
    assert plan.engine == "fit"
    assert f"computes in {dtype}" in plan.reason
    assert capabilities().missing == {}


def plain(config, data):
    return network(data)
