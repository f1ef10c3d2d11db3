"""Every lane starts as its own Keras model does, whatever the build function makes initial values of."""

from itertools import count

import keras
import numpy as np
import pytest

from hpsearch.core.events import Lane
from hpsearch.core.facts import Task
from hpsearch.core.folds import Fold
from hpsearch.core.seeds import derive
from hpsearch.data.dataset import Dataset, Part
from hpsearch.models.builder import ModelBuilder
from hpsearch.spec import parse_spec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.fused.initial import Prediction, Sample, UnpredictableError
from hpsearch.training.problem import Problem

from .conftest import MLP, results
from .fuzzing import STUDY
from .test_fused import assert_same

CONFIG = {"learning_rate": 0.01, "strength": 0.02, "silence": 0.0, "batch_size": 16, "epochs": 1}
OTHER = {**CONFIG, "strength": 0.05}


def problem_of(build, x=None):
    """Three folds. The first and the last have the same share of the second class, the one between another."""
    y = np.array([0, 0, 1] * 10 + [0] * 10)
    parts = [np.arange(0, 12), np.r_[12:15, 30:40], np.arange(15, 27)]
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype("float32") if x is None else x
    folds = tuple(Fold(n, np.setdiff1d(np.arange(40), part), part) for n, part in enumerate(parts))
    spec = parse_spec(STUDY.format(seed=3, batch_size=16, epochs=1))
    problem = Problem(spec, Dataset("made", Part(rows, y.astype(np.int32)), None, Task.BINARY, ("a", "b")), folds)
    problem.__dict__["builder"] = ModelBuilder("tests:build", build)
    return problem


def network(middle, optimizer=None, **last):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", **last)(middle(inputs)))
    model.compile(optimizer or keras.optimizers.SGD(0.01), "binary_crossentropy")
    return model


class Features(keras.layers.Layer):
    def __init__(self, initializer):
        super().__init__()
        self.initializer = initializer

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), initializer=self.initializer, trainable=False)

    def call(self, x):
        return keras.ops.cos(keras.ops.matmul(x, self.kernel))


def constant(value):
    return keras.initializers.Constant(float(value))


def prior(config, data):
    return network(lambda x: x, bias_initializer=constant(data.y.mean()))


def features(config, data):
    return network(Features(keras.initializers.RandomNormal()))


def power_iteration(config, data):
    return network(keras.layers.SpectralNormalization(keras.layers.Dense(3)))


def numpy_draw(config, data):
    return network(Features(constant(np.random.normal())))


def keras_draw(config, data):
    return network(lambda x: x, kernel_initializer=constant(keras.random.normal(())))


def adapted(config, data):
    layer = keras.layers.Normalization()
    layer.adapt(data.x)
    return network(layer)


def seed_of_rows(config, data):
    return network(lambda x: x, kernel_initializer=keras.initializers.GlorotUniform(seed=int(data.y.sum())))


def value(config, data):
    return network(lambda x: x, bias_initializer=constant(config["strength"]))


def value_and_rows(config, data):
    """Only a value between the two that the engine tries shows that it depends on the fold."""
    odd = data.y.mean() if 0.04 < config["strength"] < 0.06 else 0.0
    return network(lambda x: x, bias_initializer=constant(odd))


def rare_draw(config, data):
    return network(lambda x: x, bias_initializer=constant(np.random.rand() < 0.3))


def rate_of_rows(config, data):
    return network(lambda x: x, keras.optimizers.SGD(float(data.y.mean())))


BUILDS = [
    prior, features, power_iteration, numpy_draw, keras_draw, adapted, seed_of_rows, value, value_and_rows, rare_draw,
    rate_of_rows,
]  # fmt: skip


@pytest.mark.parametrize("build", BUILDS, ids=lambda one: one.__name__)
def test_every_lane_starts_as_its_own_model(build):
    problem = problem_of(build)
    engine = FusedEngine(problem)
    lanes = [Lane(trial, fold, config) for trial, config in enumerate((CONFIG, OTHER)) for fold in range(3)]
    for lane in lanes:
        [job] = engine.recipes.jobs([lane])
        parts = engine.recipes.parts(job)
        assert not parts.failed
        [(recipe, _)] = parts.programs
        start = recipe.start(lane)
        model = recipe.build(lane.config, lane.fold, seed=derive(3, "weights", lane.trial, lane.fold))
        for mine, wanted in (
            (start.trainable, model.trainable_variables),
            (start.non_trainable, model.non_trainable_variables),
        ):
            for one, other in zip(mine, wanted, strict=True):
                np.testing.assert_array_equal(one, other.value)
        rate = recipe.template.model.optimizer.variables.index(recipe.template.model.optimizer.learning_rate)
        assert float(start.optimizer[rate]) == float(model.optimizer.learning_rate)


@pytest.mark.slow
def test_the_fold_between_trains_with_its_own_prior_and_learning_rate():
    def build(config, data):
        return network(
            Features("random_normal"),
            keras.optimizers.SGD(float(data.y.mean())),
            bias_initializer=constant(data.y.mean()),
        )

    problem = problem_of(build)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine), engine.plan().reason
    lanes = [Lane(trial, 1, CONFIG) for trial in range(2)]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=1e-5)
    assert len(engine.programs) == 1


def test_what_families_predict_is_what_their_models_have(mlp):
    """A family's initial values come from seeds and rows. Reading them off a few models saves building one per lane."""
    config = {**MLP, "dropout": 0.1}
    engine = FusedEngine(mlp)
    assert mlp.is_predictable
    [job] = engine.recipes.jobs([Lane(0, 0, config)])
    [(recipe, _)] = engine.recipes.parts(job).programs
    built = count()
    build = recipe.build
    recipe.build = lambda *args, **kwargs: (next(built), build(*args, **kwargs))[1]
    for lane in [Lane(trial, fold, config) for trial in (4, 5) for fold in range(3)]:
        start = recipe.start(lane)
        model = build(config, lane.fold, seed=derive(mlp.spec.seed, "weights", lane.trial, lane.fold))
        for mine, wanted in zip(start.trainable, model.trainable_variables, strict=True):
            np.testing.assert_array_equal(mine, wanted.value)
        for mine, wanted in zip(start.non_trainable, model.non_trainable_variables, strict=True):
            np.testing.assert_array_equal(mine, wanted.value)
    assert next(built) == 0
    silent = Lane(6, 1, {**config, "dropout": 0.0})
    assert next(built) < len(recipe.start(silent).trainable) + 2


def test_a_value_that_only_the_fold_between_has_is_not_predicted():
    problem = problem_of(prior)
    models = [
        problem.build(CONFIG, problem.dataset.train.take(fold.train), seed=1 + fold.index) for fold in problem.folds
    ]
    samples = [Sample(model, number, 1 + number) for number, model in enumerate(models)]
    with pytest.raises(UnpredictableError, match="bias"):
        Prediction(samples)
    Prediction([samples[0], samples[2]])


FLIPS = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)])


def augmented(config, data):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization()(FLIPS(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(x)))
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return model


@pytest.mark.slow
def test_shared_augmentation_and_one_channel_are_fused_and_lanes_keep_to_their_own_seeds():
    images = np.random.default_rng(0).random((40, 4, 4, 1)).astype("float32")
    problem = problem_of(augmented, images)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine), engine.plan().reason
    lanes = [Lane(trial, fold, {**CONFIG, "epochs": 2}) for trial in range(2) for fold in (0, 1)]
    forward, backward = results(FitEngine(problem), lanes), results(FitEngine(problem), lanes[::-1])
    fused = results(engine, lanes)
    for lane in fused:
        assert forward[lane].curves == backward[lane].curves, "the order of lanes decides"
        assert_same(fused[lane].curves, forward[lane].curves, tolerance=1e-5)
    rules = problem.spec.pruning.model_copy(update={"method": "median"})
    taking_turns = Problem(problem.spec.model_copy(update={"pruning": rules}), problem.dataset, problem.folds)
    taking_turns.__dict__["builder"] = problem.builder
    for lane, one in results(FitEngine(taking_turns), lanes).items():
        assert one.curves == forward[lane].curves
