"""From a study file to ready workers: which engine trains, and the reason that is kept for it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.errors import ModelError
from hpsearch.spec import load_spec
from hpsearch.study import prepare

pytestmark = pytest.mark.slow

MODEL = """
import keras

def build(config, data):
    if keras.backend.backend() == "jax":
        raise ValueError("only TensorFlow")
    hidden = keras.layers.Dense(config["units"])
    return keras.Sequential([keras.layers.Input(data.input_shape), hidden, keras.layers.Dense(3, "softmax")])
"""

STUDY = """
name = "picky"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
build = "picky:build"
[space]
units = [8, 12, 16]
[objective]
metric = "val_accuracy"
direction = "maximize"
[resources]
"""

ONE_TRIAL = 'engine = "fit"\nbackend = "jax"\n[search]\ntrials = 1\n'


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky.py").write_text(MODEL)
    path = tmp_path / "picky.toml"
    path.write_text(STUDY)
    return path


def test_a_model_that_fails_on_jax_is_the_reason_of_the_slower_engine(study_file: Path) -> None:
    facts = prepare(load_spec(study_file)[0]).facts
    assert facts.model_source == hashlib.sha256(MODEL.encode()).hexdigest()
    assert (facts.plan.engine, facts.backend) == ("fit", "tensorflow")
    assert facts.plan.reason.startswith("on JAX, picky:build: build raised ValueError: only TensorFlow (")


@pytest.mark.parametrize("asked", ['engine = "fused"', 'backend = "jax"'])
def test_what_was_asked_for_is_not_replaced(study_file: Path, asked: str) -> None:
    study_file.write_text(f"{STUDY}{asked}\n")
    with pytest.raises(ModelError, match="only TensorFlow"):
        prepare(load_spec(study_file)[0])


def test_check_and_a_study_s_start_warn_about_a_suspicious_objective(study_file: Path) -> None:
    (study_file.parent / "picky.py").write_text(MODEL.replace('== "jax"', '== "none"'))
    study_file.write_text(STUDY.replace("maximize", "minimize").replace("[8, 12, 16]", "8\nepochs = 1") + ONE_TRIAL)
    for command in ("check", "run"):
        done = subprocess.run(
            [sys.executable, "-m", "hpsearch", command, study_file.name, "--json"],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        assert "a metric named val_accuracy usually has direction" in done.stderr
        told = json.loads(done.stdout)
    assert any('usually has direction = "maximize"' in note for note in told["notes"])
