"""Models with the user's own classes and functions: saved, loaded in another process, predicted with, exported."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.champion.predict import predict
from hpsearch.core.trial import Champion
from hpsearch.errors import ModelError, TrackingError
from hpsearch.models import saving
from hpsearch.models.serving import signature_names
from hpsearch.study import Study
from hpsearch.testing.factories import make_record
from hpsearch.training.mlflow_model import write_mlflow_model
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker
from tests.models.conftest import make_problem

pytestmark = pytest.mark.slow

LAYERS = """
import keras

class Neighbour(keras.layers.Layer):
    def call(self, x):
        return x + 1
"""

MODELS = """
import keras
import layers_for_saving_tests as neighbours
from keras import layers, ops


class Scale(layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="mine")
class Registered(Scale):
    pass


class Forgetful(Scale):
    def get_config(self):
        return layers.Layer.get_config(layers.Layer(name=self.name))


class Counted(layers.Layer):
    number = 0  # each object multiplies by another one, which no weight and no config has

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        Counted.number += 1
        self.factor = float(Counted.number)

    def call(self, x):
        return x * self.factor


class Subclassed(keras.Model):
    def __init__(self, outputs, inner=None):
        super().__init__()
        self.inner, self.flat = inner or layers.Dense(4), layers.Flatten()
        self.last, self.outputs_ = layers.Dense(outputs, activation="softmax"), outputs

    def call(self, x):
        return self.last(self.inner(self.flat(x)))


class Configured(Subclassed):
    def get_config(self):
        return {"outputs": self.outputs_}


class Peak(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(ops.max(y_pred))


def swish(x):
    return x * ops.sigmoid(x)


def loss(y_true, y_pred):
    return ops.mean(ops.square(y_pred), axis=-1)


def net(*more):
    return keras.Sequential([layers.Flatten(), *more, layers.Dense(10, activation="softmax")])


def scaled(config, data): return net(Scale(2.0))
def registered(config, data): return net(Registered(2.0))
def counted(config, data): return net(Counted())
def neighbour(config, data): return net(neighbours.Neighbour())
def configured(config, data): return Configured(10)
def activated(config, data): return net(layers.Dense(4, activation=swish))
def doubled(config, data): return net(layers.Lambda(lambda x: x * 2))
def forgetful(config, data): return net(Forgetful(2.0))
def subclassed(config, data): return Subclassed(10, layers.Dense(3))
def with_a_global(config, data): return net(layers.Lambda(lambda x: ops.abs(x)))
def stock(config, data): return net()


def measured(config, data):
    model = net()
    model.compile("sgd", loss, metrics=[Peak(name="peak"), loss])
    return model


def local(config, data):
    class Local(layers.Layer):
        def call(self, x):
            return x
    return net(Local())


def local_registered(config, data):
    @keras.saving.register_keras_serializable()
    class LocalRegistered(layers.Layer):
        def call(self, x):
            return x
    return net(LocalRegistered())


@keras.saving.register_keras_serializable()
class OfColumns(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.hidden, self.last = units, layers.Dense(units), layers.Dense(1)

    def call(self, x):
        columns = ops.concatenate([ops.expand_dims(x[name], -1) for name in sorted(x)], axis=1)
        return self.last(self.hidden(columns))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def of_subclass(config, data): return OfColumns(3)


def of_columns(config, data):
    inputs = {name: keras.Input((1,), name=name) for name in data.x}
    x = Registered(2.0)(Scale(3.0)(layers.Concatenate()(list(inputs.values()))))
    return keras.Model(inputs, layers.Dense(1)(x))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models_for_saving_tests.py").write_text(MODELS)
    (tmp_path / "layers_for_saving_tests.py").write_text(LAYERS)
    return tmp_path


def worker_of(folder: Path, name: str, **sections: object) -> Worker:
    return Worker(make_problem(folder, model={"build": f"models_for_saving_tests:{name}"}, **sections).spec)


@pytest.mark.parametrize(
    "name", ["scaled", "registered", "neighbour", "configured", "activated", "doubled", "measured"]
)
def test_a_rehearsal_saves_and_loads_what_is_the_users_own(folder, name, monkeypatch):
    loaded = []
    real = saving.load_model
    monkeypatch.setattr(saving, "load_model", lambda *args: loaded.append(real(*args)) or loaded[0])
    rehearsal = worker_of(folder, name).rehearse({})
    assert loaded[0].count_params() == rehearsal.parameters


def test_a_rehearsal_spends_no_time_on_saving_stock_models(folder, monkeypatch):
    monkeypatch.delattr(saving, "save_model")
    assert worker_of(folder, "stock").rehearse({}).parameters == 650
    with pytest.raises(NameError):
        worker_of(folder, "scaled").rehearse({})


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("subclassed", "cannot-save", "NotImplementedError: Object Subclassed was created by passing non-serial"),
        ("forgetful", "changed-by-saving", "models_for_saving_tests:forgetful: the model predicts something else"),
        ("local", "cannot-load", "TypeError: Could not locate class 'Local'."),
        ("local_registered", "defined-inside-function", "Custom>LocalRegistered"),
        (
            "with_a_global",
            "unusable-once-loaded",
            "NameError: Exception encountered when calling Lambda.call(). name 'ops'",
        ),
    ],
)
def test_what_keras_cannot_load_by_its_config_is_kept_as_weights(folder, name, code, message):
    worker = worker_of(folder, name)
    problem = worker.problem
    few = problem.dataset.train.take(np.arange(8))
    reason = saving.why_unloadable(problem.build({}, problem.dataset.train, seed=1), worker.spec, few.x)
    assert isinstance(reason, ModelError)
    assert reason.code == f"model.{code}"
    assert message in reason.what
    assert "\n" not in reason.what
    assert "register_keras_serializable()" in reason.hint
    assert "get_config" in reason.hint
    assert worker.rehearse({}).parameters > 0
    champion = refit(worker, folder / "study")
    assert (Path(champion.path).name, champion.mlflow_model) == ("champion.weights.h5", "")
    record = replace(make_record(), spec=worker.spec, champion=champion)
    model = Study(record, "sqlite:///ledger.db").best_model()
    with np.load(folder / "study" / "predictions.npz") as arrays:
        np.testing.assert_allclose(model.predict(problem.dataset.test.x, verbose=0), arrays["y_pred"], atol=1e-5)
    with pytest.raises(TrackingError) as caught:
        write_mlflow_model(problem, model, champion, folder / "mlflow")
    assert caught.value.code == "tracking.model-by-build-function"


def test_a_rehearsal_finds_out_what_would_not_come_back(folder):
    with pytest.raises(ModelError) as caught:
        worker_of(folder, "counted").rehearse({})
    assert caught.value.code == "model.changed-by-saving"


def refit(worker: Worker, folder: Path) -> Champion:
    return worker.refit(RefitOrder((ToRefit(trial=0, config={"epochs": 1}, epochs=1),), folder))


def test_a_champion_that_cannot_be_saved_is_the_models_error_and_leaves_no_file(folder):
    with pytest.raises(ModelError) as caught:
        refit(worker_of(folder, "counted"), folder / "study")
    assert caught.value.code == "model.changed-by-saving"
    assert list((folder / "study").iterdir()) == []


def test_a_class_that_has_left_the_build_module_is_named(folder):
    worker = worker_of(folder, "scaled")
    champion = refit(worker, folder / "study")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "later_models_for_saving_tests.py").write_text("def build(config, data): pass\n")
    spec = make_problem(elsewhere, model={"build": "later_models_for_saving_tests:build"}).spec
    with pytest.raises(ModelError) as caught:
        saving.load_model(champion.path, spec)
    assert caught.value.code == "model.cannot-load"
    assert caught.value.values["message"] == "Could not locate class 'Scale'."


SERVED = """
import json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import tensorflow as tf
from hpsearch.core.facts import Column, DataFacts
from hpsearch.core.trial import Champion
from hpsearch.models.saving import load_model
from hpsearch.models.serving import serving_model, write_saved_model
from hpsearch.spec import StudySpec
from hpsearch.training.worker import Worker

spec = StudySpec.model_validate({**json.loads(sys.argv[1]), "folder": sys.argv[2]})
facts = DataFacts.from_json(json.loads(sys.argv[5]))
champion = Champion.from_json(json.loads(sys.argv[3]))
folder = Path(sys.argv[4])
written = {one.file: one.remark for one in Worker(spec).export_model(champion, folder, facts)}
renamed = json.loads((folder / "input_names.json").read_text())
serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
rows = {renamed[name]: tf.constant(json.loads(sys.argv[6])) for name in ("größe", "body height", "class")}
models = sys.modules["models_for_saving_tests"]
plain = tuple(Column(name, "number") for name in ("a", "b"))
for number, (model, x, data) in enumerate([
    (models.Configured(2), tf.zeros((1, 4)), replace(facts, columns=(), input_shape=(4,))),
    (models.OfColumns(2), {"a": tf.zeros(1), "b": tf.zeros(1)}, replace(facts, columns=plain)),
]):
    wanted = model(x)
    model.save(f"{number}.keras")
    served, none = serving_model(load_model(f"{number}.keras", spec), data)
    assert none == {}
    write_saved_model(served, Path(str(number)))
    loaded = tf.saved_model.load(str(number))
    np.testing.assert_allclose(loaded.serve(x), wanted, rtol=1e-5)
served = np.concatenate(list(serve(**rows).values())).ravel().tolist()
print(json.dumps({"renamed": renamed, "written": written, "served": served}))
"""


@pytest.mark.parametrize(("name", "values"), [("of_columns", [[1.0], [2.0]]), ("of_subclass", [1.0, 2.0])])
def test_a_champion_is_predicted_with_served_and_loaded_where_only_its_study_is_known(folder, name, values):
    rows = np.arange(40.0).reshape(10, 4)
    pd.DataFrame(rows, columns=["größe", "body height", "class", "y"]).to_csv(folder / "rows.csv", index=False)
    sections = {
        "data": {"source": "rows.csv", "target": "y", "task": "regression", "test_fraction": 0},
        "validation": {"method": "kfold", "folds": 2},
    }
    worker = worker_of(folder, name, **sections)
    champion = refit(worker, folder / "study")
    assert champion.sha256 == hashlib.sha256(Path(champion.path).read_bytes()).hexdigest()
    record = make_record()
    facts = replace(record.facts, data=worker.describe_data())
    record = replace(record, spec=worker.spec, facts=facts, champion=champion)

    model = Study(record, "sqlite:///ledger.db").best_model()
    two = {column: np.array(values, np.float32) for column in ("größe", "body height", "class")}
    wanted = model.predict(two, verbose=0).ravel()
    (folder / "new.csv").write_text("größe,body height,class\n1,1,1\n2,2,2\n")
    assert predict(record, folder / "new.csv")["prediction"].tolist() == pytest.approx(wanted.tolist())

    command = [sys.executable, "-c", SERVED, worker.spec.model_dump_json(exclude_none=True), str(folder)]
    elsewhere = replace(champion, path=str(Path(champion.path).resolve())).to_json()
    done = subprocess.run(
        [*command, json.dumps(elsewhere), str(folder / "served"), json.dumps(facts.data.to_json()), json.dumps(values)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=folder / "study",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["renamed"] == {"größe": "gr__e", "body height": "body_height", "class": "class_"}
    assert found["served"] == pytest.approx(wanted.tolist(), rel=1e-5)
    written = found["written"]
    assert written["champion.onnx"].endswith("onnxruntime computes the same as Keras")
    assert written["champion.tflite"].endswith("its interpreter computes the same as Keras")
    assert {one.name for one in (folder / "served").iterdir()} >= {"champion.onnx", "champion.tflite", "saved_model"}


def test_names_of_a_signature_are_legal_and_differ_in_more_than_case():
    names = ["A b", "a_b", "A_B", "1st", "größe", "grö ße", "self", "plain"]
    assert signature_names(names) == {
        "A b": "A_b_3",
        "a_b": "a_b",
        "A_B": "A_B_2",
        "1st": "x_1st",
        "größe": "gr__e",
        "grö ße": "gr___e",
        "self": "self_",
        "plain": "plain",
    }
