"""Test metrics with some rows left out: what intervals of metrics are made of that are no means over rows.

Keras computes them, so a metric of the user's own gets an interval like any other.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.foreign import said
from hpsearch.core.output_metrics import known_metrics
from hpsearch.data.dataset import Array, Part
from hpsearch.training.engines.whole import losses_of, metrics_of
from hpsearch.training.named_outputs import named_outputs, numbers_in, of_targets, own_names, rows_in
from hpsearch.training.problem import Problem
from hpsearch.training.scorers import Scorer

if TYPE_CHECKING:
    import keras

Measure = Callable[[Array, Any, Array | None], dict[str, float]]
"""Of targets, predictions and weights: metrics by name."""

_PARTS = 100
"""Parts of the rows, each left out once. More would take longer, and tell hardly more."""

_MOST_VALUES = 500_000_000
"""Predicted numbers in all evaluations together; larger outputs, such as images, have fewer parts."""

_LEAST_PARTS = 20

_MOST_RANKED = 200_000
"""Predicted numbers of the rows; of more, the task's metrics that are not the objective have no interval."""


def parts_of(test: Part, time: Array | None, size: int, *, seed: int) -> NDArray[np.int32]:
    """Number of the part of each row: whole groups, neighbours in time, or rows at random.

    Args:
        test: The rows.
        time: Time of each row; None if order does not matter.
        size: Predicted numbers of all rows.
        seed: Decides which rows are together.
    """
    most = max(_LEAST_PARTS, min(_PARTS, _MOST_VALUES // max(size, 1)))
    rng = np.random.default_rng(seed)
    if test.groups is not None:
        place = np.unique(test.groups, return_inverse=True)[1]
    elif time is not None:
        place = np.empty(len(test), dtype=np.intp)
        place[np.argsort(time, kind="stable")] = np.arange(len(test))
        return (place * min(most, len(test)) // len(test)).astype(np.int32)
    else:
        place = np.arange(len(test))
    count = int(place.max()) + 1
    return (rng.permutation(count) % min(most, count))[place].astype(np.int32)


def left_out(
    model: "keras.Model",
    problem: Problem,
    test: Part,
    predicted: Any,
    parts: NDArray[np.int32],
    scores: Mapping[str, float],
) -> dict[str, Array]:
    """The arrays to store: metrics' names, their values over all rows, and with each part left out.

    Args:
        model: Compiled; it has been evaluated.
        problem: Of the study; its scorers and its task may compute some of the metrics.
        test: The test rows.
        predicted: The model's output for them, as Keras returns it.
        parts: See :func:`parts_of`.
        scores: The metrics to store. One that is not computed alike from stored predictions is left out.

    Returns:
        If the user's code has failed on some of the rows, also why; empty if there is nothing to store.
    """
    from hpsearch.keras_internals.compiled import output_losses

    problems: list[str] = []
    y, weights, losses = test.y, test.weights, {"loss", *(one.name for one in output_losses(model))}
    own = _values([partial(metrics_of, model)], y, predicted, weights, problems)
    whole = own | _values(_measures(model, problem, scores.keys() - own.keys()), y, predicted, weights, problems)
    names = [name for name, value in scores.items() if math.isclose(whole.get(name, math.nan), value, rel_tol=1e-3)]
    if numbers_in(predicted) > _MOST_RANKED:
        known = {*own, *losses, *(one.name for one in problem.scorers)}
        names = [name for name in names if name in known]
    if not names:
        return _told(problems)
    measures: list[Measure] = [partial(metrics_of, model)] if own.keys() & set(names) else []
    measures += _measures(model, problem, set(names) - own.keys())
    without = []
    for part in range(int(parts.max()) + 1):
        kept = parts != part
        some = None if weights is None else weights[kept]
        found = _values(measures, y[kept], rows_in(predicted, kept), some, problems)
        without.append([found.get(name, math.nan) for name in names])
    return _told(problems) | {
        "parts": parts,
        "left_out_names": np.array(names),
        "left_out_whole": np.array([whole[name] for name in names]),
        "left_out": np.array(without),
    }


def _told(problems: list[str]) -> dict[str, Array]:
    return {"left_out_problem": np.array(problems[0])} if problems else {}


def _measures(model: "keras.Model", problem: Problem, wanted: Collection[str]) -> list[Measure]:
    """What computes the wanted metrics that are not the model's: each on its own, for they do not share failures."""
    from hpsearch.keras_internals.compiled import has_own_loss, output_losses

    scorers = [one for one in problem.scorers if one.name in wanted]
    found: list[Measure] = []
    losses = {"loss", *(one.name for one in output_losses(model))}
    if losses & set(wanted) and not has_own_loss(model):
        found.append(partial(losses_of, model))
    found += [partial(_scored, one, own_names(model)) for one in scorers]
    if known := set(wanted) & known_metrics(problem.dataset).keys() - {one.name for one in scorers}:
        found.append(of_targets(problem.dataset, model, known))
    return found


def _scored(scorer: Scorer, own: Sequence[str], y: Array, predicted: Any, weights: Array | None) -> dict[str, float]:
    return {scorer.name: scorer(y, named_outputs(predicted, y, own), weights)}


def _values(
    measures: Iterable[Measure], y: Array, predicted: Any, weights: Array | None, problems: list[str]
) -> dict[str, float]:
    """Metrics of these rows; `problems` gets what went wrong."""
    found: dict[str, float] = {}
    for measure in measures:
        try:
            found |= measure(y, predicted, weights)
        except Exception as error:  # the user's code, which may not take fewer rows
            problems.append(said(error))
    return found
