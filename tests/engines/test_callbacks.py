"""Callbacks under folds: both engines against one ``model.fit`` of Keras with its own objects."""

import tomllib
from dataclasses import replace

import keras
import numpy as np
import pytest

from hpsearch.core.events import Bundle, Lane, LaneFailed
from hpsearch.core.seeds import derive
from hpsearch.core.trial import Trial, TrialState
from hpsearch.errors import ModelError
from hpsearch.search.refitting import to_refit
from hpsearch.spec import parse_spec
from hpsearch.training.champions import Contenders
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine, train_whole
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.loop import order_of
from hpsearch.training.problem import Problem
from hpsearch.training.rehearsal import rehearse

from .conftest import STUDY, never, results

SPACE = """
layers = 1
units = 12
batch_size = 32
epochs = 14
optimizer = "adam"
learning_rate = [0.02, 0.03]
dropout = 0.0
activation = "relu"
batch_norm = false
"""

CONFIG = {**tomllib.loads(SPACE), "learning_rate": 0.03, "shuffle": False}


def make_problem(callbacks, *, model='family = "mlp"', space=SPACE, folder="."):
    text = STUDY.format(data='source = "sklearn:digits"', model=model, space=f"shuffle = false\n{space}\n{callbacks}")
    return Problem.load(parse_spec(text, folder=folder))


def table(kind, **arguments):
    def toml(value):
        return str(value).lower() if isinstance(value, bool) else repr(value)

    return f'[[training.callbacks]]\nkind = "{kind}"\n' + "".join(f"{k} = {toml(v)}\n" for k, v in arguments.items())


def of_keras(problem, callbacks, *, fold, config=CONFIG, trial=0):
    """The curves of one ``model.fit`` with Keras' own objects, and the epoch whose weights the model has."""
    train, validation = problem.fold_parts(fold)
    model = problem.build(config, train, seed=derive(problem.spec.seed, "weights", trial, fold))
    made = [getattr(keras.callbacks, kind)(**arguments) for kind, arguments in callbacks]
    history = model.fit(
        train.x,
        train.y,
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        shuffle=False,
        validation_data=(validation.x, validation.y),
        verbose=0,
        callbacks=made,
    )
    left = model.evaluate(validation.x, validation.y, verbose=0, return_dict=True)
    return history.history, left


EARLY = ("EarlyStopping", {"patience": 1, "min_delta": 0.02})
CASES = {
    "patience": [EARLY],
    "restored": [("EarlyStopping", {"monitor": "val_accuracy", "patience": 2, "restore_best_weights": True})],
    "restored-to-the-end": [("EarlyStopping", {"patience": 99, "restore_best_weights": True})],
    "max": [("EarlyStopping", {"monitor": "val_accuracy", "patience": 1})],
    "training-loss": [("EarlyStopping", {"monitor": "loss", "min_delta": 0.1, "patience": 0})],
    "baseline": [("EarlyStopping", {"monitor": "val_loss", "baseline": 0.05, "patience": 4})],
    "late": [("EarlyStopping", {"min_delta": 0.05, "start_from_epoch": 5, "restore_best_weights": True})],
    "plateau": [("ReduceLROnPlateau", {"factor": 0.3, "patience": 1, "min_delta": 0.05, "min_lr": 0.002})],
    "cooldown": [("ReduceLROnPlateau", {"factor": 0.5, "patience": 1, "min_delta": 0.3, "cooldown": 2})],
    "both": [("ReduceLROnPlateau", {"factor": 0.2, "patience": 1, "min_delta": 0.05}), EARLY],
}


@pytest.mark.slow
@pytest.mark.parametrize("callbacks", CASES.values(), ids=CASES)
def test_both_engines_equal_one_fit_of_keras(callbacks):
    """Same epochs, curves, learning rates, and the validation values of the model as it is left."""
    problem = make_problem("".join(table(kind, **arguments) for kind, arguments in callbacks))
    lanes = [Lane(0, 0, CONFIG), Lane(0, 2, CONFIG)]
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    for trained in (results(engine, lanes), results(FitEngine(problem), lanes)):
        for fold in (0, 2):
            wanted, left = of_keras(problem, callbacks, fold=fold)
            found = trained[0, fold]
            assert found.curves.keys() == wanted.keys()
            for name, curve in wanted.items():
                assert len(found.curves[name]) == len(curve)
                np.testing.assert_allclose(found.curves[name], curve, rtol=2e-4, atol=1e-5, err_msg=name)
            assert found.stopped == (found.epochs < 14)
            for name, value in left.items():
                assert found.curve(f"val_{name}", 20)[-1] == pytest.approx(value, rel=1e-3, abs=1e-5)


def test_a_hyperparameter_of_a_callback_costs_no_program():
    """Lanes of one program end apart, and their learning rates differ."""
    space = SPACE.replace("epochs = 14", "epochs = 14\npatience = [1, 9]")
    problem = make_problem(
        table("EarlyStopping", monitor="val_accuracy", patience="space.patience")
        + table("ReduceLROnPlateau", monitor="val_accuracy", factor=0.5, patience="space.patience"),
        space=space,
    )
    engine = make_engine(problem)
    assert "patience" in engine.dynamic
    found = results(engine, [Lane(0, 0, {**CONFIG, "patience": 1}), Lane(1, 0, {**CONFIG, "patience": 9})])
    assert len(engine.programs) == 1
    assert found[0, 0].epochs < found[1, 0].epochs == 14
    assert found[0, 0].curves["learning_rate"][-1] < 0.03 == pytest.approx(found[1, 0].curves["learning_rate"][1])


MODULE = """
import keras
import numpy as np

def schedule(epoch, lr):
    return lr if epoch < 2 else lr * 0.5

def whole(epoch, lr):
    return 1

def failing(epoch, lr):
    if epoch:
        raise OverflowError("too late")
    return lr

class Told(keras.callbacks.Callback):
    \"""Writes down all that it is told, and ends the training in its fourth epoch.\"""

    told = []

    def on_train_begin(self, logs=None):
        self.told.append(("train_begin", dict(self.params)))

    def on_train_end(self, logs=None):
        self.told.append(("train_end", sorted(logs)))

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(("epoch_begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        assert self.model.predict(np.zeros((1, 8, 8)), verbose=0).shape == (1, 10)
        self.told.append(("epoch_end", epoch, sorted(logs)))
        logs["val_twice"] = 2 * logs.get("val_accuracy", 0.0)
        self.model.stop_training = epoch == 3

    def on_train_batch_begin(self, batch, logs=None):
        self.told.append(("batch", batch))

    def on_test_batch_end(self, batch, logs=None):
        self.told.append(("test_batch", batch))

def build(config, data):
    scale = keras.layers.Normalization()
    scale.adapt(data.x)
    layers = [scale, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8)), *layers])
    rate = 0.01
    if config.get("decays"):
        rate = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

CALLBACKS
"""

OWN = "shuffle = false\nepochs = 6\nbatch_size = 64"
CONFIG_OF_OWN = {"epochs": 6, "batch_size": 64, "shuffle": False}


@pytest.fixture
def own(tmp_path):
    """A problem whose build module has this ``callbacks``."""

    def made(callbacks, *, tables="", space=OWN):
        name = f"own_{abs(hash((callbacks, tables, space)))}"
        (tmp_path / f"{name}.py").write_text(MODULE.replace("CALLBACKS", callbacks))
        space = space.removeprefix("shuffle = false\n")
        return make_problem(
            tables.replace("own:", f"{name}:"), model=f'build = "{name}:build"', space=space, folder=tmp_path
        )

    return made


def told_by(problem):
    told = problem.callbacks(CONFIG_OF_OWN).own[0].told
    found, told[:] = [*told], []
    return found


@pytest.mark.slow
def test_callbacks_of_ones_own_see_one_training_with_fit(own):
    """What they are told in a fit per epoch is what one ``fit`` tells them."""
    problem = own("def callbacks(config):\n    return [Told()]")
    engine = make_engine(problem)
    assert isinstance(engine, FitEngine)
    assert "only fit calls the callback Told" in engine.plan().reason
    result = results(engine, [Lane(0, 1, CONFIG_OF_OWN)])[0, 1]
    told = told_by(problem)
    train, validation = problem.fold_parts(1)
    model = problem.build(CONFIG_OF_OWN, train, seed=derive(problem.spec.seed, "weights", 0, 1))
    history = model.fit(
        train.x, train.y, batch_size=64, epochs=6, shuffle=False, verbose=0, callbacks=list(problem.callbacks({}).own),
        validation_data=(validation.x, validation.y),
    ).history  # fmt: skip
    assert told == told_by(problem)
    assert [one for one in told if one[0].startswith("train")] == [
        ("train_begin", {"verbose": 0, "epochs": 6, "steps": 4}),
        ("train_end", ["accuracy", "loss", "val_accuracy", "val_loss"]),
    ]
    assert result.stopped
    assert result.epochs == 4
    assert result.curves.keys() == history.keys()
    np.testing.assert_allclose(result.curves["val_twice"], history["val_twice"], rtol=1e-4)


@pytest.mark.slow
def test_a_lane_with_a_callback_of_ones_own_trains_with_fit_beside_fused_ones(own):
    """Which callbacks a config has may depend on it."""
    code = (
        "def callbacks(config):\n    return [Told()] if config['own'] else [keras.callbacks.EarlyStopping(patience=1)]"
    )
    problem = own(code, space=OWN + "\nown = [false, true]")
    engine = FusedEngine(problem)
    configs = [{**CONFIG_OF_OWN, "own": one} for one in (False, True)]
    found = results(engine, [Lane(number, 0, config) for number, config in enumerate(configs)])
    assert "val_twice" in found[1, 0].curves
    assert "val_twice" not in found[0, 0].curves
    assert any("trained one by one: only fit calls the callback Told" in note for note in engine.take_notes())


@pytest.mark.slow
def test_a_schedule_of_a_study_file_sets_the_rate_in_both_engines_and_in_the_refit(own):
    problem = own("", tables=table("LearningRateScheduler", schedule="own:schedule"))
    wanted = [0.01, 0.01, 0.005, 0.0025, 0.00125, 0.000625]
    lane = Lane(0, 0, CONFIG_OF_OWN)
    fused, fit = (results(engine, [lane])[0, 0].curves for engine in (FusedEngine(problem), FitEngine(problem)))
    np.testing.assert_allclose(fused["learning_rate"], wanted, rtol=1e-6)
    for name in fit:
        np.testing.assert_allclose(fused[name], fit[name], rtol=2e-4, atol=1e-5)
    part = problem.dataset.train
    _, curves = train_whole(problem, part, CONFIG_OF_OWN, epochs=4, weights=1, order=order_of(1))
    np.testing.assert_allclose(curves["learning_rate"], wanted[:4], rtol=1e-6)


@pytest.mark.slow
def test_the_refit_replays_rates_that_were_lowered_on_validation_rows():
    problem = make_problem(table("EarlyStopping") + table("ReduceLROnPlateau"))
    part, rates = problem.dataset.train, (0.03, 0.01, 0.001)
    _, curves = train_whole(problem, part, CONFIG, epochs=5, weights=1, order=order_of(1), rates=rates)
    np.testing.assert_allclose(curves["learning_rate"], [0.03, 0.01, 0.001, 0.001, 0.001], rtol=1e-6)
    assert curves.keys() == {"loss", "accuracy", "learning_rate"}


@pytest.mark.slow
def test_a_champion_of_fold_models_trains_each_as_its_fold_was():
    """For its own epochs, with its own learning rates, which no validation rows lower this time."""
    plateau = table("ReduceLROnPlateau", factor=0.2, patience=1, min_delta=0.05)
    early = table("EarlyStopping", monitor="val_accuracy", patience=2, restore_best_weights=True)
    problem = make_problem(plateau + early)
    found = results(FitEngine(problem), [Lane(4, fold, CONFIG) for fold in range(3)])
    folds = tuple(found[4, fold] for fold in range(3))
    assert len({fold.kept for fold in folds}) > 1
    assert any(fold.curves["learning_rate"][-1] < 0.03 for fold in folds)
    order = to_refit(Trial(4, CONFIG, TrialState.COMPLETE, score=0.9, epoch=1, folds=folds))
    curves = Contenders(problem, (order,)).make("folds").curves
    epochs = min(fold.kept for fold in folds)
    for name in ("loss", "learning_rate"):
        wanted = np.mean([fold.curves[name][:epochs] for fold in folds], axis=0)
        np.testing.assert_allclose(curves[name], wanted, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("returned", "code", "text", "hint"),
    [
        ("Told()", "callbacks-no-list", "returned a Told, not a list of callbacks", "EarlyStopping(patience=3)"),
        ("None", "callbacks-no-list", "returned None (is a `return` missing?)", "return a list"),
        ("[Told]", "no-callback", "has the class Told", "make an object of the class: Told(…)"),
        ("[_legacy()]", "no-callback", "a tf_keras.src.callbacks.EarlyStopping", "tf_keras callbacks are not"),
        ("[keras.callbacks.EarlyStopping(patience=-1)]", "bad-callback",
         "patience of EarlyStopping must be a whole number of at least 0, but got -1", ""),
        ("[1 / 0]", "callbacks-failed", "raised ZeroDivisionError", "the configuration was"),
    ],
)  # fmt: skip
def test_what_callbacks_may_not_return(own, returned, code, text, hint):
    legacy = 'def _legacy():\n    return type("EarlyStopping", (), {"__module__": "tf_keras.src.callbacks"})()\n'
    problem = own(f"{legacy}def callbacks(config):\n    return {returned}")
    with pytest.raises(ModelError) as caught:
        problem.callbacks(CONFIG_OF_OWN)
    assert caught.value.code == f"model.{code}"
    assert text in caught.value.what
    assert hint in caught.value.hint


def test_each_fold_has_copies_of_what_is_in_a_list_of_callbacks(own):
    problem = own("callbacks = [Told()]")
    (one,), (other,) = problem.callbacks({}).items, problem.callbacks({}).items
    assert type(one) is type(other)
    assert one is not other
    with pytest.raises(ModelError, match="is a dict, not a list of callbacks, or a function that returns one"):
        own("callbacks = {1: Told()}").callbacks({})
    assert own("from keras import callbacks").callbacks({}).items == ()


def test_callbacks_that_write_files_are_left_out_and_said(own):
    found = own('def callbacks(config):\n    return [keras.callbacks.CSVLogger("a.csv")]').callbacks({})
    assert found.items == ()
    [said] = found.left_out
    assert "CSVLogger of own_" in said
    assert "MLflow has every curve" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("callbacks", "tables", "space", "code", "text", "hint"),
    [
        ("", table("EarlyStopping", monitor="val_acuracy"), "", "no-such-monitor",
         "EarlyStopping monitors 'val_acuracy', which is not recorded (did you mean 'val_accuracy'?)",
         "the curves are accuracy, loss, val_accuracy, val_loss"),
        ("", table("ReduceLROnPlateau"), "decays = true", "rate-has-schedule",
         "ReduceLROnPlateau sets the learning rate, but the optimizer has a CosineDecay for it", "use one of the two"),
        ("", table("LearningRateScheduler", schedule="own:schedule"), "decays = true", "rate-has-schedule",
         "LearningRateScheduler sets the learning rate, but the optimizer has a CosineDecay", ""),
        ("", table("LearningRateScheduler", schedule="own:shedule"), "", "no-such-name", "no 'shedule'", "schedule"),
        ("_one = Told()\ndef callbacks(config):\n    return [_one]", "", "", "shared-callback",
         "the callback Told is the same object in every call", "make it anew"),
        ("class Bad(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n"
         "        logs['val_loss']\ndef callbacks(config):\n    return [Bad()]", "", "", "callback-failed",
         "as it would in the refit: KeyError", 'logs.get("val_loss")'),
        ("", table("EarlyStopping", monitor="val_twice", scope="mean"), "", "no-such-monitor", "val_twice", ""),
    ],
)  # fmt: skip
def test_callbacks_that_cannot_work_are_refused_before_anything_is_written(
    own, callbacks, tables, space, code, text, hint
):
    problem = own(callbacks, tables=tables, space=f"{OWN}\n{space}")
    with pytest.raises(ModelError) as caught:
        rehearse(problem, {**CONFIG_OF_OWN, "decays": "decays" in space})
    assert caught.value.code == f"model.{code}"
    assert text in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.slow
def test_a_rehearsal_tells_what_callbacks_do_to_scores(own):
    code = "def callbacks(config):\n    return [Told(), keras.callbacks.TerminateOnNaN()]"
    told = rehearse(own(code, tables=table("EarlyStopping") + table("ReduceLROnPlateau")), CONFIG_OF_OWN)
    assert {"val_twice", "learning_rate"} <= {*told.metrics}
    assert any("ends each fold by its own validation rows" in one for one in told.doubts)
    assert any("their median" in one for one in told.doubts)
    assert any("TerminateOnNaN changes nothing" in one for one in told.doubts)
    together = rehearse(own("", tables=table("EarlyStopping", scope="mean")), CONFIG_OF_OWN)
    assert not any("own validation rows" in one for one in together.doubts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "text"),
    [("whole", "which is no float"), ("failing", "OverflowError: too late")],
)
def test_a_callback_that_fails_in_a_fold_fails_the_lane_with_the_reason(own, schedule, text):
    problem = own("", tables=table("LearningRateScheduler", schedule=f"own:{schedule}"))
    for engine in (FusedEngine(problem), FitEngine(problem)):
        events = list(engine.train(Bundle(0, (Lane(0, 0, CONFIG_OF_OWN),)), never))
        [failed] = [one for one in events if isinstance(one, LaneFailed)]
        if schedule == "failing" or isinstance(engine, FusedEngine):
            assert text in failed.failure.message
        else:
            assert "should be a float" in failed.failure.message  # in Keras' own words


@pytest.mark.slow
def test_an_engine_that_is_asked_for_names_the_callback_that_it_cannot_call(own):
    problem = own("def callbacks(config):\n    return [Told()]")
    resources = problem.spec.resources.model_copy(update={"engine": "fused"})
    problem = replace(problem, spec=problem.spec.model_copy(update={"resources": resources}))
    with pytest.raises(ModelError, match="only fit calls the callback Told") as caught:
        make_engine(problem)
    assert caught.value.hint == 'set [resources] engine = "auto"'
