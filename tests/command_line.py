"""Commands as a user types them, and a small study for them."""

import subprocess
import sys
from pathlib import Path

STUDY = """
name = "{name}"
seed = 5
[data]
source = "sklearn:iris"
[validation]
folds = 3
[model]
family = "mlp"
layers = 1
[space]
learning_rate = {{ low = 0.005, high = 0.05, log = true }}
units = [8, 16]
dropout = 0.0
optimizer = ["sgd", "adam"]
batch_size = 16
epochs = {epochs}
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
tuner = "optuna"
algorithm = "tpe"
trials = {trials}
[resources]
engine = "fit"
backend = "jax"
"""


def hpsearch(*arguments: str, folder: Path, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpsearch", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)


def ok(*arguments: str, folder: Path) -> str:
    done = hpsearch(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mlflow_of(folder: Path) -> str:
    """The database of MLflow there; absolute, as MLflow keeps one store per address for the whole process."""
    return f"sqlite:///{folder}/mlruns/mlflow.db"


def write_study(folder: Path, name: str, *, trials: int = 4, epochs: int = 3) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(name=name, trials=trials, epochs=epochs))
    return path
