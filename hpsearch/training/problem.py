"""What a worker trains: the study's data, folds and model, put together. Keras is imported when a model is built."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.folds import Fold, Method, hold_out, make_folds
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Parameter
from hpsearch.data import load_dataset
from hpsearch.data.dataset import Dataset, Part, TrainingData
from hpsearch.errors import DataError
from hpsearch.spec import StudySpec

if TYPE_CHECKING:
    import keras

    from hpsearch.models.builder import ModelBuilder


@dataclass(frozen=True)
class Problem:
    """A study's data, folds and model.

    Attributes:
        spec: The study file.
        dataset: Its data; ``dataset.train`` is all that search may see.
        folds: The same for every trial; row numbers index ``dataset.train``.
    """

    spec: StudySpec
    dataset: Dataset
    folds: tuple[Fold, ...]

    @classmethod
    def load(cls, spec: StudySpec) -> "Problem":
        """Load the data, hold out the test part, make the folds.

        Raises:
            DataError: The data cannot be read, or cannot be split as asked.
        """
        dataset = load_dataset(spec)
        if dataset.test is None and spec.data.test_fraction > 0:
            dataset = _hold_out(dataset, spec)
        if spec.validation.outer is not None:
            outer = spec.validation.outer
            method = spec.data.fold_method if spec.validation.method == "holdout" else spec.validation.method
            seed = derive(spec.seed, "outer-folds")
            fold = _folds(dataset, spec, method, folds=outer.folds, repeats=1, seed=seed)[outer.index]
            part = dataset.train
            dataset = dataset.with_test(part.take(fold.train), part.take(fold.validation))
        validation = spec.validation
        folds = _folds(
            dataset, spec, validation.method, folds=validation.folds, repeats=validation.repeats, seed=spec.seed
        )
        return cls(spec, dataset, folds)

    @cached_property
    def builder(self) -> "ModelBuilder":
        """The study's model builder.

        Raises:
            ModelError: The build function cannot be imported.
        """
        from hpsearch.models.builder import ModelBuilder

        return ModelBuilder.of(self.spec)

    def training_data(self, part: Part) -> TrainingData:
        """What a build function may know when it builds for training on `part`."""
        d = self.dataset
        return TrainingData(part.x, part.y, task=d.task, classes=d.classes, columns=d.columns, extra=d.extra)

    def fold_parts(self, fold: int) -> tuple[Part, Part]:
        """The training and the validation rows of a fold (copies)."""
        rows = self.folds[fold]
        return self.dataset.train.take(rows.train), self.dataset.train.take(rows.validation)

    def build(self, config: Config, part: Part, *, seed: int) -> "keras.Model":
        """A compiled model for training on `part`, its initial weights decided by `seed`.

        Raises:
            ModelError: The build function fails or returns something else than a Keras model.
        """
        return self.builder.build(config, self.training_data(part), seed=seed)

    def discover_space(self) -> dict[str, Parameter]:
        """Hyperparameters that the model itself declares (KerasTuner code); empty for families and plain functions."""
        return self.builder.discover(self.training_data(self.dataset.train))


def _hold_out(dataset: Dataset, spec: StudySpec) -> Dataset:
    part = dataset.train
    # Rows that come in the order of time, without a column of it, are tested on the last of them.
    ordered = np.arange(len(part)) if spec.validation.method == "time-series" else None
    rows, test_rows = hold_out(
        n_rows=len(part),
        fraction=spec.data.test_fraction,
        seed=spec.seed,
        labels=_labels(dataset),
        groups=part.groups,
        time=ordered if part.time is None else part.time,
    )
    return dataset.with_test(part.take(rows), part.take(test_rows))


def _folds(
    dataset: Dataset, spec: StudySpec, method: Method | None, *, folds: int, repeats: int, seed: int
) -> tuple[Fold, ...]:
    part, labels = dataset.train, _labels(dataset)
    return make_folds(
        method or ("kfold" if labels is None else "stratified"),
        n_rows=len(part),
        folds=folds,
        repeats=repeats,
        fraction=spec.validation.fraction,
        seed=seed,
        labels=labels,
        groups=part.groups,
        time=part.time,
    )


def _labels(dataset: Dataset) -> NDArray[np.generic] | None:
    return None if dataset.task is Task.REGRESSION else class_numbers(dataset.train)


def class_numbers(part: Part) -> NDArray[np.generic]:
    """Class number of each row, also for one-hot labels."""
    return part.y.argmax(axis=1) if part.y.ndim == 2 else part.y


__all__ = ["DataError", "Problem", "class_numbers"]
