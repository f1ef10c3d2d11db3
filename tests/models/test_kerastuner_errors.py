"""What KerasTuner's own errors do in a study, and its ready-made models."""

import sys
from pathlib import Path

import pytest

from hpsearch.core.facts import Task
from hpsearch.errors import ModelError
from hpsearch.study import load, run
from tests.models.conftest import make_problem
from tests.raising import raises

pytestmark = pytest.mark.slow

CODE = """
import keras
import keras_tuner
from keras_tuner.applications import HyperEfficientNet, HyperXception

xception = HyperXception(input_shape=(32, 32, 1), classes=10)
efficient = HyperEfficientNet(input_shape=(32, 32, 3), classes=10)


def failing(hp):
    return build(hp, keras_tuner.errors.FailedTrialError("too slow"))


def fatal(hp):
    return build(hp, keras_tuner.errors.FatalValueError("nothing works any more"))


def build(hp, error):
    if hp.Choice("units", [8, 16]) == 16:
        raise error
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "erring.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("erring", None)
    return tmp_path


def study(build: str) -> dict[str, object]:
    return {
        "name": build,
        "data": {"source": "sklearn:digits", "max_rows": 60},
        "validation": {"method": "holdout"},
        "model": {"build": f"erring:{build}"},
        "space": {"epochs": 1},
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
        "search": {"algorithm": "grid", "trials": 2},
        "resources": {"engine": "fit"},
    }


def test_a_failed_trial_fails_alone_and_a_fatal_error_ends_the_study(folder: Path) -> None:
    with raises("model.fatal", error="FatalValueError") as caught:
        run(study("fatal"), verbose=0)
    assert str(caught.value).startswith(
        "erring:fatal: build raised FatalValueError, which ends the study: nothing works any more"
    )
    assert "units=16" in str(caught.value.hint)
    assert load("fatal").champion is None
    done = run(study("failing"), verbose=0)
    assert [str(trial.state) for trial in done.trials] == ["complete", "failed"]
    assert "FailedTrialError: too slow" in done.trials[1].failure.message
    assert done.champion.config["units"] == 8


def test_ready_made_models(folder: Path) -> None:
    classes = "keras_tuner.applications:HyperXception"
    with raises("model.needs-arguments") as caught:
        make_problem(folder, model={"build": classes}).builder  # noqa: B018 - it is made when it is asked for
    assert "You must specify `classes`" in str(caught.value)
    assert 'build = "my_models:model"' in str(caught.value.hint)
    small = {"num_residual_blocks": 2, "sep_num_filters": 128, "pooling": "avg", "num_dense_layers": 1}
    problem = make_problem(folder, model={"build": "erring:xception"})
    assert problem.dataset.task is Task.MULTICLASS
    model = problem.builder.function(small, problem.training_data(problem.dataset.train))
    assert model.output_shape == (None, 10)


def test_weights_that_cannot_be_downloaded(folder: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on https://x/efficientnetb0_notop.h5: None -- no network")

    import keras

    monkeypatch.setattr(keras.src.applications.efficientnet.file_utils, "get_file", refuse)
    problem = make_problem(folder, model={"build": "erring:efficient"})
    with pytest.raises(ModelError) as caught:
        problem.build({}, problem.dataset.train, seed=1)
    assert "efficientnetb0_notop.h5" in str(caught.value)
    assert "~/.keras/models" in str(caught.value.hint)
