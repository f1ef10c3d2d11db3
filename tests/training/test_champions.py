"""The kinds of champion: what they are made of, and that they come back from their files."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.events import Bundle, Lane, LaneFinished
from hpsearch.errors import ModelError, SpecError
from hpsearch.spec import ChampionSection, StudySpec, parse_spec
from hpsearch.training.champions import Contenders
from hpsearch.training.keeping import load_champion
from hpsearch.training.problem import Problem
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker
from tests.executors.test_processes import CONFIG, STUDY

BEST = ToRefit(3, CONFIG, 2)
OTHERS = (ToRefit(1, {**CONFIG, "units": 4}, 1), ToRefit(7, {**CONFIG, "optimizer": "sgd"}, 3))


def study(kind: str = "refit", *, compare: bool = False) -> StudySpec:
    text = STUDY.format(epochs=2).replace('source = "sklearn:iris"', 'source = "sklearn:iris"\ntest_fraction = 0.2')
    return parse_spec(f'{text}[champion]\nkind = "{kind}"\ncompare = {str(compare).lower()}\n')


def test_kinds_of_the_study_file() -> None:
    assert study().champion_kinds == ("refit",)
    assert study("top-3", compare=True).champion_kinds == ("top-3", "refit", "folds")
    assert study("folds", compare=True).champion_kinds == ("folds", "refit", "top-5")
    with pytest.raises(SpecError, match=r'champion.kind: must be "refit", "folds", or "top-2" to "top-20"'):
        study("top-1")
    of_one = STUDY.format(epochs=1).replace("folds = 2", 'method = "holdout"')
    said = re.escape("with validation.method = 'holdout' there is only one; use refit or top-5")
    with pytest.raises(SpecError, match=said):
        parse_spec(f'{of_one}[champion]\nkind = "folds"\n')
    assert parse_spec(f"{of_one}[champion]\ncompare = true\n").champion_kinds == ("refit", "top-5")


@pytest.mark.slow
def test_fold_models_are_those_of_the_search_and_their_mean_is_predicted(tmp_path: Path) -> None:
    worker = Worker(study("folds"))
    lanes = tuple(Lane(3, fold, {**CONFIG, "epochs": 2}) for fold in range(2))
    ended = [one for one in worker.train(Bundle(0, lanes), frozenset) if isinstance(one, LaneFinished)]
    made = Contenders(worker.problem, (BEST,)).make("folds")
    assert (made.trials, made.models) == ((3,), 2)
    for one in ended:
        _, part = worker.problem.fold_parts(one.result.fold)
        member = made.model.get_layer(f"fold_{one.result.fold}")
        right = member.predict(part.x, verbose=0).argmax(axis=1) == part.y
        assert right.mean() == pytest.approx(one.result.curves["val_accuracy"][-1])
        assert made.curves["loss"] != one.result.curves["loss"]
    np.testing.assert_allclose(
        made.curves["loss"], np.mean([one.result.curves["loss"] for one in ended], axis=0), rtol=1e-5
    )

    champion = worker.refit(RefitOrder((BEST, *OTHERS), tmp_path))
    assert (champion.kind, champion.models, champion.compared) == ("folds", 2, {})
    assert champion.made == "the mean of the 2 fold models of trial 3, trained for 2 epochs"
    x = worker.problem.dataset.test.x
    loaded = load_champion(champion.path, worker.spec, CONFIG)
    members = [made.model.get_layer(f"fold_{fold}").predict(x, verbose=0) for fold in range(2)]
    np.testing.assert_allclose(loaded.predict(x, verbose=0), np.mean(members, axis=0), atol=1e-6)
    assert {"loss", "accuracy"} < set(champion.test)  # and those of the task
    assert champion.parameters == 2 * Contenders(worker.problem, (BEST,)).make("refit").model.count_params()
    assert champion.mlflow_model


@pytest.mark.slow
def test_kinds_are_compared_and_each_is_what_it_is_alone(tmp_path: Path) -> None:
    order = RefitOrder((BEST, *OTHERS), tmp_path / "together")
    together = Worker(study("top-3", compare=True)).refit(order)
    assert together.trials == (3, 1, 7)
    assert "the mean of the 3 best trials (3, 1, 7), each refitted on all training rows" in together.made
    for kind in ("refit", "folds", "top-3"):
        alone = Worker(study(kind)).refit(RefitOrder((BEST, *OTHERS), tmp_path / kind))
        assert together.compared[kind] == pytest.approx(dict(alone.test), rel=1e-5), kind
    assert len({tuple(scores.values()) for scores in together.compared.values()}) == 3
    # Fewer complete trials than asked for.
    few = Worker(study("top-3")).refit(RefitOrder((BEST,), tmp_path / "few"))
    assert (few.models, few.test) == (1, pytest.approx(together.compared["refit"], rel=1e-5))


@pytest.mark.slow
def test_what_diverges_beside_the_champion_does_not_take_it_along(tmp_path: Path) -> None:
    diverging = ToRefit(1, {**CONFIG, "optimizer": "sgd", "learning_rate": 1e30}, 1)
    champion = Worker(study(compare=True)).refit(RefitOrder((BEST, diverging), tmp_path))
    assert champion.kind == "refit"
    assert champion.compared["top-5"] == {}
    assert champion.compared["folds"]


MODELS = """
import keras
from keras import layers

def one_half(y_true, y_pred):
    return keras.ops.mean(y_pred, axis=-1) / 2

def named_loss(config, data):
    inputs = {name: keras.Input((), name=name) for name in ("width", "height")}
    x = keras.ops.stack([inputs["width"], inputs["height"]], axis=-1)
    x = layers.ActivityRegularization(l2=0.1)(layers.Dense(3, activation="tanh", activity_regularizer="l2")(x))
    area = layers.Dense(1, name="area", kernel_regularizer="l2")(x)
    model = keras.Model(inputs, area)
    model.compile("adam", loss={"area": "mse"}, metrics={"area": ["mae", one_half]})
    return model

class Whole(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = layers.Dense(3), layers.Dense(1)
    def call(self, x):
        return self.last(self.first(keras.ops.stack([x["width"], x["height"]], axis=-1)))

class Measuring(Whole):
    def test_step(self, *given):
        return super().test_step(*given)

def subclassed(config, data):
    model = Whole()
    model.compile("adam", "mse", metrics=["mae"])
    return model

def measuring(config, data):
    model = Measuring()
    model.compile("adam", "mse", metrics=["mae"])
    return model

class Unsaved(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
    def call(self, x):
        return x * self.factor

def unsaved(config, data):
    inputs = {name: keras.Input((), name=name) for name in ("width", "height")}
    model = keras.Model(inputs, layers.Dense(1)(Unsaved(2.0)(keras.ops.stack(list(inputs.values()), axis=-1))))
    model.compile("adam", "mse", metrics=["mae"])
    return model
"""

AREAS = """
name = "areas"
[data]
source = "areas.csv"
target = "area"
test_fraction = 0.25
[validation]
folds = 2
[model]
build = "models_of_champions:{build}"
[objective]
metric = "val_mae"
direction = "minimize"
[resources]
engine = "fit"
[champion]
kind = "folds"
"""


@pytest.fixture
def problem_of(tmp_path: Path, monkeypatch):
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0, 2, size=(80, 2))
    rows = [f"{width:.4f},{height:.4f},{width * height:.4f}" for width, height in sizes]
    (tmp_path / "areas.csv").write_text("\n".join(["width,height,area", *rows]))
    (tmp_path / "models_of_champions.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(build: str) -> tuple[Worker, Problem]:
        spec = parse_spec(AREAS.format(build=build)).model_copy(update={"folder": str(tmp_path)})
        worker = Worker(spec)
        return worker, worker.problem

    return make


@pytest.mark.slow
@pytest.mark.parametrize("build", ["named_loss", "subclassed"])
def test_models_of_ones_own_are_averaged_and_come_back(problem_of, tmp_path: Path, build: str) -> None:
    worker, problem = problem_of(build)
    worker.rehearse({"batch_size": 16, "epochs": 1})
    champion = worker.refit(RefitOrder((ToRefit(0, {"batch_size": 16}, 3),), tmp_path / "study"))
    test = problem.dataset.test
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as Keras raises for optimizers of frozen models
        model = load_champion(champion.path, worker.spec, champion.config)
    predicted = model.predict(test.x, verbose=0)[:, 0]
    assert champion.test["mae"] == pytest.approx(np.abs(predicted - test.y).mean(), rel=1e-4)
    # Penalties are of training: the mean's loss is its mean squared error.
    assert champion.test["loss"] == pytest.approx(np.square(predicted - test.y).mean(), rel=1e-4)
    if build == "named_loss":
        assert champion.test["one_half"] == pytest.approx(predicted.mean() / 2, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("measuring", "the model has a test_step or compute_loss of its own, which a mean of models cannot have"),
        ("unsaved", "models_of_champions:unsaved: the saved model cannot be loaded: TypeError: Unsaved.__init__()"),
    ],
)
def test_models_that_cannot_be_averaged_are_refused_before_the_search(problem_of, build: str, said: str) -> None:
    worker, _ = problem_of(build)
    with pytest.raises(ModelError, match=r"the champion cannot be the mean of several models") as caught:
        worker.rehearse({"batch_size": 16, "epochs": 1})
    assert said in caught.value.what
    assert caught.value.code == "model.no-mean"
    assert 'kind = "refit"' in caught.value.hint


def test_sections_default_is_one_model() -> None:
    assert ChampionSection() == ChampionSection(kind="refit", compare=False)
