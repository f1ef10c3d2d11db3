"""What can be known of a study's metrics before anything trains: scores of predictions that no model has made.

Perfect and random ones show in which folds a metric has no value: where all predictions score alike, such as in the AUC
of rows of one class, for which Keras says 0. Those of :mod:`~hpsearch.training.baselines` are what a study is compared
with.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.metrics import values_of
from hpsearch.core.output_metrics import name_in
from hpsearch.core.records import output_of
from hpsearch.core.rehearsed import Undefined
from hpsearch.core.words import listed
from hpsearch.data.dataset import Array
from hpsearch.errors import ModelError
from hpsearch.training.named_outputs import is_named, named_outputs, numbers_in, own_names, rows_of
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]

_LARGE = 1000.0
"""Targets beyond this are far from where a model starts."""


@dataclass(frozen=True)
class Stand:
    """Predictions in the form of a model's output.

    Args:
        problem: The study's data and folds.
        model: Compiled, its metrics built.
        sample: Its predictions of some rows, as Keras returns them.
        raised: What the user's metrics and loss have raised.
        output: Which of several outputs it is alone; empty if it is all there is.
    """

    problem: Problem
    model: "keras.Model"
    sample: Any
    raised: list[Exception] = field(default_factory=list)
    output: str = ""

    @cached_property
    def parts(self) -> Mapping[str, "Stand"]:
        """Of several outputs, each on its own; empty of one, or if they have other names than the targets."""
        data = self.problem.dataset
        named = named_outputs(self.sample, data.train.y, own_names(self.model))
        if not (data.outputs and is_named(named, data.train.y)):
            return {}
        return {
            one.name: replace(
                self,
                problem=replace(self.problem, dataset=data.of_output(one)),
                sample=np.asarray(named[one.name]),
                output=one.name,
            )
            for one in data.outputs
        }

    @property
    def numbers_per_row(self) -> int:
        """Numbers that are predicted for a row."""
        return numbers_in(self.sample) // max(1, rows_of(self.sample))

    @property
    def usable(self) -> bool:
        """Whether the output has a form that is known: a probability, one for each class, or the targets' own shape."""
        if self.problem.dataset.outputs:
            return bool(self.parts) and all(part.usable for part in self.parts.values())
        if not isinstance(self.sample, np.ndarray) or self.problem.dataset.task is Task.NONE:
            return False
        data, width = self.problem.dataset, math.prod(self.sample.shape[1:])
        if not data.task.has_classes:
            return bool(width == math.prod(data.train.y.shape[1:]))
        known = width in (1, len(data.classes)) and (width > 1 or len(data.classes) == 2)
        return bool(known and self.sample.ndim == 2)

    def of_shares(self, shares: Floats) -> Floats:
        """Class shares of each row, shape ``(n_rows, n_classes)``, as predictions: probabilities or logits."""
        found = shares[:, 1:] if self.sample.shape[1] == 1 else shares
        sample = self.sample.astype(np.float32)
        if bool(((sample >= 0) & (sample <= 1)).all()):
            return found
        safe = np.clip(found, 1e-7, 1 - 1e-7)
        return np.log(safe / (1 - safe)) if self.sample.shape[1] == 1 else np.log(safe)

    def of_labels(self, shares: Array) -> Floats:
        """Each label's share, shape ``(n_rows, n_labels)``, as predictions: probabilities or logits."""
        found, sample = np.asarray(shares, np.float32), self.sample.astype(np.float32)
        if bool(((sample >= 0) & (sample <= 1)).all()):
            return found
        safe = np.clip(found, 1e-7, 1 - 1e-7)
        return np.asarray(np.log(safe / (1 - safe)))

    def of_targets(self, y: Array) -> Floats:
        """Targets of a regression as predictions."""
        return np.asarray(y, np.float32).reshape(len(y), *self.sample.shape[1:])

    def classes_of(self, y: Array) -> NDArray[np.intp]:
        """Class number of each row."""
        return np.asarray(y.argmax(axis=1) if y.ndim == 2 else y, np.intp)

    def values(self, y: Array, predicted: Any, weights: Array | None = None) -> dict[str, float]:
        """The compiled metrics of some predictions, and the loss without penalties; none where they cannot be told.

        Args:
            y: Targets.
            predicted: Predictions; of several outputs, by the names of their targets.
            weights: How much each row counts; None if all count alike.

        Returns:
            Of one of several outputs alone, the metrics of its task.
        """
        if self.output:
            return values_of(self.problem.dataset.task, y, predicted, weights=weights)
        from hpsearch.keras_internals.compiled import has_own_loss
        from hpsearch.training.engines.whole import losses_of, metrics_of

        found: dict[str, float] = {}
        try:
            found |= metrics_of(self.model, y, self._as_returned(predicted), weights)
        except Exception as error:  # the user's metrics may not take such predictions
            self.raised.append(error)
        if has_own_loss(self.model):  # it may need the rows' inputs
            return found | self._scored(found, y, predicted, weights)
        try:
            penalties = sum(float(one) for one in self.model.losses)
            losses = losses_of(self.model, y, self._as_returned(predicted), weights)
            found |= {**losses, "loss": losses["loss"] - penalties}
        except Exception as error:  # nor may the user's loss
            self.raised.append(error)
        return found | self._scored(found, y, predicted, weights)

    def _as_returned(self, predicted: Any) -> Any:
        """Predictions in the form in which Keras returns them."""
        if isinstance(self.sample, np.ndarray):
            return predicted
        named = named_outputs(self.sample, self.problem.dataset.train.y, own_names(self.model))
        said, rows = {id(one): predicted[name] for name, one in named.items()}, rows_of(predicted)

        def filled(one: Array) -> Array:  # outputs without targets count for nothing
            return said[id(one)] if id(one) in said else np.zeros((rows, *one.shape[1:]), one.dtype)

        several = self.sample.items() if isinstance(self.sample, Mapping) else enumerate(self.sample)
        found = {key: filled(one) for key, one in several}
        return found if isinstance(self.sample, Mapping) else list(found.values())

    def _scored(self, found: Mapping[str, float], y: Array, predicted: Any, weights: Array | None) -> dict[str, float]:
        scored = {}
        for scorer in self.problem.scorers:
            if scorer.name not in found:
                try:
                    scored[scorer.name] = scorer(y, predicted, weights)
                except ModelError as error:
                    self.raised.append(error)
        return scored


def undefined_metrics(stand: Stand) -> tuple[Undefined, ...]:
    """Metrics that have no value in some folds, because of what their validation rows lack."""
    problem = stand.problem
    if not stand.usable:
        return ()
    if stand.parts:
        return tuple(
            replace(one, metric=f"val_{name_in(name, one.metric.removeprefix('val_'))}")
            for name, part in stand.parts.items()
            for one in undefined_metrics(part)
        )
    y = problem.dataset.train.y
    lacking = {fold.index: lack for fold in problem.folds if (lack := _lack(stand, y[fold.validation]))}
    if not lacking:
        return ()
    anywhere = _indifferent(stand, y)
    folds: dict[str, list[int]] = {}
    for fold in lacking:
        for name in sorted(_indifferent(stand, y[problem.folds[fold].validation]) - anywhere):
            folds.setdefault(name, []).append(fold)
    return tuple(
        Undefined(f"val_{name}", tuple(found), listed(dict.fromkeys(lacking[fold] for fold in found)))
        for name, found in folds.items()
    )


def without_value(stand: Stand, y: Array) -> set[str]:
    """Metrics that have no value on rows with these targets."""
    if stand.usable and stand.parts:
        parts = stand.parts.items()
        return {name_in(name, one) for name, part in parts for one in without_value(part, output_of(y, name))}
    if not (stand.usable and _lack(stand, y)):
        return set()
    return _indifferent(stand, y) - _indifferent(stand, stand.problem.dataset.train.y)


def _lack(stand: Stand, y: Array) -> str:
    """What rows with these targets lack, in words; empty if nothing."""
    data = stand.problem.dataset
    if data.task is Task.REGRESSION:
        if len(y) == 1:
            return "one row only"
        return "equal targets only" if bool((np.ptp(y, axis=0) == 0).any()) else ""
    if data.task is Task.MULTILABEL:
        poor = [repr(name) for name, column in zip(data.classes, y.T, strict=True) if len(np.unique(column)) == 1]
        return f"equal values of label {listed(poor, most=3)} only" if poor else ""
    there, known = (set(stand.classes_of(part).tolist()) for part in (y, data.train.y))
    if len(there) == 1 < len(known):
        return f"rows of class {data.classes[there.pop()]!r} only"
    missing = [repr(data.classes[one]) for one in sorted(known - there)]
    return f"no rows of class {listed(missing, most=3)}" if missing else ""


def _indifferent(stand: Stand, y: Array) -> set[str]:
    """Metrics that give good, bad and random predictions the same value, or none."""
    if stand.problem.dataset.task is Task.REGRESSION:
        # Around 0, where float32 tells equal targets from nearly equal ones.
        y = (y - y.astype(np.float64).mean(axis=0)).astype(np.float32)
    found = [stand.values(y, predicted) for predicted in _any_predictions(stand, y)]
    names = {name for values in found for name in values} - {"loss"}
    return {name for name in names if len({round(v[name], 6) for v in found if math.isfinite(v[name])}) < 2}


def _any_predictions(stand: Stand, y: Array) -> Iterator[Floats]:
    """Perfect ones, bad ones, random ones."""
    rng = np.random.default_rng(0)
    if stand.problem.dataset.task is Task.REGRESSION:
        right = stand.of_targets(y)
        scale = float(np.std(stand.problem.dataset.train.y.astype(np.float64))) or 1.0
        yield right
        for _ in range(2):
            yield (right + scale * rng.standard_normal(right.shape)).astype(np.float32)
        return
    n = len(stand.problem.dataset.classes)
    if stand.problem.dataset.task is Task.MULTILABEL:
        for labels in (y, 1 - y.astype(np.float32), *(rng.random(y.shape) for _ in range(2))):
            yield stand.of_labels(labels)
        return
    right = np.eye(n, dtype=np.float32)[stand.classes_of(y)]
    for shares in (right, np.roll(right, 1, axis=1), *(rng.dirichlet(np.ones(n), len(y)) for _ in range(2))):
        yield stand.of_shares(np.asarray(shares, np.float32))


def doubts_about_targets(stand: Stand) -> tuple[str, ...]:
    """A sentence if the targets are so large that a model must first travel to them."""
    data = stand.problem.dataset
    if stand.usable and stand.parts:
        return tuple(doubt for part in stand.parts.values() for doubt in doubts_about_targets(part))
    if data.task is not Task.REGRESSION or not stand.usable:
        return ()
    size, spread = (
        float(np.median(np.abs(data.train.y.astype(np.float64)))),
        float(np.std(data.train.y.astype(np.float64))),
    )
    if size < _LARGE or float(np.abs(stand.sample.astype(np.float64)).max(initial=0.0)) > size / 100:
        return ()
    of, ways = "", "set [data] standardize_targets = true, or let the model end in Rescaling(scale, offset)"
    if stand.output:
        of, ways = f" of output {stand.output!r}", "let it end in Rescaling(scale, offset)"
    return (
        f"the targets{of} are around {size:.2g} (standard deviation {spread:.2g}), but the model starts near 0 and may "
        f"not get there: {ways}",
    )
