"""Standardized targets: a network learns what it would learn from targets that were standardized by hand, in both
engines, and all that is said of it is in the targets' own unit.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.core.events import Lane
from hpsearch.errors import ModelError, SpecError
from hpsearch.spec import parse_spec
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem
from hpsearch.training.rehearsal import rehearse
from tests.raising import raises

from .conftest import results

SOURCE = """
import numpy as np

def load(targets=1, low_weights=0):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype("float32")
    y = 250_000 + 80_000 * (x[:, :targets] + 0.3 * rng.normal(size=(90, targets)))
    y = y[:, 0] if targets == 1 else y * [1, 1e-5, 1e3][:targets]
    if not low_weights:
        return x, y
    weights = rng.gamma(1.0, size=90)
    weights[:low_weights] = 0.0
    return x, y, weights

def network(config, data):
    import keras
    width = 1 if data.y.ndim == 1 else data.y.shape[1]
    layers = [keras.Input(data.input_shape), keras.layers.Dense(8, "tanh"), keras.layers.Dense(width, name="said")]
    model = keras.Sequential(layers)
    if config.get("loss") in ("named", "listed"):
        model = keras.Model(model.inputs, model.outputs[0])
    if "loss" not in config:
        return model
    given = {
        "huber": keras.losses.Huber(0.5),
        "own": lambda y, p: keras.ops.mean(keras.ops.abs(y - p) ** 1.5, axis=-1),
        "named": {"said": "mae"},
        "listed": ["mse"],
        "none": None,
        "logarithms": "mean_squared_logarithmic_error",
        "poisson": keras.losses.Poisson(),
    }[config["loss"]]
    metrics = {"said": ["mae"]} if config["loss"] == "named" else [keras.metrics.MeanAbsoluteError(name="mae")]
    model.compile(keras.optimizers.SGD(config["learning_rate"]), given, metrics=metrics)
    return model

def subclassed(config, data):
    import keras
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.out = keras.layers.Dense(1)
        def call(self, x):
            return self.out(x)
    return Own()

def own_call(config, data):
    import keras
    class Own(keras.Model):
        def call(self, x, training=None, mask=None):
            return 3 * super().call(x, training=training, mask=mask)
    inputs = keras.Input(data.input_shape)
    return Own(inputs, keras.layers.Dense(1)(inputs))

def same_name(config, data):
    import keras
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Dense(1, name="amounts")])
    model.compile("sgd", "mse", run_eagerly=True, steps_per_execution=2)
    return model

def own_step(config, data):
    import keras
    class Own(keras.Model):
        def train_step(self, *arguments):
            return super().train_step(*arguments)
    inputs = keras.Input(data.input_shape)
    return Own(inputs, keras.layers.Dense(1)(inputs))

def two(config, data):
    import keras
    inputs = keras.Input(data.input_shape)
    model = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)])
    model.compile("sgd", ["mse", "mse"])
    return model
"""

STUDY = """
name = "standardized"
seed = 3
[data]
source = "{module}:load"
test_fraction = 0.0
options = {options}
{data}
[validation]
method = "kfold"
folds = 3
[model]
build = "{module}:{build}"
[space]
learning_rate = 0.05
epochs = 3
batch_size = 16
optimizer = "sgd"
{space}
[objective]
metric = "val_loss"
"""

CONFIG = {"learning_rate": 0.05, "epochs": 3, "batch_size": 16, "optimizer": "sgd"}
ON = "standardize_targets = true"


def problem_of(
    folder: Path, *, build: str = "network", data: str = ON, loss: str | None = None, **options: object
) -> Problem:
    (folder / "standard_source.py").write_text(SOURCE)
    given = "{ " + ", ".join(f"{name} = {value}" for name, value in options.items()) + " }"
    space = f'loss = "{loss}"' if loss else ""
    text = STUDY.format(module="standard_source", build=build, data=data, space=space, options=given)
    return Problem.load(parse_spec(text, folder=folder))


def curves(engine: Any, config: dict[str, Any], folds: int = 3) -> list[dict[str, tuple[float, ...]]]:
    found = results(engine, [Lane(0, fold, config) for fold in range(folds)])
    return [found[0, fold].curves for fold in range(folds)]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fit", "fused"])
@pytest.mark.parametrize("loss", [None, "huber", "own", "named", "listed"])
def test_a_network_learns_what_it_would_learn_from_targets_standardized_by_hand(
    engine: str, loss: str | None, tmp_path: Path
) -> None:
    problem = problem_of(tmp_path, loss=loss)
    config = CONFIG if loss is None else {**CONFIG, "loss": loss}
    found = curves(FitEngine(problem) if engine == "fit" else FusedEngine(problem, jobs_at_once=1), config)
    plain = problem_of(tmp_path, loss=loss, data="")
    for fold, mine in enumerate(found):
        part = plain.dataset.train
        of_training = part.y[plain.folds[fold].train].astype(np.float64)
        mean, deviation = of_training.mean(), of_training.std()
        by_hand = ((part.y - mean) / deviation).astype(np.float32)
        dataset = plain.dataset.with_test(replace(part, y=by_hand), None)
        wanted = results(FitEngine(replace(plain, dataset=dataset)), [Lane(0, fold, config)])[0, fold]
        for name, values in wanted.curves.items():
            scale = (
                1.0
                if name in ("loss", "val_loss")
                else deviation**2
                if name.removeprefix("val_") == "mse"
                else deviation
            )
            assert mine[name] == pytest.approx([one * scale for one in values], rel=1e-4), name


@pytest.mark.slow
def test_all_folds_share_a_program_and_weights_and_several_amounts_are_as_with_fit(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, targets=3, low_weights=10)
    engine = FusedEngine(problem, jobs_at_once=1)
    fused, fit = curves(engine, CONFIG), curves(FitEngine(problem), CONFIG)
    for one, other in zip(fused, fit, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert values == pytest.approx(other[name], rel=1e-4), name
    (recipe,) = {id(one) for one in engine.recipes._recipes._values.values()}
    assert recipe
    assert fused[0]["val_loss"][-1] < 1.5, "amounts of the size of 1e8 do not outweigh those of 1"


def test_the_baseline_of_the_loss_is_that_of_each_folds_own_moments(tmp_path: Path) -> None:
    problem = problem_of(tmp_path)
    found = {one.rule: one for one in rehearse(problem, CONFIG).baselines}
    y = problem.dataset.train.y.astype(np.float64)
    wanted = []
    for fold in problem.folds:
        train, validation = y[fold.train], y[fold.validation]
        wanted.append((((validation - train.mean()) / train.std()) ** 2).mean())
    assert found["the mean of the targets"].fold_scores == pytest.approx(wanted, rel=1e-4)


def test_rows_that_count_nothing_have_no_say_in_the_moments(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, low_weights=40)
    train, _ = problem.fold_parts(0)
    assert train.weights is not None
    model = problem.build(CONFIG, problem.to_train(train), seed=1)
    mean, variance, _ = model.get_layer("amounts").get_weights()
    counted = train.y[train.weights > 0].astype(np.float64)
    assert mean == pytest.approx(counted.mean(), rel=1e-6)
    assert variance == pytest.approx(counted.var(), rel=1e-5)


@pytest.mark.parametrize(
    ("build", "loss", "said"),
    [
        ("subclassed", None, "the model is of a class of its own, Own"),
        ("own_call", None, "the model is of a class of its own, Own"),
        ("own_step", None, "the model is of a class of its own, Own"),
        ("two", None, "the model has 2 outputs"),
        ("network", "none", "the model is compiled with no loss"),
        (
            "network",
            "logarithms",
            "the loss 'mean_squared_logarithmic_error' is not one of differences: of Keras' losses, these are "
            "mse, mae, huber and log_cosh",
        ),
        (
            "network",
            "poisson",
            "the loss 'poisson' is not one of differences: of Keras' losses, these are mse, mae, huber and log_cosh",
        ),
    ],
)
def test_a_model_that_cannot_get_a_last_layer_is_refused(
    build: str, loss: str | None, said: str, tmp_path: Path
) -> None:
    problem = problem_of(tmp_path, build=build, loss=loss)
    config = CONFIG if loss is None else {**CONFIG, "loss": loss}
    with pytest.raises(ModelError) as caught:
        problem.build(config, problem.dataset.train, seed=1)
    assert caught.value.code == "model.cannot-standardize"
    assert caught.value.what == (
        f"standard_source:{build}: standardize_targets adds a last layer and scales the loss, but {said}"
    )


def test_a_layer_of_the_same_name_and_other_arguments_of_compile_are_kept(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, build="same_name")
    model = problem.build(CONFIG, problem.dataset.train, seed=1)
    assert [layer.name for layer in model.layers][-2:] == ["amounts", "amounts_1"]
    assert model.output_names == ["amounts_1"]
    assert (model.run_eagerly, model.steps_per_execution) == (True, 2)


def test_classes_several_outputs_and_a_unit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot be combined with data\.unit: standardized targets need no unit"):
        problem_of(tmp_path, data=f"unit = 10\n{ON}")
    with raises("data.standardized-classes", key="data.standardize_targets") as caught:
        Problem.load(parse_spec(f'name = "c"\n[data]\nsource = "sklearn:iris"\n{ON}\n[model]\nfamily = "mlp"\n'
                                '[objective]\nmetric = "val_loss"\n'))  # fmt: skip
    assert "standardize_targets is for amounts, but the targets are classes" in str(caught.value)
