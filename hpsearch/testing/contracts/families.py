"""What every model family must promise. Builds and trains a few small models."""

import math
from itertools import islice

import numpy as np

from hpsearch.core.facts import Task
from hpsearch.core.space import Config, Space
from hpsearch.core.user_code import load_object
from hpsearch.data.dataset import Array, TrainingData
from hpsearch.errors import ModelError
from hpsearch.spec.families import Family

CONFIGS = 2
"""How many configs of the family's default space are built."""


def check_family(family: Family, *, x: Array | None = None) -> None:
    """Build the family's models for each of its tasks, and train them for one epoch.

    Args:
        family: The object that the entry point names.
        x: Rows to train on, shape ``(n_rows, …)``. By default 32 rows of 4 numbers.

    Raises:
        AssertionError: A promise is broken; the text says which.
        ModelError: The build function fails.
    """
    assert family.description, "a family must have a description"
    assert family.tasks, "a family must have at least one task"
    space = Space(dict(family.space))
    missing = {"batch_size", "epochs", "learning_rate", "optimizer"} - space.keys()
    assert not missing, f"the space must have what training needs, but lacks {sorted(missing)}"
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) if x is None else x
    for task in family.tasks:
        for config in islice(space.grid(2), CONFIGS):
            _check_model(family, config, _training_data(rows, task))


def _check_model(family: Family, config: Config, data: TrainingData) -> None:
    from hpsearch.models.builder import ModelBuilder

    function = load_object(family.build, ".", ModelError)
    assert callable(function), f"build must name a function, but {family.build} is {function!r}"
    builder = ModelBuilder(family.build, function)
    model, again = (builder.build(config, data, seed=1) for _ in range(2))
    same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    assert same, f"one seed must give the same weights each time, but {config} does not"
    history = model.fit(data.x, data.y, epochs=1, batch_size=8, verbose=0)
    loss = history.history["loss"][0]
    assert math.isfinite(loss), f"the loss must be finite, but is {loss} for {data.task} with {config}"


def _training_data(x: Array, task: Task) -> TrainingData:
    number = np.arange(len(x))
    if task is Task.REGRESSION:
        return TrainingData(x, (number % 5).astype(np.float32), task)
    if task is Task.MULTILABEL:
        return TrainingData(x, np.stack([number % 2, number % 3 == 0], 1).astype(np.float32), task, classes=("a", "b"))
    classes = ("a", "b") if task is Task.BINARY else ("a", "b", "c")
    return TrainingData(x, (number % len(classes)).astype(np.int32), task, classes=classes)
