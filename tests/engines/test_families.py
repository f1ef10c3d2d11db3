"""What the families can have, in the fused engine and in Keras ``fit``: the same curves, and shared programs.

Tolerances are those of :mod:`tests.engines.test_fused`; here both engines agree to 5e-7 on the machine where this was
written. Augmentation layers draw the same in both, because their draws go by the place of a row in its batch.
"""

import numpy as np
import pytest

from hpsearch.core.events import Lane
from hpsearch.core.optimizers import OPTIMIZERS
from hpsearch.core.seeds import derive
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine, train_whole
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.engines.loop import order_of

from .conftest import MLP, make_problem, results

pytestmark = pytest.mark.slow

TRAINING = "batch_size = 32\nepochs = { low = 1, high = 4 }\nlearning_rate = { low = 0.0005, high = 0.1 }\n"
DENSE = f'units = 16\ndropout = 0.0\noptimizer = "adam"\n{TRAINING}'
IMAGES = f'filters = 4\ndense_units = 8\ndropout = 0.0\ndense_dropout = 0.0\noptimizer = "adam"\n{TRAINING}'
CNN = {
    **{name: MLP[name] for name in ("learning_rate", "batch_size", "epochs", "optimizer", "activation", "batch_norm")},
    **{"blocks": 1, "convolutions": 1, "filters": 4, "kernel_size": 3, "dense_units": 8},
    **{"dropout": 0.0, "dense_dropout": 0.0},
}


def compare(family, space, config, *, dynamic=(), folds=(0, 2), **data):
    """Train lanes with both engines; the fused one must take them, with `dynamic` as inputs of the program."""
    problem = make_problem(f'family = "{family}"', space, **data)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine), engine.plan().reason
    lanes = [Lane(0, fold, config) for fold in folds]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane, found in fused.items():
        for name, curve in found.curves.items():
            np.testing.assert_allclose(curve, fit[lane].curves[name], rtol=5e-4, atol=5e-4, err_msg=name)
    assert engine.take_notes() == ()
    assert set(dynamic) <= engine.dynamic
    return engine, fused


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.keys() - {"sgd", "adam", "rmsprop", "schedulefreeadamw"}))
def test_optimizers_train_as_in_keras(optimizer):
    space = DENSE.replace('"adam"', f'"{optimizer}"')
    _, found = compare("mlp", space, {**MLP, "optimizer": optimizer}, folds=(0,), dynamic=["learning_rate"])
    assert np.all(np.isfinite(found[0, 0].curves["loss"]))


def test_an_optimizer_that_copies_the_weights_is_trained_by_fit_and_says_so():
    engine = make_engine(make_problem('family = "mlp"', DENSE.replace('"adam"', '"schedulefreeadamw"')))
    plan = engine.plan()
    assert (plan.engine, plan.reason) == ("fit", "what ScheduleFreeAdamW keeps starts from the initial weights")


WARMUP = "warmup = { low = 0.0, high = 0.4 }\n"
DECAY = "decay_to = { low = 0.01, high = 0.4 }\n"


@pytest.mark.parametrize(
    ("own", "space"),
    [
        ({"schedule": "cosine"}, ""),
        ({"schedule": "cosine", "warmup": 0.3, "decay_to": 0.1}, WARMUP + DECAY),
        ({"schedule": "constant", "warmup": 0.3}, WARMUP),
        ({"schedule": "linear", "decay_to": 0.2}, DECAY),
        ({"schedule": "exponential"}, ""),
    ],
    ids=["cosine", "cosine-warmup", "constant-warmup", "linear", "exponential"],
)
def test_schedules_train_as_in_keras_and_are_inputs_of_the_program(own, space):
    space = f'{DENSE}schedule = "{own["schedule"]}"\n{space}'
    config = {**MLP, **own, "epochs": 3}
    engine, found = compare("mlp", space, config, dynamic={"epochs", "learning_rate", *own} - {"schedule"})
    programs = len(engine.programs)
    longer = {**config, "epochs": 4, "learning_rate": 0.02, **{name: 0.05 for name in own if name != "schedule"}}
    alone = results(engine, [Lane(1, 0, longer)])
    assert len(engine.programs) == programs
    assert alone[1, 0].curves["loss"][:3] != found[0, 0].curves["loss"]


def test_a_schedule_follows_the_steps_of_each_fold():
    """Folds of 193, 193 and 194 rows: an epoch has one batch of 193, or two."""
    space = DENSE.replace("batch_size = 32", "batch_size = 193") + 'schedule = "cosine"\nwarmup = 0.25\n'
    config = {**MLP, "batch_size": 193, "schedule": "cosine", "warmup": 0.25, "epochs": 4}
    engine, found = compare("mlp", space, config, folds=(0, 1, 2))
    assert len(engine.programs) == 1
    assert {len(fold.train) for fold in engine._problem.folds} == {193, 194}
    assert len(found) == 3


def test_averaged_weights_end_every_epoch_and_are_what_is_validated():
    """Folds of 193 and 194 rows: an epoch has one batch of 193, or two."""
    space = DENSE.replace("batch_size = 32", "batch_size = 193") + "use_ema = true\nema_momentum = 0.5\n"
    config = {**MLP, "batch_size": 193, "use_ema": True, "ema_momentum": 0.5}
    engine, found = compare("mlp", space, config, folds=(0, 1, 2))
    problem = engine._problem
    for fold in (0, 2):
        train, validation = problem.fold_parts(fold)
        seed = derive(problem.spec.seed, "weights", 0, fold)
        order = order_of(problem.spec.seed, 0, fold)
        model, _ = train_whole(problem, train, config, epochs=2, weights=seed, order=order)
        value = model.evaluate(validation.x, validation.y, verbose=0, return_dict=True)["loss"]
        assert found[0, fold].curves["val_loss"][-1] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("own", "space", "dynamic"),
    [
        ({"l2": 0.01}, "l2 = { low = 0.0, high = 0.1 }", ["l2"]),
        ({"l1": 0.001, "l2": 0.01}, "l1 = { low = 0.0, high = 0.1 }\nl2 = { low = 0.0, high = 0.1 }", ["l1", "l2"]),
        ({"residual": True, "layers": 3}, "residual = true\nlayers = 3", []),
        ({"residual": True, "layers": 3, "units_2": 8}, "residual = true\nlayers = 3\nunits_2 = 8", []),
        (
            {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
            "use_ema = true\nema_momentum = { low = 0.5, high = 0.99 }\nema_overwrite_frequency = 7",
            ["ema_momentum"],
        ),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps = 2", []),
    ],
    ids=["l2", "l1-l2", "residual", "residual-widths", "ema", "accumulation"],
)
def test_what_dense_models_can_have_is_trained_as_in_keras(own, space, dynamic):
    compare("mlp", DENSE + space, {**MLP, **own}, dynamic=dynamic, folds=(0,))


def test_a_penalty_of_0_shares_the_program_and_costs_nothing():
    engine, _ = compare("mlp", DENSE + "l2 = { low = 0.0, high = 0.1 }", {**MLP, "l2": 0.01}, folds=(0,))
    programs = len(engine.programs)
    without = results(engine, [Lane(0, 0, {**MLP, "l2": 0.0})])[0, 0]
    assert len(engine.programs) == programs
    plain = results(make_engine(make_problem('family = "mlp"', DENSE)), [Lane(0, 0, MLP)])[0, 0]
    for name, curve in plain.curves.items():
        np.testing.assert_allclose(curve, without.curves[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("own", "space", "dynamic"),
    [
        ({"flip": "horizontal_and_vertical"}, 'flip = "horizontal_and_vertical"', []),
        ({"rotation": 0.1}, "rotation = { low = 0.0, high = 0.2 }", ["rotation"]),
        (
            {"zoom": 0.2, "translation": 0.1, "fill_mode": "constant"},
            'zoom = { low = 0.0, high = 0.3 }\ntranslation = { low = 0.0, high = 0.2 }\nfill_mode = "constant"',
            ["zoom", "translation"],
        ),
        ({"contrast": 0.3}, "contrast = { low = 0.0, high = 0.5 }", ["contrast"]),
        (
            {"residual": True, "batch_norm": True, "convolutions": 2, "l2": 0.001},
            "residual = true\nbatch_norm = true\nconvolutions = 2\nl2 = { low = 0.0, high = 0.01 }",
            ["l2"],
        ),
    ],
    ids=["flip", "rotation", "zoom-translation", "contrast", "residual"],
)
def test_what_convolutional_models_can_have_is_trained_as_in_keras(own, space, dynamic):
    """The last batch has one real row of 32: padding changes no real row's draws."""
    compare("cnn", IMAGES + space, {**CNN, **own}, dynamic=dynamic, folds=(0,))


def test_lanes_draw_their_own_changes_of_images_whatever_else_is_in_the_bundle():
    space = f'{IMAGES}rotation = {{ low = 0.0, high = 0.3 }}\nflip = "horizontal"\n'
    engine = make_engine(make_problem('family = "cnn"', space))
    configs = [{**CNN, "flip": "horizontal", "rotation": rotation} for rotation in (0.05, 0.25, 0.05)]
    lanes = [Lane(trial, fold, config) for trial, config in enumerate(configs) for fold in (0, 1)]
    together = results(engine, lanes)
    assert len(engine.programs) == 1
    for lane in (lanes[1], lanes[2]):
        alone = results(engine, [lane])[lane.trial, lane.fold].curves
        for name, curve in together[lane.trial, lane.fold].curves.items():
            np.testing.assert_allclose(curve, alone[name], rtol=1e-5, atol=1e-5)
    assert together[0, 0].curves["loss"] != together[2, 0].curves["loss"]  # one config, two trials


@pytest.mark.parametrize(
    "data",
    ['source = "sklearn:breast_cancer"', 'source = "sklearn:digits"\nlabels = "one-hot"'],
    ids=["binary", "one-hot"],
)
def test_smoothed_labels_train_as_in_keras(data):
    config = {**MLP, "label_smoothing": 0.2}
    _, smooth = compare("mlp", f"{DENSE}label_smoothing = 0.2", config, folds=(0,), data=data)
    plain = results(make_engine(make_problem('family = "mlp"', DENSE, data=data)), [Lane(0, 0, MLP)])
    assert smooth[0, 0].curves["val_loss"][0] > plain[0, 0].curves["val_loss"][0] + 0.01
