"""The process of a worker: Keras' settings are its own defaults, whatever the settings file of the machine says."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from hpsearch.training.environment import WorkerSettings, keras_settings, set_up, set_up_keras
set_up(WorkerSettings("jax"))
import keras
before = keras.config.image_data_format()
set_up_keras()
first = keras_settings()
keras.config.set_epsilon(0.001)
set_up_keras()
import json
print(json.dumps([before, first, keras_settings()]))
"""


def test_a_settings_file_of_keras_changes_nothing_and_code_does(tmp_path: Path) -> None:
    file = {"floatx": "float64", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(file))
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    before, first, later = json.loads(done.stdout)
    assert before == "channels_first"
    assert first == {
        "floatx": "float32",
        "epsilon": "1e-07",
        "image_data_format": "channels_last",
        "dtype_policy": "float32",
    }
    assert later == {**first, "epsilon": "0.001"}
