"""Score against size and against training time: what a better score costs, and which trials nothing else beats.

A trial is on the Pareto front if no other trial that keeps the limits is at least as good in score and cost, and better
in one of them (V. Pareto, "Manuale di economia politica", 1906).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpsearch.analysis import words
from hpsearch.analysis.limits import shown_quantities
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord

AXES: Mapping[str, str] = {"parameters": "parameters", "seconds": "training seconds, all folds"}
"""Cost → its title."""

_FEWEST = 3
"""Trials that make a plot."""

MAX_POINTS = 1000
"""Largest number of trials off the front that are drawn; more are thinned out evenly, by their score."""


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A trial with a score.

    Attributes:
        trial: Its number.
        score: Mean over folds.
        std: Sample standard deviation over folds; None with one fold.
        parameters: Number of weights; None if unknown.
        seconds: Training time over all folds.
        feasible: Whether it keeps the study's limits.
        broken: Which limits it breaks; empty otherwise.
        measured: What the study's limits are on.
    """

    trial: int
    score: float
    std: float | None
    parameters: int | None
    seconds: float
    feasible: bool
    broken: str
    measured: dict[str, float]

    def cost(self, axis: str) -> float | None:
        """Its place on one of :data:`AXES`."""
        return self.parameters if axis == "parameters" else self.seconds


@dataclass(frozen=True, slots=True)
class ParetoFront:
    """One plot.

    Attributes:
        axis: ``parameters`` or ``seconds``.
        title: The axis in words.
        reason: Why there is nothing to draw; empty otherwise.
        front: The trials on the front, the cheapest first. Empty with a reason.
        limit: Limit of the study on this axis; None if it has none.
        sentence: What the front says.
    """

    axis: str
    title: str
    reason: str
    front: tuple[ParetoPoint, ...]
    limit: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class ParetoInfo:
    """Score against cost.

    Attributes:
        metric: The objective's metric.
        direction: ``"minimize"`` or ``"maximize"``.
        points: Trials with a score, complete and infeasible ones, by number.
        shown: Places of the points to draw: all, or some taken evenly if there are many.
        limited: What the study's limits are on, besides the number of weights and the score.
        score_limits: Limits on the objective's own curve.
        fronts: One per axis.
    """

    metric: str
    direction: str
    points: tuple[ParetoPoint, ...]
    shown: tuple[int, ...]
    limited: tuple[str, ...]
    score_limits: tuple[float, ...]
    fronts: tuple[ParetoFront, ...]


def pareto_info(record: StudyRecord) -> ParetoInfo:
    """Score against parameters and against training time; see :class:`ParetoInfo`."""
    states = (TrialState.COMPLETE, TrialState.INFEASIBLE)
    scored = [trial for trial in record.trials if trial.state in states and _is_finite(trial.score)]
    points = tuple(map(_point, scored))
    metric, constraints = record.objective.metric, record.objective.constraints.each
    return ParetoInfo(
        metric=metric,
        direction=record.objective.direction,
        points=points,
        shown=tuple(range(0, len(points), max(1, math.ceil(len(points) / MAX_POINTS)))),
        limited=shown_quantities(record),
        score_limits=tuple(one.limit for one in constraints if one.quantity == metric),
        fronts=tuple(_front(record, points, axis) for axis in AXES),
    )


def _is_finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _point(trial: Trial) -> ParetoPoint:
    assert trial.score is not None
    feasible = trial.state is TrialState.COMPLETE
    return ParetoPoint(
        trial=trial.number,
        score=trial.score,
        std=trial.std,
        parameters=trial.parameters,
        seconds=trial.seconds,
        feasible=feasible,
        broken="" if feasible or trial.failure is None else trial.failure.message,
        measured=dict(trial.measured),
    )


def _front(record: StudyRecord, points: Sequence[ParetoPoint], axis: str) -> ParetoFront:
    limits = [one.limit for one in record.objective.constraints.each if one.quantity == axis]
    limit = limits[0] if limits else None
    known = [one for one in points if one.cost(axis) is not None]
    kept = [one for one in known if one.feasible]
    reason = _why_not(known, kept, axis)
    if reason:
        return ParetoFront(axis, AXES[axis], reason, (), limit, "")
    sign = -1.0 if record.objective.direction == "maximize" else 1.0
    front: list[ParetoPoint] = []
    for one in sorted(kept, key=lambda one: (one.cost(axis), sign * one.score, one.trial)):
        if not front or sign * one.score < sign * front[-1].score:
            front.append(one)
    return ParetoFront(axis, AXES[axis], "", tuple(front), limit, _sentence(record, front, kept, axis))


def _why_not(known: Sequence[ParetoPoint], kept: Sequence[ParetoPoint], axis: str) -> str:
    if len(known) < _FEWEST:
        few = "no trial has" if not known else f"only {words.several(len(known), 'trial has', 'trials have')}"
        return f"{few} a score{' and a size' if axis == 'parameters' else ''}, and a plot needs {_FEWEST}"
    if not kept:
        return "no trial keeps the study's limits"
    if len({one.cost(axis) for one in known}) == 1:
        cost = words.whole(known[0].parameters) + " parameters" if axis == "parameters" else "the same training time"
        return f"all trials have {cost}, so there is nothing to trade"
    return ""


def _sentence(record: StudyRecord, front: Sequence[ParetoPoint], kept: Sequence[ParetoPoint], axis: str) -> str:
    metric = record.objective.metric
    best, cheapest, by_size = front[-1], front[0], axis == "parameters"
    alone = f"is as {'small' if by_size else 'quick to train'} and scores as well"
    are = "is" if len(front) == 1 else "are"
    told = f"{words.several(len(front), 'trial')} of {len(kept)} {are} on the front: no other one {alone}."
    if best is cheapest:
        what = "smallest" if by_size else "quickest to train"
        return f"{told} Trial {best.trial} has the best {metric} and is the {what}."
    first, last = words.score(cheapest.score, cheapest.std), words.score(best.score, best.std)
    return (
        f"{told} Trial {best.trial} has the best {metric}, {last}, with {cost_of(best, axis)}; trial {cheapest.trial} "
        f"reaches {first} with {cost_of(cheapest, axis)}."
    )


def cost_of(point: ParetoPoint, axis: str) -> str:
    """For example ``1,234 parameters``, or ``12 s of training``."""
    if axis == "parameters":
        return f"{words.whole(point.parameters)} parameters"
    return f"{words.duration(point.seconds)} of training"
