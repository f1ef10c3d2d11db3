"""What is reached without a model: the objective and the test's metrics for predictions that look at no inputs."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from hpsearch.core.foreign import said
from hpsearch.core.objective import Objective
from hpsearch.core.output_metrics import Targets, best_values, known_metrics, metric_values, name_in, output_of_curve
from hpsearch.core.rehearsed import Baseline
from hpsearch.data.dataset import Part
from hpsearch.training.guesses import BEFORE, Rows, guesses, of_output, take
from hpsearch.training.named_outputs import own_names
from hpsearch.training.untrained import Floats, Stand

_MOST_VALUES = 20_000_000
"""Predicted numbers of some rows; larger outputs, such as images, get no baseline."""

_Chosen = Mapping[str, str]
"""Output → the rule that says what it is; with one output, its name is empty."""


def baselines(stand: Stand, objective: Objective, left_out: Sequence[int]) -> tuple[Baseline, ...]:
    """What the objective is for predictions that look at no inputs, the best first.

    If the objective is a curve of one of several outputs, they are those of this output. If it is of all of them, such
    as their loss, there is one: what is best for each output.

    Args:
        stand: The study's data and model.
        objective: Whose metric counts.
        left_out: Folds in which it has no value.

    Returns:
        Empty if the metric is of the training rows, or has no value for such predictions.
    """
    if not _can_have_one(stand, objective):
        return ()
    said, own = _Said(stand, objective, left_out), _output_of(stand, objective.metric)
    chosen = [{**said.first, own: rule} for rule in said.rules(own)] if own is not None else [said.best_of_each()]
    made = [
        Baseline(
            said.rule_of(one, own),
            fmean(found),
            found,
            said.metrics(one, own),
            looks_back=BEFORE in ([one[own]] if own is not None else one.values()),
        )
        for one in chosen
        if (found := said.scores(one)) and math.isfinite(sum(found))
    ]
    return tuple(sorted(made, key=lambda one: said.sign * one.value))


class _Said:
    """What may be said of the validation rows of every fold, and how that scores.

    Args:
        stand: The study's data and model.
        objective: Whose metric counts.
        left_out: Folds in which it has no value.

    Attributes:
        first: The first rule of each output.
        sign: 1 if a low score is good, else -1.
    """

    def __init__(self, stand: Stand, objective: Objective, left_out: Sequence[int]) -> None:
        self._stand, self._data = stand, stand.problem.dataset
        self._name = objective.metric.removeprefix("val_")
        self._counted = [fold.index not in left_out for fold in stand.problem.folds]
        self.sign = -1 if objective.direction == "maximize" else 1
        part = self._data.train
        rows = Rows(part.y, stand.problem.time_of(part), part.weights)
        self._folds = [(take(rows, fold.train), take(rows, fold.validation)) for fold in stand.problem.folds]
        self._guesses = [_by_output(stand, *fold) for fold in self._folds]
        self.first = {output: next(iter(found)) for output, found in self._guesses[0].items()}

    def rules(self, output: str) -> tuple[str, ...]:
        return tuple(self._guesses[0][output])

    def rule_of(self, chosen: _Chosen, own: str | None) -> str:
        """In words."""
        return chosen[own] if own is not None else " and ".join(f"{rule} for {name!r}" for name, rule in chosen.items())

    def scores(self, chosen: _Chosen) -> tuple[float, ...]:
        """The objective in every fold that counts."""
        from hpsearch.models.standardized import standardize_as

        found = []
        for (train, rows), guessed, counts in zip(self._folds, self._guesses, self._counted, strict=True):
            if counts:
                standardize_as(self._stand.model, train.y, train.weights)
                values = self._stand.values(rows.y, _joint(guessed, chosen), rows.weights)
                found.append(values.get(self._name, math.nan))
        train = self._folds[0][0]
        standardize_as(self._stand.model, train.y, train.weights)  # it is the first fold's
        return tuple(found)

    def best_of_each(self) -> _Chosen:
        """The rules with the best score, found for one output after the other."""
        best = dict(self.first)
        for output in best:
            tried = {rule: self.scores({**best, output: rule}) for rule in self.rules(output)}
            means = {rule: self.sign * fmean(found) for rule, found in tried.items() if found}
            known = {rule: mean for rule, mean in means.items() if not math.isnan(mean)}
            best[output] = min(known, key=known.__getitem__, default=best[output])
        return best

    def metrics(self, chosen: _Chosen, own: str | None) -> dict[str, float]:
        """The task's metrics for what is said of the objective's output, and the best ones of all others."""
        found: dict[str, float] = {}
        for output, rule in chosen.items():
            rules = (rule,) if output == own else self.rules(output)
            found |= best_values(self._data, [self._means(output, one) for one in rules])
        return found

    def _means(self, output: str, rule: str) -> dict[str, float]:
        """Of each metric over the folds in which it has a value."""
        found: dict[str, list[float]] = {}
        for (_, rows), guessed in zip(self._folds, self._guesses, strict=True):
            predicted = _joint({output: guessed[output]}, {output: rule})
            for name, value in metric_values(self._data, rows.y, predicted, weights=rows.weights).items():
                if math.isfinite(value):
                    found.setdefault(name, []).append(value)
        return {name: fmean(values) for name, values in found.items()}


def _by_output(stand: Stand, train: Rows, rows: Rows) -> dict[str, dict[str, Floats]]:
    """Output → rule → what it predicts of some rows."""
    parts = stand.parts or {"": stand}
    return {
        name: dict(guesses(part, *(of_output(some, name) for some in (train, rows)))) for name, part in parts.items()
    }


def _joint(guessed: Mapping[str, Mapping[str, Floats]], chosen: _Chosen) -> Any:
    """Predictions of some rows, as a stand takes them."""
    found = {name: guessed[name][rule] for name, rule in chosen.items()}
    return found.get("", found)


def _output_of(stand: Stand, metric: str) -> str | None:
    """The output that a curve is of; None if it is of several."""
    if not stand.parts:
        return ""
    outputs, own = stand.problem.dataset.outputs, own_names(stand.model)
    if (found := output_of_curve(outputs, metric)) is not None:
        return found[0].name
    # Outputs that came in order have no names of their own: Keras takes those of the model's layers.
    called = [replace(one, name=name) for one, name in zip(outputs, own, strict=False)]
    found = output_of_curve(called, metric) if len(own) == len(outputs) else None
    return None if found is None else outputs[called.index(found[0])].name


def baseline_of_test(stand: Stand, test: Part, objective: Objective) -> dict[str, float]:
    """The best that each metric of some rows is for predictions that look at no inputs.

    They know the development rows' targets; where rows have a time, the naive forecast also knows those of earlier test
    rows.

    Args:
        stand: The study's data and model.
        test: The rows.
        objective: Says which direction of its metric is the better one.

    Returns:
        Only metrics of which is known whether higher or lower is better.
    """
    if not stand.usable or len(test) * stand.numbers_per_row > _MOST_VALUES:
        return {}
    problem, data = stand.problem, stand.problem.dataset
    train = data.train
    before = Rows(train.y, problem.time_of(train), train.weights)
    rows = Rows(test.y, problem.time_of(test, after=len(train)), test.weights)
    guessed = _by_output(stand, before, rows)
    best: dict[str, float] = {}
    for predicted in _one_by_one(guessed, lambda one: stand.values(test.y, one, test.weights).get("loss", math.nan)):
        found = metric_values(data, test.y, predicted, weights=test.weights)
        found |= stand.values(test.y, predicted, test.weights)
        for name, value in found.items():
            better = better_one(data, name, objective)
            if better is not None and math.isfinite(value):
                best[name] = better(best.get(name, value), value)
    return best


def _one_by_one(guessed: Mapping[str, Mapping[str, Floats]], loss: Callable[[Any], float]) -> Iterator[Any]:
    """Predictions with every rule of every output; of the outputs before, the rule with the lowest loss."""
    chosen = {output: next(iter(rules)) for output, rules in guessed.items()}
    for output, rules in guessed.items():
        losses = {}
        for rule in rules:
            predicted = _joint(guessed, {**chosen, output: rule})
            losses[rule] = loss(predicted) if len(guessed) > 1 else math.nan
            yield predicted
        known = {rule: value for rule, value in losses.items() if not math.isnan(value)}
        chosen[output] = min(known, key=known.__getitem__, default=chosen[output])
    if len(guessed) > 1:
        yield _joint(guessed, chosen)


def better_one(targets: Targets, name: str, objective: Objective) -> Callable[[float, float], float] | None:
    """``max`` or ``min``, whichever finds the better value of a metric; None if that is not known."""
    if name == objective.metric.removeprefix("val_"):
        return max if objective.direction == "maximize" else min
    if name in ("loss", *(name_in(output.name, "loss") for output in targets.outputs)):
        return min
    known = known_metrics(targets).get(name)
    return None if known is None else max if known.direction == "maximize" else min


def _can_have_one(stand: Stand, objective: Objective) -> bool:
    """Whether the objective is of validation rows and of predictions, and these have a form and size that is known."""
    from hpsearch.keras_internals.compiled import has_own_loss

    if not objective.metric.startswith("val_") or not stand.usable:
        return False
    if objective.metric == "val_loss" and has_own_loss(stand.model):
        return False
    largest = max(len(fold.validation) for fold in stand.problem.folds)
    return largest * stand.numbers_per_row <= _MOST_VALUES


def doubts_about_baseline(
    stand: Stand, objective: Objective, left_out: Sequence[int], found: Sequence[Baseline]
) -> tuple[str, ...]:
    """A sentence if the objective has no value for a model that says the same for all rows."""
    folds = len(stand.problem.folds)
    if found or not _can_have_one(stand, objective) or len(left_out) == folds:
        return ()
    why = f"raises {said(stand.raised[0])}" if stand.raised else "is not a finite number"
    return (
        f"the study has no baseline: for predictions that are the same in all rows, {objective.metric} {why}. If it "
        "returned a value there, the report could say whether the best model has learned anything",
    )
