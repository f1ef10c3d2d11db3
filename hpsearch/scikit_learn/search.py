"""``KerasSearchCV``: a study as a scikit-learn estimator."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data

from hpsearch import study
from hpsearch.arguments import study_file
from hpsearch.core.facts import Task
from hpsearch.core.metrics import metrics_for, values_of
from hpsearch.core.words import listed
from hpsearch.data.card import card_of
from hpsearch.data.plain import plain_frame
from hpsearch.data.tables import data_error
from hpsearch.data.targets import infer_task
from hpsearch.errors import SpecError
from hpsearch.live import watching
from hpsearch.portable.errors import RowsError
from hpsearch.portable.outputs import amounts, label_probabilities, probabilities
from hpsearch.portable.predictor import Card, model_inputs
from hpsearch.scikit_learn.results import cv_results
from hpsearch.scikit_learn.splits import validation_of
from hpsearch.spoken import speaking_python

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Kind = Literal["classification", "regression"]


def _classifies(search: "KerasSearchCV") -> bool:
    if search._kind == "regression":
        raise AttributeError("a search for regression models has no predict_proba")
    return True


class KerasSearchCV(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Hyperparameter search for a Keras model, as an estimator like ``GridSearchCV``.

    ``fit`` runs a study on all rows that it gets, as :func:`hpsearch.run` does without a test part, and refits the best
    trial on all of them. The study is kept in the workspace: fitting again with the same data and settings returns its
    result at once, or goes on where it was interrupted. Other data, as in the folds of ``cross_val_score``, are another
    study.

    >>> search = KerasSearchCV(build, {"units": [32, 64], "epochs": 20}, cv=5, scoring="roc_auc", trials=10)
    >>> make_pipeline(StandardScaler(), search).fit(X, y).predict(X_new)

    Args:
        build: As for :func:`hpsearch.run`.
        space: As for :func:`hpsearch.run`.
        cv: Number of folds (5 by default), or a splitter of scikit-learn: ``KFold`` and ``StratifiedKFold`` with
            ``shuffle=True``, their repeated forms, ``GroupKFold``, ``TimeSeriesSplit``, or a ``ShuffleSplit`` of one
            split. `seed` draws the folds, not the splitter's ``random_state``. A number makes stratified folds for
            classes, and group folds if ``fit`` gets groups.
        scoring: Name of a scorer of scikit-learn, or a metric that the model records, such as ``"val_loss"``. By
            default, accuracy, macro F1 for labels that do not exclude each other, or R².
        direction: ``"maximize"`` or ``"minimize"``, for a metric that hpsearch does not know. All scores are greater
            for better models, so a metric that is minimised is negated.
        trials: Number of trials.
        task: ``"classification"`` or ``"regression"``. By default, real numbers in `y` are values, and texts, booleans
            and up to 100 different whole numbers are classes. Give it where scikit-learn needs to know before ``fit``,
            as ``cross_val_score`` does to stratify.
        seed: The study's seed.
        name: Beginning of the study's name; its end follows from data and settings. By default the name of `build`.
        verbose: 1 shows progress.
        sections: Further sections of a study file, such as ``{"search": {"stop": "auto"}}``.

    Attributes:
        study_: The study, a :class:`hpsearch.Study`.
        best_estimator_: The best trial's Keras model, trained on all rows.
        best_params_: Its hyperparameter values.
        best_score_: Its mean score over the folds.
        best_index_: Its position in `cv_results_`.
        cv_results_: All trials, with the keys of ``GridSearchCV``.
        n_splits_: Number of folds.
        refit_time_: Seconds of the last training.
        task_: ``"classification"`` or ``"regression"``.
        classes_: The classes, for classification.
        n_features_in_: Number of columns of `X`.
        feature_names_in_: Names of the columns, if `X` is a table with texts for names.
    """

    def __init__(
        self,
        build: object,
        space: Mapping[str, object] | None = None,
        *,
        cv: object = None,
        scoring: str | None = None,
        direction: str | None = None,
        trials: int = 20,
        task: Kind | None = None,
        seed: int = 0,
        name: str | None = None,
        verbose: int = 0,
        sections: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self.build = build
        self.space = space
        self.cv = cv
        self.scoring = scoring
        self.direction = direction
        self.trials = trials
        self.task = task
        self.seed = seed
        self.name = name
        self.verbose = verbose
        self.sections = sections

    def fit(
        self,
        X: object,  # noqa: N803
        y: object = None,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Search, and train the best model on all rows.

        Args:
            X: Rows: an array of numbers of two or more axes, or a table. A table of numbers is an array for the model;
                in one with texts or categories, every column is an input of its own, as for :func:`hpsearch.run`.
            y: Targets: one per row, or one-hot rows, or labels as rows of zeros and ones, or several numbers per row.
            groups: Group of each row; rows of one group are never split.
            sample_weight: How much each row counts in the loss, in the score and in weighted metrics.

        Raises:
            HpsearchError: As for :func:`hpsearch.run`.
            ValueError: X or y are not what an estimator can take.
        """
        rows, targets = self._checked(X, y)
        with speaking_python(self.build, y):
            self.study_ = self._searched(rows, targets, {"groups": groups, "sample_weight": sample_weight})
        record, best = self.study_.record, self.study_.best
        assert best is not None
        assert record.champion is not None
        self.best_estimator_ = self.study_.best_model()
        self.cv_results_ = cv_results(record)
        self.best_index_ = record.trials.index(best)
        self.best_params_ = dict(best.config)
        self.best_score_ = float(np.asarray(self.cv_results_["mean_test_score"])[self.best_index_])
        self.n_splits_ = record.facts.data.n_folds
        self.refit_time_ = record.champion.seconds
        return self

    def _searched(
        self, rows: "Array | pd.DataFrame", targets: Array, others: Mapping[str, ArrayLike | None]
    ) -> study.Study:
        metric, direction = self._objective()
        sections = {name: dict(one) for name, one in (self.sections or {}).items()}
        data = {"test_fraction": 0.0, "task": self._target.value} | sections.pop("data", {})
        validation = validation_of(self.cv, grouped=others["groups"] is not None) | sections.pop("validation", {})
        given = {"space": self.space, "trials": self.trials, "metric": metric, "direction": direction}
        spec, text = study_file(
            self.build,
            {"x": rows, "y": targets, **others},
            {**given, "seed": self.seed, "data": data, "validation": validation, **sections},
            stem=self.name,
        )
        with watching() if self.verbose else nullcontext() as observer:
            return study.start(spec, text, observer)

    def predict(self, X: object) -> Array:  # noqa: N803
        """The class or the value of each row; for rows of zeros and ones, such rows."""
        output = self._output(X)
        if self._target is Task.REGRESSION:
            output = amounts(output, self._card.unit)
            return output[:, 0] if output.ndim == 2 and output.shape[1] == 1 else output
        if self._target is Task.MULTILABEL:
            return (label_probabilities(output, self._card.logits) > 0.5).astype(int)
        rows: Array = np.eye(len(self.classes_), dtype=int) if self._in_rows else self.classes_
        return np.asarray(rows[probabilities(output, self._card.logits).argmax(axis=1)])

    @available_if(_classifies)  # type: ignore[untyped-decorator]  # scikit-learn is untyped
    def predict_proba(self, X: object) -> Array:  # noqa: N803
        """Probability of each class, in the order of ``classes_``."""
        output, of = self._output(X), label_probabilities if self._target is Task.MULTILABEL else probabilities
        return of(output, self._card.logits)

    def score(self, X: object, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:  # noqa: N803
        """What `scoring` says of these rows; greater is better.

        With ``[data] unit``, a metric of the model is in that unit, and a scorer of scikit-learn in that of `y`. With
        ``[data] standardize_targets``, ``val_loss`` is here that of the values themselves.

        Args:
            X: Rows.
            y: Their targets.
            sample_weight: How much each row counts, where the metric takes weights.
        """
        check_is_fitted(self, "study_")
        metric, direction = self._objective()
        if metric.startswith("sklearn:"):
            weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
            return float(get_scorer(metric.partition(":")[2])(self, X, y, **weighted))
        targets = np.asarray(y)
        if self.task_ == "classification" and not self._in_rows:
            unknown = np.setdiff1d(targets, self.classes_)
            if len(unknown):
                names = listed([repr(name)[:80] for name in unknown.tolist()], most=5)
                raise ValueError(f"y has classes that fit has not seen: {names}")
            targets = np.searchsorted(self.classes_, targets)
        if self._card.unit is not None:
            targets = targets / self._card.unit
        name, sign = metric.removeprefix("val_"), 1 if direction == "maximize" else -1
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float32)
        found: Any = self.best_estimator_.evaluate(
            self._inputs(X), targets, sample_weight=weights, verbose=0, return_dict=True
        )
        if name not in found:  # the study computes it, not the model
            found = values_of(self._target, targets, self._output(X), (name,), weights=weights)
        return sign * float(found[name])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self._kind == "classification":
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        elif self._kind == "regression":
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    @property
    def _kind(self) -> Kind | None:
        found: Kind | None = self.task if self.task is not None else getattr(self, "task_", None)
        return found

    def _checked(self, x: object, y: object) -> tuple["Array | pd.DataFrame", Array]:
        """Rows and targets as a study takes them. Sets what is known of them."""
        rows = self._rows(x, y, reset=True)
        targets = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y")
        if targets.ndim == 1 or targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        check_consistent_length(rows, targets)
        if self.task not in (None, "classification", "regression"):
            raise ValueError(f"task = {self.task!r} must be 'classification', 'regression' or None")
        found = infer_task(targets)
        self.task_ = self.task or ("regression" if found is Task.REGRESSION else "classification")
        self._in_rows = targets.ndim == 2
        self._target = Task.REGRESSION
        if self.task_ == "regression":
            return rows, targets.astype(np.float64) if targets.dtype.kind == "O" else targets
        check_classification_targets(targets)
        self.classes_ = np.arange(targets.shape[1]) if self._in_rows else np.unique(targets)
        self._target = Task.BINARY if len(self.classes_) == 2 and not self._in_rows else Task.MULTICLASS
        self._target = Task.MULTILABEL if found is Task.MULTILABEL else self._target
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()[0]!r}: a classifier needs at least two classes"
            )
        return rows, targets

    def _rows(self, x: object, y: object = "no_validation", *, reset: bool) -> "Array | pd.DataFrame":
        """Rows as a study or its model takes them: an array of numbers, or a table with texts or categories."""
        table = plain_frame("X", x) if hasattr(x, "columns") and not hasattr(x, "tocsr") else None
        if table is not None and table.select_dtypes(["number", "bool"]).shape[1] < table.shape[1]:
            validate_data(self, x, y, reset=reset, skip_check_array=True)
            return table
        with_y = {} if isinstance(y, str) else {"multi_output": True}
        found = validate_data(
            self, x, y, reset=reset, allow_nd=True, ensure_min_samples=2 if reset else 1, **with_y
        )  # fmt: skip
        rows: Array = found[0] if with_y else found
        return rows

    @property
    def _card(self) -> Card:
        record = self.study_.record
        assert record.champion is not None
        return card_of(record.facts.data, record.champion, record.spec.data.unit)

    def _inputs(self, x: object) -> Array | dict[str, Array]:
        try:
            return model_inputs(self._rows(x, reset=False), self._card)
        except RowsError as error:
            raise data_error("X", error) from None

    def _output(self, x: object) -> Array:
        """What the model returns for raw rows."""
        check_is_fitted(self, "study_")
        return np.asarray(self.best_estimator_.predict(self._inputs(x), batch_size=256, verbose=0))

    def _objective(self) -> tuple[str, str]:
        """Metric and direction, as a study file has them."""
        scoring = self.scoring
        if scoring is None:
            scoring = {Task.REGRESSION: "r2", Task.MULTILABEL: "f1_macro"}.get(self._target, "accuracy")
        if not isinstance(scoring, str):
            raise SpecError(
                f"scoring must be one name, but got {type(scoring).__name__}",
                code="unknown-scoring",
                hint='name a scorer of scikit-learn, such as "roc_auc", or a metric that the model records',
                type=type(scoring).__name__,
            )
        if scoring in get_scorer_names():
            return f"sklearn:{scoring}", "maximize"
        metric = scoring if scoring.startswith("val_") else f"val_{scoring}"
        known = metrics_for(self._target).get(metric.removeprefix("val_"))
        direction = self.direction or ("minimize" if metric == "val_loss" else known and known.direction)
        if not direction:
            raise SpecError(
                f"scoring = {scoring!r} is no scorer of scikit-learn, so it is read as a metric of the model, which "
                "needs a direction",
                code="missing-direction",
                hint='give direction="maximize" or direction="minimize"; sklearn.metrics.get_scorer_names() lists the '
                "scorers",
                scoring=scoring,
            )
        return metric, direction
