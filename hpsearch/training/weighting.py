"""What rows count: ``[model] class_weight`` in training, and whether the objective looks at ``[data] weight``."""

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.facts import Task
from hpsearch.core.row_values import class_numbers
from hpsearch.core.words import closest, listed, quoted
from hpsearch.data.dataset import Array, Dataset, Part
from hpsearch.errors import DataError, SpecError
from hpsearch.spec import StudySpec

if TYPE_CHECKING:
    import keras

    from hpsearch.core.objective import Objective
    from hpsearch.training.problem import Problem


def check_class_weight(spec: StudySpec, dataset: Dataset) -> None:
    """Whether the classes that the study file names are there.

    Raises:
        SpecError: They are not, or there are none.
    """
    wanted = spec.model.class_weight
    if wanted is None:
        return
    if not dataset.task.has_classes:
        others = "labels, of which a row may have several" if dataset.task is Task.MULTILABEL else "no classes"
        raise SpecError(
            f"model.class_weight: the targets of {dataset.name} are {others}",
            code="no-classes",
            hint="remove it; [data] weight weighs rows",
            key="model.class_weight",
        )
    unknown = [] if isinstance(wanted, str) else [name for name in wanted if name not in dataset.classes]
    if unknown:
        near = closest(unknown[0], dataset.classes)
        raise SpecError(
            f"model.class_weight: there is no class {quoted(unknown[0])}",
            code="unknown-class",
            hint=f"did you mean {quoted(near)}?" if near else f"the classes are {listed(dataset.classes)}",
            key="model.class_weight",
            name=unknown[0],
            closest=near,
        )


def check_weights(problem: "Problem") -> None:
    """Whether some rows of every part count: a loss over rows of weight 0 is 0, as if it were perfect.

    Raises:
        DataError: A part has rows of weight 0 only.
    """
    if problem.dataset.train.weights is None and problem.spec.model.class_weight is None:
        return
    parts = [("all test rows", problem.dataset.test)]
    for fold in range(len(problem.folds)):
        train, validation = problem.fold_parts(fold)
        parts += [(f"all training rows of fold {fold}", problem.to_train(train))]
        parts += [(f"all validation rows of fold {fold}", validation)]
    for which, part in parts:
        if part is not None and part.weights is not None and not part.weights.any():
            raise DataError(
                f"{problem.dataset.name}: {which} have weight 0",
                code="weightless-part",
                hint="such rows are ignored in training and scoring: drop them, use fewer folds, or change the weights",
                source=problem.dataset.name,
                part=which,
            )


def training_weights(spec: StudySpec, dataset: Dataset, part: Part) -> Array | None:
    """How much each row counts in training on `part`: its own weight times that of its class; None if all count alike.

    Args:
        spec: The study file.
        dataset: Says which classes there are.
        part: The training rows. ``"balanced"`` counts the classes in them: ``n_rows / (n_classes * count)``, as in
            G. King, L. Zeng, "Logistic Regression in Rare Events Data", Political Analysis 9, 2001.
    """
    wanted = spec.model.class_weight
    if wanted is None:
        return part.weights
    numbers = class_numbers(part.y)
    if wanted == "balanced":
        counts = np.bincount(numbers, minlength=len(dataset.classes))
        of_class = len(numbers) / ((counts > 0).sum() * np.maximum(counts, 1))
    else:
        assert not isinstance(wanted, str)
        of_class = np.array([wanted.get(name, 1.0) for name in dataset.classes])
    weights = of_class[numbers]
    found = weights if part.weights is None else weights * part.weights.astype(np.float64)
    return np.asarray(found, np.float32)


def doubts_about_weights(model: "keras.Model", problem: "Problem", objective: "Objective") -> tuple[str, ...]:
    """A sentence if rows have weights, and the objective does not look at them.

    Args:
        model: Compiled and evaluated.
        problem: The study's data and model.
        objective: Its objective.
    """
    from hpsearch.keras_internals.compiled import placed_metrics

    if problem.dataset.train.weights is None:
        return ()
    alike = tuple(
        f"{one.where} lets all rows count alike, although they have weights. If it takes sample_weight as an argument, "
        "it gets them"
        for one in problem.scorers
        if one.ignores_weights
    )
    if alike:
        return alike
    name = objective.metric.removeprefix("val_")
    found = [one for one in placed_metrics(model) if one.metric.name == name]
    if not found or any(one.weighted for one in found):
        return ()
    return (
        f"the rows have weights, but {objective.metric} lets all rows count alike, as Keras does for what is given to "
        "compile as metrics. Weighted are the loss and what is given as weighted_metrics",
    )
