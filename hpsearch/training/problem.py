"""What a worker trains: the study's data, folds and model. Keras is imported when the first model is built."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.asked import Asked
from hpsearch.core.folds import Fold, Method, RowTraits, hold_out, make_folds
from hpsearch.core.records import output_of
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Parameter
from hpsearch.data import load_dataset
from hpsearch.data.dataset import Dataset, InOrder, Part, TrainingData
from hpsearch.data.permuted import permuted
from hpsearch.spec import StudySpec
from hpsearch.spec.assembly import given_names, steered
from hpsearch.spec.families import FAMILIES
from hpsearch.training.environment import set_up_keras
from hpsearch.training.scorers import Scorer, scorer_of, scorers_of_limits
from hpsearch.training.weighting import check_class_weight, check_weights, training_weights

if TYPE_CHECKING:
    import keras

    from hpsearch.models.builder import ModelBuilder
    from hpsearch.models.callbacks import Callbacks


@dataclass(frozen=True)
class Problem:
    """A study's data, folds and model.

    Attributes:
        spec: The study file.
        dataset: Its data; ``dataset.train`` is all that search may see.
        folds: The same for every trial; row numbers index ``dataset.train``.
        own_test: Whether the test part came with the source.
        permuted: How the targets of a null search were permuted; see :func:`~hpsearch.data.permuted.permuted`.
        predictions: Folder for every trial's predictions of its validation rows; empty to keep none.
        calls_back: Whether models are trained with their callbacks.
        scored_folds: How many of the folds have their predictions kept: others have the rows of one of those, and train
            with another seed. None for all.
    """

    spec: StudySpec
    dataset: Dataset
    folds: tuple[Fold, ...]
    own_test: bool = False
    permuted: str = ""
    predictions: str = ""
    calls_back: bool = True
    scored_folds: int | None = None

    @classmethod
    def load(cls, spec: StudySpec, *, predictions: str = "") -> "Problem":
        """Load the data, hold out the test part and make the folds.

        Raises:
            DataError: The data cannot be read or split.
            SpecError: ``[model] class_weight`` names a class that there is not.
        """
        dataset = load_dataset(spec)
        check_class_weight(spec, dataset)
        own_test = dataset.test is not None
        if not own_test and spec.data.test_fraction > 0:
            dataset = _hold_out(dataset, spec)
        if spec.validation.outer is not None:
            outer, own_test = spec.validation.outer, False
            method = spec.data.fold_method if spec.validation.method == "holdout" else spec.validation.method
            seed = derive(spec.seed, "outer-folds")
            fold = _folds(dataset, spec, method, folds=outer.folds, repeats=1, seed=seed)[outer.index]
            part = dataset.train
            dataset = dataset.with_test(part.take(fold.train), part.take(fold.validation))
        validation, how = spec.validation, ""
        if validation.null is not None:
            in_order = validation.method == "time-series"
            part, how = permuted(dataset.train, seed=spec.seed, index=validation.null, in_order=in_order)
            dataset = dataset.with_test(part, dataset.test)
        folds = _folds(
            dataset, spec, validation.method, folds=validation.folds, repeats=validation.repeats, seed=spec.seed
        )
        problem = cls(spec, dataset, folds, own_test, how, predictions)
        check_weights(problem)
        return problem

    @cached_property
    def builder(self) -> "ModelBuilder":
        """The study's model builder.

        Raises:
            ModelError: The build function cannot be imported.
        """
        return find_builder(self.spec)

    @cached_property
    def scorer(self) -> Scorer | None:
        """What the objective computes from predictions; None if it is one of the model's own metrics.

        Raises:
            SpecError: There is no such scorer or function.
        """
        return scorer_of(self.spec, self.dataset)

    @cached_property
    def scorers(self) -> tuple[Scorer, ...]:
        """What the objective and its limits compute from predictions, each curve once.

        Raises:
            SpecError: There is no such scorer or function.
        """
        own = (self.scorer,) if self.scorer else ()
        taken = self.spec.objective.curve
        return (*own, *(one for one in scorers_of_limits(self.spec, self.dataset) if f"val_{one.name}" != taken))

    @property
    def is_predictable(self) -> bool:
        """Whether the model's family says what its initial values depend on (``Family.predictable``)."""
        family = self.spec.model.family
        return family is not None and FAMILIES[family].predictable

    def training_data(self, part: Part) -> TrainingData:
        """What a build function may know when it builds for training on `part`."""
        d = self.dataset
        x = tuple(part.x.values()) if isinstance(part.x, InOrder) else part.x
        return TrainingData(
            x,
            part.y,
            task=d.task,
            classes=d.classes,
            columns=d.columns,
            extra=d.extra,
            weights=part.weights,
            outputs={one.name: one for one in d.outputs},
        )

    def time_of(self, part: Part, *, after: int = 0) -> "NDArray[np.generic] | None":
        """Time of each row of a part; None if order does not matter, or is not known.

        Args:
            part: The rows.
            after: How many rows come before them, where the order of the rows is the time.
        """
        if part.time is None and self.spec.validation.method == "time-series":
            return np.arange(after, after + len(part))
        return part.time

    def keeps_predictions(self, fold: int) -> bool:
        """Whether a lane's predictions of the validation rows are to be kept."""
        return bool(self.predictions) and (self.scored_folds is None or fold < self.scored_folds)

    def fold_parts(self, fold: int) -> tuple[Part, Part]:
        """The training and the validation rows of a fold (copies)."""
        rows = self.folds[fold]
        return self.dataset.train.take(rows.train), self.dataset.train.take(rows.validation)

    def to_train(self, part: Part) -> Part:
        """A part whose rows count in training as ``[data] weight`` and ``[model] class_weight`` say."""
        return replace(part, weights=training_weights(self.spec, self.dataset, part))

    def build(self, config: Config, part: Part, *, seed: int) -> "keras.Model":
        """A compiled model for training on `part`; `seed` decides its initial weights.

        Raises:
            ModelError: The build function fails, or does not return a Keras model.
        """
        return self.builder.build(config, self.training_data(part), seed=seed)

    def callbacks(self, config: Config) -> "Callbacks":
        """The callbacks of a model with `config`, made anew. Call it before the model is built.

        Raises:
            ModelError: The user's code fails, or returns something else.
        """
        from hpsearch.models.callbacks import Callbacks, callbacks_of

        if not self.calls_back:
            return Callbacks()
        return callbacks_of(self.spec, self.builder, config, self.training_data(self._few))

    @cached_property
    def _few(self) -> Part:
        return self.dataset.train.take(np.arange(min(len(self.dataset.train), 8)))

    def discover_space(self) -> dict[str, Parameter]:
        """Hyperparameters that the model asks for (KerasTuner code); empty for families and plain functions."""
        return dict(self._discovered)

    @cached_property
    def _discovered(self) -> dict[str, Parameter]:
        from hpsearch.models.kerastuner_exploration import Steering

        steering = Steering(given_names(self.spec), partial(steered, self.spec))
        return self.builder.discover(self.training_data(self.dataset.train), steering)

    def asked(self, config: Config) -> Asked | None:
        """What KerasTuner code asks for with `config`; None for families and plain functions."""
        asked = self.builder.asked(config, self.training_data(self.dataset.train))
        return asked and replace(asked, read=asked.read | self.spec.training.hyperparameters)


def find_builder(spec: StudySpec) -> "ModelBuilder":
    """The model builder of a study file.

    Raises:
        ModelError: The build function cannot be imported.
    """
    from hpsearch.models.builder import ModelBuilder

    set_up_keras()
    return ModelBuilder.of(spec)


def _hold_out(dataset: Dataset, spec: StudySpec) -> Dataset:
    part, traits = dataset.train, _traits(dataset, spec)
    if spec.validation.method == "time-series" and traits.time is None:
        # The rows come in the order of time, so the last of them are the test part.
        traits = replace(traits, time=np.arange(len(part)))
    rows, test_rows = hold_out(traits, fraction=spec.data.test_fraction, seed=spec.seed)
    return dataset.with_test(part.take(rows), part.take(test_rows))


def _folds(
    dataset: Dataset, spec: StudySpec, method: Method | None, *, folds: int, repeats: int, seed: int
) -> tuple[Fold, ...]:
    traits = _traits(dataset, spec)
    return make_folds(
        method or ("kfold" if traits.labels is None else "stratified"),
        traits,
        folds=folds,
        repeats=repeats,
        fraction=spec.validation.fraction,
        seed=seed,
    )


def _traits(dataset: Dataset, spec: StudySpec) -> RowTraits:
    part = dataset.train
    labels, class_ = None, "class"
    if dataset.task.has_classes:
        labels = _class_numbers(part.y)
    elif spec.validation.method == "stratified" and (classes := _classes_of_outputs(dataset)):
        labels = np.unique(np.stack(classes, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        class_ = "class" if len(classes) == 1 else "combination of the outputs' classes"
    if spec.data.group is None:  # groups are then of equal rows, if there are any
        return RowTraits(len(part), labels, time=part.time, equal=part.groups, class_=class_)
    joined = spec.data.duplicates == "group"
    what = ("rows", "groups joined by equal rows" if joined else "groups")
    return RowTraits(len(part), labels, part.groups, part.time, what=what, class_=class_)


def _class_numbers(y: NDArray[np.generic]) -> NDArray[np.generic]:
    """Class number of each row, also for one-hot labels."""
    return y.argmax(axis=1) if y.ndim == 2 else y


def _classes_of_outputs(dataset: Dataset) -> list[NDArray[np.generic]]:
    """Class number of each row in every one of several outputs whose rows have a class each."""
    targets = (output_of(dataset.train.y, one.name) for one in dataset.outputs if one.task.has_classes)
    return [_class_numbers(y) for y in targets if y.ndim <= 2]
