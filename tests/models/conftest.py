"""Training data and builders for model tests."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.data.dataset import TrainingData
from hpsearch.models.builder import ModelBuilder
from hpsearch.spec import StudySpec
from hpsearch.training.problem import Problem

SGD = {"optimizer": "sgd", "learning_rate": 0.01}

CARS = """mpg,horsepower,cylinders,origin
18.0,130,8,USA
15.0,,8,USA
36.0,,8,USA
26.0,46,4,Europe
25.0,87,4,Europe
24.0,90,4,Europe
31.0,65,4,Japan
27.0,88,4,Japan
22.5,95,6,USA
18.5,100,6,
"""


def make_problem(folder: Path | str = ".", **sections: Any) -> Problem:
    spec = {
        "name": "model-test",
        "data": {"source": "sklearn:digits", "max_rows": 300},
        "model": {"family": "mlp"},
        "objective": {"metric": "val_loss", "direction": "minimize"},
        "folder": str(folder),
        **sections,
    }
    return Problem.load(StudySpec.model_validate(spec))


@pytest.fixture(scope="session")
def cars(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("cars")
    (folder / "cars.csv").write_text(CARS)
    return make_problem(
        folder,
        data={"source": "cars.csv", "target": "mpg", "test_fraction": 0},
        validation={"method": "kfold", "folds": 2},
    )


@pytest.fixture(scope="session")
def word_data() -> TrainingData:
    """60 texts of up to 20 distinct words out of 50, good where word 7 is there."""
    random = np.random.default_rng(0)
    x = np.zeros((60, 20), np.uint16)
    for row in x:
        words = np.sort(random.choice(np.arange(1, 50), random.integers(3, 20), replace=False))
        row[: len(words)] = words
    y = (x == 7).any(axis=1).astype(np.int32)
    return TrainingData(x, y, task=Task.BINARY, classes=("bad", "good"), extra={"words": 50})


def builder_of(family: str) -> ModelBuilder:
    return make_problem(model={"family": family}).builder
