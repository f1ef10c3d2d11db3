"""Build functions of all kinds: seeds, loss and metrics by task, KerasTuner code unchanged, and every error."""

import pickle
import threading

import keras
import numpy as np
import pytest

from hpsearch.core.callbacks import EarlyStopping, LearningRateScheduler
from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.errors import ModelError, SpecError
from hpsearch.spec import make_space
from hpsearch.training.worker import Worker
from tests.models.conftest import SGD, make_problem

pytestmark = pytest.mark.slow

USER = '''
import keras
import keras_tuner
from keras import layers


def plain(config, data):
    return keras.Sequential([layers.Flatten(), layers.Dense(config["width"]), layers.Dense(10, activation="softmax")])


def build_model(hp):
    """KerasTuner's getting-started model."""
    model = keras.Sequential()
    model.add(layers.Flatten())
    for i in range(hp.Int("num_layers", 1, 3)):
        model.add(
            layers.Dense(
                units=hp.Int(f"units_{i}", min_value=32, max_value=512, step=32),
                activation=hp.Choice("activation", ["relu", "tanh"]),
            )
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class Scoped(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential()
        kind = hp.Choice("model_type", ["mlp", "cnn"])
        with hp.conditional_scope("model_type", ["mlp"]):
            if kind == "mlp":
                model.add(layers.Flatten())
                model.add(layers.Dense(hp.Int("dense", 16, 64, step=16)))
        with hp.conditional_scope("model_type", ["cnn"]):
            if kind == "cnn":
                model.add(layers.Reshape((8, 8, 1)))
                model.add(layers.Conv2D(hp.Int("filters", 8, 32, step=2, sampling="log"), 3))
                model.add(layers.Flatten())
                if hp.Boolean("extra"):
                    model.add(layers.Dense(hp.Choice("extra_units", [8, 16])))
        hp.Fixed("note", "kept")
        model.add(layers.Dense(10, activation="softmax"))
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)


class Timed(Scoped):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, epochs=hp.Int("epochs", 2, 5), verbose=2, **kwargs)


class TimedInside(Scoped):
    def fit(self, hp, model, *args, **kwargs):
        kwargs["epochs"] = hp.Int("epochs", 2, 5)
        kwargs["callbacks"] = list(kwargs["callbacks"])
        return model.fit(*args, **kwargs)


class Halting(Scoped):
    def fit(self, hp, model, *args, **kwargs):
        early = keras.callbacks.EarlyStopping(patience=hp.Int("patience", 1, 5))
        kwargs["callbacks"] = kwargs.get("callbacks", []) + [early]
        return model.fit(*args, **kwargs)


class Appending(Scoped):
    def fit(self, hp, model, *args, callbacks, **kwargs):
        callbacks.append(keras.callbacks.LearningRateScheduler(float))
        return model.fit(*args, callbacks=callbacks, **kwargs)


class Shuffled(Scoped):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


class Scaled(Scoped):
    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x / 255, y, **kwargs)


class OwnLoop(Scoped):
    def fit(self, hp, model, x, y, **kwargs):
        return model.train_on_batch(x, y)


class Renamed(Scoped):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("bs", [16, 32]), **kwargs)


class NeedsArguments(keras_tuner.HyperModel):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes


made = Scoped()

def unnamed(config, data):
    model = keras.Sequential([layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[keras.metrics.MeanIoU(10, sparse_y_pred=False)])
    return model


def twice(hp):
    if hp.Boolean("wide"):
        units = hp.Int("units", 100, 200)
    else:
        units = hp.Int("units", 1, 9)
    return keras.Sequential([layers.Flatten(), layers.Dense(units), layers.Dense(10)])
def forgets(config, data): keras.Sequential([layers.Dense(1)])
def text(config, data): return "model"
def broken(config, data): return keras.layers.Dense(config["missing"])
def small(config, data): return keras.Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")])
def wrong_shape(config, data): return keras.Sequential([layers.Conv2D(2, 3), layers.Dense(10)])
def none(): return None
def adamish(config, data): return plain({"width": 4}, data)
number = 3
base, frozen, optimizer = layers.Dense(8, name="base"), layers.Dense(8, trainable=False), keras.optimizers.Adam()
def on_base(config, data): return keras.Sequential([layers.Flatten(), base, layers.Dense(10, activation="softmax")])
def on_frozen(config, data): return keras.Sequential([layers.Flatten(), frozen, layers.Dense(10, activation="softmax")])
def one_optimizer(config, data):
    model = plain({"width": 4}, data)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model
'''


@pytest.fixture
def user(tmp_path):
    (tmp_path / "user_models_for_tests.py").write_text(USER)

    def _problem(name: str, **sections):
        return make_problem(tmp_path, model={"build": f"user_models_for_tests:{name}"}, **sections)

    return _problem


ONE_HOT = {"source": "sklearn:digits", "max_rows": 300, "labels": "one-hot"}


def test_same_seed_same_weights_whatever_was_built_before():
    problem = make_problem()
    part, config = problem.dataset.train, {"units": 8, **SGD}
    first = problem.build(config, part, seed=5).get_weights()
    other = problem.build(config, part, seed=6).get_weights()
    again = problem.build(config, part, seed=5).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def cleared_and_elsewhere(build):
    """Build after Keras has forgotten its session, and in a thread that it knows nothing of."""
    keras.utils.clear_session(free_memory=False)
    build()
    thread = threading.Thread(target=build)
    thread.start()
    thread.join()


def test_the_dtype_policy_of_the_users_module_holds_in_every_thread(user, monkeypatch):
    monkeypatch.setattr(keras.src.backend.common.global_state, "GLOBAL_STATE_TRACKER", threading.local())
    keras.config.set_dtype_policy("mixed_bfloat16")
    problem = user("plain")
    part, found = problem.dataset.train, []

    def build():
        found.append(problem.build({"width": 4}, part, seed=1).layers[-1].compute_dtype)

    build()
    cleared_and_elsewhere(build)
    assert found == ["bfloat16"] * 3


def test_a_plain_build_function_is_compiled_for_the_task(user):
    problem = user("plain")
    assert problem.discover_space() == {}
    model = problem.build({"width": 7, **SGD}, problem.dataset.train, seed=1)
    assert model.count_params() == 64 * 7 + 7 + 70 + 10
    assert isinstance(model.optimizer, keras.optimizers.SGD)


def test_getting_started_model_of_keras_tuner_runs_unchanged(user):
    problem = user("build_model", data=ONE_HOT)
    units = {"low": 32, "high": 512, "step": 32}
    assert problem.discover_space() == {
        "num_layers": Int(1, 3),
        "units_0": Int(**units),
        "activation": Choice(("relu", "tanh")),
        "dropout": Choice((False, True)),
        "lr": Float(1e-4, 1e-2, log=True),
        "units_1": Int(**units, when={"num_layers": (2, 3)}),
        "units_2": Int(**units, when={"num_layers": (3,)}),
    }
    config = {"num_layers": 2, "units_0": 64, "units_1": 96, "activation": "tanh", "dropout": True, "lr": 0.002}
    train, validation = problem.fold_parts(0)
    model = problem.build({**config, "batch_size": 32, "epochs": 1}, train, seed=1)
    dense = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert (dense, float(model.optimizer.learning_rate)) == ([64, 96, 10], pytest.approx(0.002))
    assert (
        "val_accuracy" in model.fit(train.x, train.y, validation_data=(validation.x, validation.y), verbose=0).history
    )


@pytest.mark.parametrize("name", ["Scoped", "made"])
def test_conditional_scopes_and_fit_of_a_hypermodel(user, name):
    assert user(name).discover_space() == {
        "model_type": Choice(("mlp", "cnn")),
        "dense": Int(16, 64, step=16, when={"model_type": ("mlp",)}),
        "filters": Choice((8, 16, 32), when={"model_type": ("cnn",)}),
        "note": Constant("kept"),
        "extra": Choice((False, True), when={"model_type": ("cnn",)}),
        "extra_units": Choice((8, 16), when={"extra": (True,), "model_type": ("cnn",)}),
        "batch_size": Choice((16, 32)),
    }


@pytest.mark.parametrize("name", ["Timed", "TimedInside"])
def test_fit_may_tune_epochs_beside_its_arguments_or_among_them(user, name):
    assert user(name).discover_space()["epochs"] == Int(2, 5)


def test_metrics_without_a_name_are_called_alike_whatever_was_built_before(user):
    keras.metrics.MeanIoU(2)
    problem = user("unnamed")
    assert "mean_io_u" not in problem.builder.names
    part, found = problem.dataset.train, []

    def build():
        model = problem.build({}, part, seed=1)
        found.append(
            ([layer.name for layer in model.layers], list(model.evaluate(part.x, part.y, verbose=0, return_dict=True)))
        )

    build()
    keras.metrics.MeanIoU(2)
    build()
    cleared_and_elsewhere(build)
    assert len(found) == 4
    assert all(one == found[0] for one in found)


def test_study_file_overrides_what_was_discovered(user):
    problem = user("build_model", data=ONE_HOT, space={"num_layers": [1, 2], "epochs": 3})
    space = make_space(problem.spec, problem.discover_space())
    assert space["num_layers"] == Choice((1, 2))
    assert "units_2" not in space  # three layers can no longer be drawn
    assert space["units_1"].when == {"num_layers": (2,)}
    for config in list(space.grid(2))[:3]:
        problem.build(config, problem.dataset.train, seed=1)
    wrong = user("build_model", data=ONE_HOT, space={"num_layer": 1})
    with pytest.raises(SpecError, match="num_layers"):
        make_space(wrong.spec, problem.discover_space())


def test_the_callbacks_of_a_hyper_models_fit_are_those_of_its_lanes(user):
    """With hyperparameters that only they use; made anew for each."""
    problem = user("Halting")
    space = make_space(problem.spec, problem.discover_space())
    assert space["patience"] == Int(1, 5)
    config = {**next(iter(space.grid(2))), "patience": 4}
    assert problem.callbacks(config).items == (EarlyStopping(patience=4),)
    assert problem.asked(config).part(config)["patience"] == 4
    [scheduler] = user("Appending").callbacks(config).items
    assert scheduler == LearningRateScheduler(float)
    assert user("Timed").callbacks(config).items == ()


@pytest.mark.parametrize(
    ("name", "code", "subject"),
    [
        ("Scaled", "changes-training", "x"),
        ("OwnLoop", "changes-training", "train_on_batch"),
        ("Renamed", "undeclared", "batch_size"),
        ("twice", "declared-twice", "units"),
    ],
)
def test_keras_tuner_code_that_cannot_be_followed(user, name, code, subject):
    with pytest.raises(ModelError) as caught:
        user(name).discover_space()
    assert caught.value.code == f"model.{code}"
    assert caught.value.values["name"] == subject
    assert subject in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "code", "values"),
    [
        ("forgets", {}, "not-a-model", {"found": "builtins.NoneType"}),
        ("text", {}, "not-a-model", {"found": "builtins.str"}),
        ("broken", {}, "build-failed", {"error": "KeyError", "step": "build"}),
        ("small", {}, "wrong-outputs", {"outputs": 3, "needed": 10}),
        ("wrong_shape", {}, "build-failed", {"error": "ValueError", "step": "the model, on the first row,"}),
        ("none", {}, "not-a-build-function", {"found": "a function of ()"}),
        ("number", {}, "not-a-build-function", {"found": "a int"}),
        ("NeedsArguments", {}, "needs-arguments", {}),
        ("adamish", {"optimizer": "Adam"}, "unknown-optimizer", {"optimizer": "Adam"}),
        ("build_model", {}, "wrong-loss", {"loss": "categoricalcrossentropy", "labels": "integer"}),
    ],
)
def test_errors_of_build_functions(user, name, data, code, values):
    problem = user(name)
    with pytest.raises(ModelError) as caught:
        problem.build({"width": 4, **data}, problem.dataset.train, seed=1)
    assert caught.value.code == f"model.{code}"
    assert caught.value.values.items() >= values.items()
    assert caught.value.hint


def test_an_error_of_the_build_function_says_where_and_with_which_values(user):
    problem = user("broken")
    with pytest.raises(ModelError) as caught:
        problem.build({"width": 4}, problem.dataset.train, seed=1)
    assert "build raised KeyError: 'missing' (" in caught.value.what
    assert "user_models_for_tests.py, line " in caught.value.what
    assert caught.value.values["config"] == {"width": 4}
    assert "width=4" in caught.value.hint
    assert pickle.loads(pickle.dumps(caught.value)).values == caught.value.values


@pytest.mark.parametrize(
    ("name", "code", "values"),
    [("on_base", "shared-layer", {"layer": "base"}), ("one_optimizer", "shared-optimizer", {})],
)
def test_models_that_would_learn_from_each_other_are_refused(user, name, code, values):
    with pytest.raises(ModelError) as caught:
        Worker(user(name).spec).rehearse({})
    assert caught.value.code == f"model.{code}"
    assert caught.value.values == {"address": f"user_models_for_tests:{name}", **values}


def test_what_keras_says_of_an_optimizers_settings_is_the_models_error(user):
    problem = user("plain")
    with pytest.raises(ModelError, match="momentum") as caught:
        problem.build({"width": 4, "optimizer": "sgd", "momentum": 1.5}, problem.dataset.train, seed=1)
    assert caught.value.code == "model.build-failed"
    assert (caught.value.values["step"], caught.value.values["error"]) == ("the optimizer", "ValueError")
    assert caught.value.values["config"]["momentum"] == 1.5


def test_models_may_share_a_frozen_layer(user):
    assert Worker(user("on_frozen").spec).rehearse({}).parameters == 64 * 8 + 8 + 8 * 10 + 10


def test_modules_that_cannot_be_imported(tmp_path):
    (tmp_path / "user_module_with_typo.py").write_text("import no_such_package_anywhere\n")
    for name, message in (
        ("user_module_with_typo:build", "importing user_module_with_typo failed: No module named 'no_such_package"),
        ("not_there_at_all:build", "there is no module 'not_there_at_all'"),
    ):
        with pytest.raises(ModelError) as caught:
            make_problem(tmp_path, model={"build": name}).builder  # noqa: B018
        assert message in caught.value.what
