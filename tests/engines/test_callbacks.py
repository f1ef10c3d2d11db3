"""Callbacks under folds: both engines against one ``model.fit`` of Keras with its own objects."""

import keras
import numpy as np
import pytest

from hpsearch.core.events import Lane
from hpsearch.core.seeds import derive
from hpsearch.spec import parse_spec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem

from .conftest import results

STUDY = """
name = "callbacks"
seed = 7
[data]
source = "sklearn:digits"
max_rows = 290
test_fraction = 0.0
[validation]
method = "kfold"
folds = 3
[model]
{model}
[objective]
metric = "val_accuracy"
direction = "maximize"
[space]
shuffle = false
{space}
{callbacks}
"""

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

CONFIG = {
    "layers": 1,
    "units": 12,
    "batch_size": 32,
    "epochs": 14,
    "optimizer": "adam",
    "learning_rate": 0.03,
    "dropout": 0.0,
    "activation": "relu",
    "batch_norm": False,
    "shuffle": False,
}


def make_problem(callbacks, *, model='family = "mlp"', space=SPACE, folder="."):
    text = STUDY.format(model=model, space=space, callbacks=callbacks)
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
    "restored": [("EarlyStopping", {"patience": 2, "min_delta": 0.01, "restore_best_weights": True})],
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
