"""What families can have besides their documented space: built, saved, and refused where it cannot be."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.core.meanings import documented, meaning_of
from hpsearch.core.optimizers import ANY_OPTIMIZER, OPTIMIZERS, USUAL_RATES
from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError
from hpsearch.models.training import make_optimizer
from hpsearch.spec.families import FAMILIES, may_have
from tests.models.conftest import SGD, builder_of, make_problem
from tests.models.test_inputs import RELOAD
from tests.raising import raises

pytestmark = pytest.mark.slow

EVERYTHING = {
    "flip": "horizontal",
    "rotation": 0.1,
    "translation": 0.1,
    "zoom": 0.1,
    "contrast": 0.2,
    "residual": True,
    "l1": 0.0001,
    "l2": 0.001,
    "schedule": "cosine",
    "warmup": 0.1,
    "use_ema": True,
    "filters": 4,
    "dense_units": 8,
    "epochs": 2,
    **SGD,
}


def rate_at(config, step, rows=100):
    optimizer = make_optimizer({**SGD, **config}, rows)
    optimizer.build([keras.Variable(1.0)])
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


def test_a_schedule_takes_the_epochs_of_the_config_in_steps_of_the_rows():
    """100 rows in batches of 30 are 4 steps; 10 epochs of them are 40."""
    config = {"learning_rate": 0.4, "batch_size": 30, "epochs": 10}
    assert rate_at({**config, "schedule": "linear"}, 0) == pytest.approx(0.4)
    assert rate_at({**config, "schedule": "linear"}, 10) == pytest.approx(0.3)
    assert rate_at({**config, "schedule": "linear", "decay_to": 0.5}, 40) == pytest.approx(0.2)
    assert rate_at({**config, "schedule": "linear"}, 10, rows=200) == pytest.approx(0.4 * (1 - 10 / 70))
    assert rate_at({**config, "schedule": "cosine"}, 20) == pytest.approx(0.2)
    assert rate_at({**config, "schedule": "exponential"}, 40) == pytest.approx(0.004)
    assert rate_at({**config, "schedule": "exponential", "decay_to": 0.25}, 20) == pytest.approx(0.2)
    warm = {**config, "schedule": "cosine", "warmup": 0.2}
    assert [rate_at(warm, step) for step in (0, 4, 8, 24, 40)] == pytest.approx([0, 0.2, 0.4, 0.2, 0], abs=1e-7)
    steady = {**config, "warmup": 0.5}
    assert [rate_at(steady, step) for step in (0, 10, 20, 39)] == pytest.approx([0, 0.2, 0.4, 0.4])
    own = {**config, "schedule": "linear", "optimizer": "adam", "learning_rate_adam": 0.002}
    assert rate_at(own, 20) == pytest.approx(0.001)
    by_default = {"optimizer": "adam", "schedule": "linear", "epochs": 1}
    assert float(make_optimizer(by_default).learning_rate) == pytest.approx(0.001)


def test_without_a_schedule_the_rate_is_the_variable_that_it_was():
    for config in (SGD, {**SGD, "schedule": "constant"}):
        assert isinstance(make_optimizer(config)._learning_rate, keras.Variable)


@pytest.mark.parametrize(
    ("config", "code", "text"),
    [
        ({"schedule": "cosin"}, "unknown-schedule", "schedule = 'cosin' is not known (did you mean 'cosine'?)"),
        ({"schedule": "linear", "warmup": 0.1}, "no-warmup", "only those for constant, cosine have a warm-up"),
        ({"schedule": "exponential", "decay_to": 0.0}, "decays-to-nothing", "which never reaches 0"),
    ],
)
def test_schedules_that_cannot_be(config, code, text):
    with raises(f"model.{code}") as caught:
        make_optimizer(config)
    assert text in str(caught.value)


def test_weight_decay_of_0_is_none_also_with_optimizers_that_decay_by_default():
    for name in OPTIMIZERS:
        assert not make_optimizer({"optimizer": name, "weight_decay": 0.0}).weight_decay
    assert make_optimizer({"optimizer": "adamw"}).weight_decay == 0.004


def test_averages_are_over_the_last_tenth_of_each_epoch_unless_the_config_says():
    def found(rows, **config):
        made = make_optimizer({"use_ema": True, "batch_size": 10, **config}, rows)
        return made.use_ema, made.ema_overwrite_frequency, pytest.approx(made.ema_momentum)

    assert found(400) == (True, 40, 0.75)
    assert found(50) == (True, 5, 0.0)
    assert found(100_000) == (True, 10_000, 0.99)
    assert found(400, gradient_accumulation_steps=2) == (True, 20, 0.5)
    assert found(400, ema_momentum=0.9, ema_overwrite_frequency=7) == (True, 7, 0.9)
    assert make_optimizer({"use_ema": False}).ema_overwrite_frequency is None


def test_every_optimizer_of_keras_and_every_argument_is_known():
    classes = {name.lower() for name in dir(keras.optimizers) if isinstance(getattr(keras.optimizers, name), type)}
    assert classes - set(OPTIMIZERS) == {"optimizer", "lossscaleoptimizer", "multioptimizer", "optimizermap"} & classes
    assert set(USUAL_RATES) == set(OPTIMIZERS)
    for name, own in OPTIMIZERS.items():
        known = {one: -0.5 if one in ("learning_rate_power", "beta_2_decay") else 0.5 for one in own}
        known |= {"use_ema": True, "ema_overwrite_frequency": 3, "ns_steps": 5}
        known |= {"gradient_accumulation_steps": 2, "learning_rate": 0.1}
        config = make_optimizer({"optimizer": name, **known}).get_config()
        for one in (*own, *ANY_OPTIMIZER):
            if one in known:
                assert config[one] == pytest.approx(known[one]), (name, one)
    assert make_optimizer({"gradient_accumulation_steps": 1}).gradient_accumulation_steps is None


def test_every_hyperparameter_has_a_meaning():
    for family in ("mlp", "cnn"):
        names = [*FAMILIES[family].space, *may_have(FAMILIES[family])]
        assert all(meaning_of(name) for name in names), [name for name in names if not meaning_of(name)]
    assert meaning_of("units_2") == "units of layer 2"
    assert meaning_of("bogus") == ""
    assert "units_2" not in documented()


def build(family="cnn", **config):
    problem = make_problem(model={"family": family})
    data = problem.training_data(problem.dataset.train)
    return builder_of(family).build({**EVERYTHING, **config}, data, seed=1), data


def test_changes_of_images_are_drawn_in_training_only():
    model, data = build()
    model.jit_compile = False
    few = data.x[:50]
    inside = keras.Model(model.inputs, model.get_layer("contrast").output)
    plain = inside.predict(few, verbose=0)
    np.testing.assert_array_equal(plain[..., 0], few)
    drawn = [np.asarray(inside(few, training=True)) for _ in range(2)]
    assert not np.allclose(drawn[0], drawn[1])
    assert drawn[0].min() >= 0
    assert drawn[0].max() <= 16.001  # the top of these pixels
    changed = [not np.allclose(one, row) for one, row in zip(drawn[0], plain, strict=True)]
    assert all(changed)


def test_contrast_is_less_as_often_as_more_and_keeps_values_that_are_no_pixels():
    x = np.random.default_rng(0).normal(size=(400, 6, 6)).astype(np.float32) - 3.0
    data = TrainingData(x, np.arange(400) % 2, Task.BINARY, classes=("a", "b"))
    model = builder_of("cnn").build({"contrast": 0.5, "filters": 2, "dense_units": 2, **SGD}, data, seed=1)
    inside = keras.Model(model.inputs, model.get_layer("contrast").output)
    drawn = np.asarray(inside(x, training=True))[..., 0]
    spread = drawn.std(axis=(1, 2)) / x.std(axis=(1, 2))
    assert 0.5 <= spread.min() < 0.6
    assert 1.4 < spread.max() <= 1.501
    np.testing.assert_allclose(drawn.mean(axis=(1, 2)), x.mean(axis=(1, 2)), atol=1e-4)


def test_residual_blocks():
    model, _ = build("mlp", layers=3, units=8, units_3=4)
    names = [layer.name for layer in model.layers]
    assert [name for name in names if name.startswith(("add", "shortcut"))] == ["add_2", "shortcut_3", "add_3"]
    model, _ = build("cnn", convolutions=2, blocks=2)
    names = [layer.name for layer in model.layers]
    assert [name for name in names if name.startswith("shortcut")] == ["shortcut_1", "shortcut_2"]
    with pytest.raises(ModelError) as caught:
        build("cnn", padding="valid")
    assert caught.value.code == "model.residual-needs-same"


def test_penalties_are_on_every_kernel():
    for family in ("mlp", "cnn"):
        model, _ = build(family, layers=3, units=8, units_3=4)
        kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
        wanted = sum(0.0001 * np.abs(one).sum() + 0.001 * np.square(one).sum() for one in map(np.asarray, kernels))
        assert sum(float(one) for one in model.losses) == pytest.approx(wanted, rel=1e-5)


def test_texts_have_penalties_too(word_data):
    model = builder_of("mlp").build({"l2": 0.5, "layers": 1, "units": 4, **SGD}, word_data, seed=1)
    assert len(model.losses) == 2


@pytest.mark.parametrize(
    ("data", "text", "hint"),
    [
        ({"source": "sklearn:diabetes"}, "label_smoothing = 0.1, but the targets are amounts", "take label_smoothing"),
        ({"source": "sklearn:wine"}, "but the labels are class numbers", 'labels = "one-hot"'),
    ],
)
def test_labels_that_cannot_be_smoothed(data, text, hint):
    problem = make_problem(data=data)
    with raises("model.cannot-smooth") as caught:
        problem.build({"units": 8, "label_smoothing": 0.1, **SGD}, problem.dataset.train, seed=1)
    assert text in str(caught.value)
    assert hint in str(caught.value.hint)


def test_a_saved_model_needs_no_hpsearch(tmp_path):
    model, data = build()
    model.fit(data.x, data.y, epochs=1, verbose=0)
    model.save(tmp_path / "all.keras")
    np.savez(tmp_path / "all.npz", expected=model.predict(data.x[:20], verbose=0), rows=data.x[:20])
    for backend in ("jax", "tensorflow"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, "-c", RELOAD, "all"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip().endswith(f"same on {backend}")
