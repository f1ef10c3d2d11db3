"""What is reached without a model: the objective and the test's metrics for predictions that look at no inputs."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from hpsearch.core.foreign import said
from hpsearch.core.objective import Objective
from hpsearch.core.output_metrics import Targets, best_values, known_metrics, metric_values, name_in, output_of_metric
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
    guessed, own = _Guessed(stand, objective, left_out), _output_of(stand, objective.metric)
    if own is None:
        tried = [guessed.best_of_each()]
    else:
        chosen = [{**guessed.first, own: rule} for rule in guessed.rules[own]]
        tried = list(zip(chosen, guessed.scores(chosen), strict=True))
    means = guessed.metrics()
    made = [
        Baseline(
            rules[own] if own is not None else " and ".join(f"{rule} for {name!r}" for name, rule in rules.items()),
            fmean(scores),
            scores,
            _of_each(stand.problem.dataset, means, rules, own),
            looks_back=BEFORE in ([rules[own]] if own is not None else rules.values()),
        )
        for rules, scores in tried
        if scores and math.isfinite(sum(scores))
    ]
    return tuple(sorted(made, key=lambda one: guessed.sign * one.value))


class _Guessed:
    """What may be said of the validation rows of every fold, and how that scores. No fold is kept.

    Args:
        stand: The study's data and model.
        objective: Whose metric counts.
        left_out: Folds in which it has no value.

    Attributes:
        rules: Of each output.
        first: The first rule of each output.
        sign: 1 if a low score is good, else -1.
    """

    def __init__(self, stand: Stand, objective: Objective, left_out: Sequence[int]) -> None:
        self._stand, self._data, self._left_out = stand, stand.problem.dataset, left_out
        self._name = objective.metric.removeprefix("val_")
        self.sign = -1 if objective.direction == "maximize" else 1
        _, _, guessed = next(self._folds())
        self.rules = {output: tuple(found) for output, found in guessed.items()}
        self.first = {output: rules[0] for output, rules in self.rules.items()}

    def _folds(self, left_out: Sequence[int] = ()) -> Iterator[tuple[Rows, Rows, dict[str, dict[str, Floats]]]]:
        """Training rows, validation rows, and what is said of the latter."""
        part = self._data.train
        rows = Rows(part.y, self._stand.problem.time_of(part), part.weights)
        for fold in self._stand.problem.folds:
            if fold.index not in left_out:
                train, validation = take(rows, fold.train), take(rows, fold.validation)
                yield train, validation, _by_output(self._stand, train, validation)

    def scores(self, chosen: Sequence[_Chosen]) -> list[tuple[float, ...]]:
        """The objective in every fold that counts, for each choice of rules."""
        from hpsearch.models.standardized import standardize_as

        found: list[list[float]] = [[] for _ in chosen]
        for train, rows, guessed in self._folds(self._left_out):
            standardize_as(self._stand.model, train.y, train.weights)
            for rules, values in zip(chosen, found, strict=True):
                told = self._stand.values(rows.y, _joint(guessed, rules), rows.weights)
                values.append(told.get(self._name, math.nan))
        train, _, _ = next(self._folds())
        standardize_as(self._stand.model, train.y, train.weights)  # it is the first fold's
        return [tuple(values) for values in found]

    def best_of_each(self) -> tuple[_Chosen, tuple[float, ...]]:
        """The rules with the best score, found for one output after the other, and that score."""
        best: dict[str, str] = dict(self.first)
        scores: tuple[float, ...] = ()
        for output, rules in self.rules.items():
            chosen = [{**best, output: rule} for rule in rules]
            means = [
                (self.sign * fmean(found), rule, found)
                for rule, found in zip(rules, self.scores(chosen), strict=True)
                if found and not math.isnan(sum(found))
            ]
            if means:
                _, best[output], scores = min(means)
        return best, scores

    def metrics(self) -> dict[tuple[str, str], dict[str, float]]:
        """Output and rule → the metrics of the output's task, means over the folds in which they have a value."""
        found: dict[tuple[str, str], dict[str, list[float]]] = {}
        for _, rows, guessed in self._folds():
            for output, rules in guessed.items():
                for rule in rules:
                    predicted = _joint({output: rules}, {output: rule})
                    values = metric_values(self._data, rows.y, predicted, weights=rows.weights)
                    for name, value in values.items():
                        if math.isfinite(value):
                            found.setdefault((output, rule), {}).setdefault(name, []).append(value)
        return {place: {name: fmean(values) for name, values in told.items()} for place, told in found.items()}


def _of_each(
    targets: Targets, means: Mapping[tuple[str, str], Mapping[str, float]], rules: _Chosen, own: str | None
) -> dict[str, float]:
    """The metrics for what is said of the objective's output, and the best ones of all others."""
    best: dict[str, float] = {}
    for output in rules:
        told = [
            found for (name, rule), found in means.items() if name == output and (output != own or rule == rules[own])
        ]
        best |= best_values(targets, told)
    return best


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
    scorer = stand.problem.scorer
    if scorer is not None and ":" in scorer.address:  # whatever it is called, it sees all outputs
        return None
    outputs, own, metric = stand.problem.dataset.outputs, own_names(stand.model), metric.removeprefix("val_")
    if (found := output_of_metric(outputs, metric)) is not None:
        return found[0].name
    # Outputs that came in order have no names of their own: Keras takes those of the model's layers.
    called = [replace(one, name=name) for one, name in zip(outputs, own, strict=False)]
    found = output_of_metric(called, metric) if len(own) == len(outputs) else None
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
    for found in _values_of_each(stand, guessed, rows):
        for name, value in found.items():
            better = better_one(data, name, objective)
            if better is not None and math.isfinite(value):
                best[name] = better(best.get(name, value), value)
    return best


def _values_of_each(
    stand: Stand, guessed: Mapping[str, Mapping[str, Floats]], rows: Rows
) -> Iterator[Mapping[str, float]]:
    """The metrics for every rule of every output. Of the outputs before, the rule with the lowest loss is said."""

    def values(chosen: _Chosen) -> dict[str, float]:
        predicted = _joint(guessed, chosen)
        known = metric_values(stand.problem.dataset, rows.y, predicted, weights=rows.weights)
        return known | stand.values(rows.y, predicted, rows.weights)

    chosen = {output: next(iter(rules)) for output, rules in guessed.items()}
    for output, rules in guessed.items():
        losses: dict[str, float] = {}
        for rule in rules:
            found = values({**chosen, output: rule})
            losses[rule] = found.get("loss", math.inf)
            yield found
        chosen[output] = min(losses, key=lambda rule: math.inf if math.isnan(losses[rule]) else losses[rule])


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
