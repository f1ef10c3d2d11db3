"""The fit engine on TensorFlow, in a process of its own: the other tests run on JAX."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import gc
import keras
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph
from hpsearch.keras_internals.capabilities import capabilities
from hpsearch.training.engines.fit import FitEngine
from hpsearch.core.events import Lane
from tests.engines.conftest import make_problem, results

@tf.function
def kept(x):
    return tf.nn.silu(x)  # has a custom gradient, and its graph outlives every model

class Kept(keras.layers.Layer):
    def call(self, x):
        return kept(x)

def build(config, data):
    inputs = x = keras.Input(data.input_shape)
    x = keras.layers.Flatten()(x)
    for layer in (Kept(), keras.layers.Dense(64)) if config["first"] else (keras.layers.Dense(64), Kept()):
        x = layer(x)
    x = keras.layers.Dense(8, activation="silu")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    steps = {"steps_per_execution": config["steps"]}
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **steps)
    return model

engine = FitEngine(make_problem('build = "nowhere:build"', "epochs = 1", build))
def train(number, **config):
    return results(engine, [Lane(number, 0, {"epochs": 1, "steps": 1, **config})])[number, 0].curves

before = train(0, first=True)
train(1, first=False)  # only now is the gradient of what was kept asked for
train(2, first=False, steps=2)
assert train(0, first=True) == before
graphs = {graph.name for graph in gc.get_objects() if isinstance(graph, FuncGraph)}
print("missing:", list(capabilities().missing))
print("left:", sorted(name for name in graphs if "kept" not in name))
"""


def test_nothing_of_a_trained_model_stays_but_what_the_users_module_keeps():
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-2:] == ["missing: []", "left: []"]
