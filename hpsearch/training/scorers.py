"""Objectives and limits that are computed from predictions: the task's own metrics where the model does not record
them, scikit-learn's scorers, and functions of targets and predictions.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.foreign import errors_as, said
from hpsearch.core.metrics import metrics_for
from hpsearch.core.output_metrics import known_metrics, metric_values
from hpsearch.core.row_values import class_numbers
from hpsearch.core.user_code import load_object
from hpsearch.core.words import did_you_mean, listed
from hpsearch.data.dataset import Array, Dataset, keras_targets
from hpsearch.errors import ModelError, SpecError
from hpsearch.portable.outputs import label_probabilities, probabilities
from hpsearch.spec import StudySpec

Floats = NDArray[np.floating]

_OF_VALUES = re.compile(r"r2|explained_variance|d2_absolute_error_score|\w+_error|\w+_deviance")
"""Scikit-learn's scorers of a regression."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A number for all predictions of some rows at once.

    Attributes:
        address: As the study file names it.
        where: Where it names it, for messages: ``objective.metric = 'sklearn:roc_auc'``.
        name: Its curve's, without ``val_``.
        score: Of targets, predictions and the rows' weights, which are None if all rows count alike.
        yields: Whether a metric of the model that has the same name comes first.
        ignores_weights: Whether all rows count alike, even if they have weights.
    """

    address: str
    where: str
    name: str
    score: Callable[[Array, Array, Array | None], float]
    yields: bool = False
    ignores_weights: bool = False

    def __call__(self, y: Array, predicted: Array, weights: Array | None = None) -> float:
        """The score; NaN if it has no value on these rows.

        Args:
            y: Targets.
            predicted: The model's output for the same rows.
            weights: How much each row counts; None if all count alike.

        Raises:
            ModelError: The scorer has failed, or returned no number.
        """

        def explain(error: Exception) -> ModelError:
            return ModelError(
                f"{self.where} failed: {said(error)}",
                code="scorer-failed",
                hint=_hint(self.address, error),
                address=self.address,
                error=type(error).__name__,
            )

        with errors_as(explain):
            value = self.score(y, predicted, weights)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ModelError(
                # Not the value: it may hold rows.
                f"{self.where} must return a number, but returned a {type(value).__name__}",
                code="scorer-no-number",
                hint="write a function of targets and predictions that returns one number",
                address=self.address,
                type=type(value).__name__,
            ) from None


def scorer_of(spec: StudySpec, dataset: Dataset) -> Scorer | None:
    """What the objective computes from predictions; None if it is one of the model's own metrics.

    Raises:
        SpecError: There is no such scorer or function.
    """
    address = spec.objective.metric
    return _scorer(address, f"objective.metric = {address!r}", spec, dataset)


def scorers_of_limits(spec: StudySpec, dataset: Dataset) -> tuple[Scorer, ...]:
    """What the limits on curves compute from predictions, each curve once.

    Raises:
        SpecError: There is no such scorer or function.
    """
    found: dict[str, Scorer] = {}
    for kind, limits in (("at_most", spec.objective.at_most), ("at_least", spec.objective.at_least)):
        for address in limits:
            if scorer := _scorer(address, f"objective.{kind}: {address!r}", spec, dataset):
                found.setdefault(scorer.name, scorer)
    return tuple(found.values())


def _scorer(address: str, where: str, spec: StudySpec, dataset: Dataset) -> Scorer | None:
    module, _, name = address.partition(":")
    if not name:
        return _of_task(address, where, spec, dataset)
    if dataset.task is Task.NONE or (dataset.task is Task.SEVERAL and module == "sklearn"):
        why = "there are no targets" if dataset.task is Task.NONE else "the targets are for several outputs"
        raise SpecError(
            f"{where} scores the predictions of one output, but {why}",
            code="several-outputs",
            hint="name a curve that the model records, such as val_loss",
            address=address,
        )
    if module == "sklearn":
        found = _sklearn_scorer(name, where)
        weighted = _weighs(name)
        of_rows = partial(_of_sklearn, found if weighted else _unweighted(found), dataset.task)
        # A model that is compiled with accuracy records the same number, unless it is that of several labels.
        same = dataset.task is not Task.MULTILABEL and name in metrics_for(dataset.task)
        return Scorer(address, where, name, of_rows, yields=same, ignores_weights=not weighted)
    function = load_object(address, spec.folder, SpecError)
    if not callable(function):
        raise SpecError(
            f"{where} is of type {type(function).__name__}, not a function",
            code="not-a-function",
            hint="write a function of targets and predictions that returns a number",
            address=address,
            type=type(function).__name__,
        )
    weighted = takes_weights(function)
    return Scorer(address, where, name, partial(_of_function, function, weighted), ignores_weights=not weighted)


def takes_weights(function: Callable[..., object]) -> bool:
    """Whether a function of targets and predictions can be given ``sample_weight``."""
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _of_function(
    function: Callable[..., float], weighted: bool, y: Array, predicted: Any, weights: Array | None
) -> float:
    targets = keras_targets(y)
    if isinstance(targets, list) and isinstance(predicted, Mapping):  # they came in order
        predicted = [*predicted.values()]
    if weights is None or not weighted:
        return function(targets, predicted)
    return function(targets, predicted, sample_weight=weights)


RECORDED = frozenset({"accuracy", "mse", "mae", "rmse"})
"""Metrics that the models of families are compiled with."""


def _of_task(address: str, where: str, spec: StudySpec, dataset: Dataset) -> Scorer | None:
    """One of the metrics that every study of such targets has."""
    name = address.removeprefix("val_")
    known = name in known_metrics(dataset)
    if name == address or not known or (spec.model.family is not None and name in RECORDED):
        return None

    def of(y: Array, predicted: Array, weights: Array | None) -> float:
        found = metric_values(dataset, y, predicted, (name,), weights=weights)
        if name not in found:
            shape = getattr(predicted, "shape", None)
            outputs = "several outputs" if shape is None else f"outputs of shape {tuple(shape[1:])}"
            raise ValueError(f"{outputs} per row have no {name} for targets of shape {tuple(y.shape[1:])}")
        return found[name]

    return Scorer(address, where, name, of, yields=True)


SklearnScorer = Callable[..., float]
"""Of an estimator, rows and targets, and ``sample_weight`` if there is one."""


def _sklearn_scorer(name: str, where: str) -> SklearnScorer:
    from sklearn.metrics import get_scorer, get_scorer_names

    names = get_scorer_names()
    if name in names:
        found: SklearnScorer = get_scorer(name)
        return found
    if f"neg_{name}" in names:
        negated: SklearnScorer = get_scorer(f"neg_{name}")
        return lambda estimator, rows, y, **weights: -negated(estimator, rows, y, **weights)
    plain = [one.removeprefix("neg_") for one in names]
    raise SpecError(
        f"{where}: scikit-learn has no scorer {name!r}{did_you_mean(name, plain)}",
        code="no-such-scorer",
        hint=f"it has {listed(plain, most=60)}; or name a function of yours as module:function",
        name=name,
    )


def _weighs(name: str) -> bool:
    """Whether a scorer of scikit-learn takes sample weights: some do not."""
    from sklearn.metrics import get_scorer, get_scorer_names

    known = get_scorer(name if name in get_scorer_names() else f"neg_{name}")
    return takes_weights(getattr(known, "_score_func", known))


def _unweighted(scorer: SklearnScorer) -> SklearnScorer:
    return lambda estimator, rows, y, **_: scorer(estimator, rows, y)


def doubts_about_scorer(scorer: Scorer | None, task: Task, y: Array) -> tuple[str, ...]:
    """A sentence if a scorer of values is to score classes, or one of classes values: it may, but hardly as intended.

    Args:
        scorer: The study's.
        task: Its task.
        y: Its targets.
    """
    if scorer is None or not scorer.address.startswith("sklearn:"):
        return ()
    of_values = _OF_VALUES.fullmatch(scorer.name.removeprefix("neg_")) is not None
    if of_values and task is not Task.REGRESSION:
        return (
            f"{scorer.where} scores values, but the targets are classes: it takes the difference between "
            "the numbers of the true and the predicted class for an error, as if classes were in order and equally far "
            "apart. sklearn:balanced_accuracy or sklearn:matthews_corrcoef scores classes; [data] "
            'task = "regression" predicts values',
        )
    if task is Task.REGRESSION and not of_values and not np.isin(y, (0, 1)).all():  # several labels are 0 or 1
        return (
            f"{scorer.where} scores classes, but the targets are values, each of which it takes for a "
            "class of its own. sklearn:r2 or sklearn:mean_absolute_error scores values",
        )
    return ()


def _of_sklearn(scorer: SklearnScorer, task: Task, y: Array, predicted: Array, weights: Array | None) -> float:
    """The score of an estimator whose predictions are known; its rows are their numbers."""
    import warnings

    from sklearn.exceptions import UndefinedMetricWarning

    rows = np.arange(len(y))
    weighted = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        try:
            if task is Task.REGRESSION:
                return scorer(_regressor(predicted), rows, y, **weighted)
            if task is Task.MULTILABEL:
                labels = _classifier(label_probabilities(predicted), labels=True)
                return scorer(labels, rows, y.astype(np.intp), **weighted)
            return scorer(_classifier(probabilities(predicted)), rows, class_numbers(y), **weighted)
        except UndefinedMetricWarning:
            return float("nan")


def _classifier(shares: Floats, *, labels: bool = False) -> object:
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Known(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
        classes_ = np.arange(shares.shape[1])

        def predict(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
            return np.asarray((shares[rows] > 0.5).astype(np.intp) if labels else shares[rows].argmax(axis=1))

        def predict_proba(self, rows: NDArray[np.intp]) -> Floats:
            return shares[rows]

    return Known()


def _regressor(values: Array) -> object:
    from sklearn.base import BaseEstimator, RegressorMixin

    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values

    class Known(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
        def predict(self, rows: NDArray[np.intp]) -> Array:
            return flat[rows]

    return Known()


def _hint(address: str, error: Exception) -> str:
    if "continuous" in str(error):
        return "the targets are values, not classes: sklearn:r2 or sklearn:mean_absolute_error scores them"
    if "multi_class" in str(error) or "multiclass" in str(error):
        name = address.partition(":")[2]
        more = {"roc_auc": "roc_auc_ovr or roc_auc_ovo"}.get(name, f"{name}_macro, {name}_weighted or {name}_micro")
        return f"the targets have more than two classes: use sklearn: {more}"
    return "it gets the targets and the model's predictions of all validation rows of a fold"
