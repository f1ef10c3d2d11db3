"""How the search went: the best score so far, trial by trial and over time."""

import math
from dataclasses import dataclass

from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord

MAX_POINTS = 1500
"""Maximum length of :attr:`TrajectoryInfo.shown`; more dots are thinned out evenly."""


@dataclass(frozen=True, slots=True)
class TrajectoryInfo:
    """Finished trials in the order in which they finished. All per-trial tuples have the same length.

    Attributes:
        metric: The objective's metric.
        direction: ``"minimize"`` or ``"maximize"``.
        trials: Numbers of the trials.
        states: Their states.
        scores: Their scores; None for a trial without one.
        seconds: When each finished, in seconds since the first trial started. Includes the time in which the study was
            interrupted.
        best: Best score of a complete trial so far; None before the first.
        shown: Positions to draw as dots: all, or some taken evenly if there are many.
        steps: Positions at which the best score changed, and the last position.
        baseline: Score of what needs no model; None if the metric has none.
        score_range: Lowest and highest score of the complete trials, with a margin; None without complete trials.
            Including pruned trials would squeeze the others together, because they are scored early.
    """

    metric: str
    direction: str
    trials: tuple[int, ...]
    states: tuple[str, ...]
    scores: tuple[float | None, ...]
    seconds: tuple[float, ...]
    best: tuple[float | None, ...]
    shown: tuple[int, ...]
    steps: tuple[int, ...]
    baseline: float | None
    score_range: tuple[float, float] | None


def trajectory_info(record: StudyRecord) -> TrajectoryInfo:
    """The search's course; see :class:`TrajectoryInfo`."""
    done = sorted((trial for trial in record.trials if trial.finished is not None), key=_when)
    start = min((trial.started for trial in record.trials), default=0.0)
    best: list[float | None] = []
    for trial in done:
        before = best[-1] if best else None
        ranked = trial.state is TrialState.COMPLETE and trial.score is not None
        if ranked and (before is None or record.objective.better(trial.score, before)):  # type: ignore[arg-type]
            before = trial.score
        best.append(before)
    return TrajectoryInfo(
        metric=record.objective.metric,
        direction=record.objective.direction,
        trials=tuple(trial.number for trial in done),
        states=tuple(str(trial.state) for trial in done),
        scores=tuple(trial.score for trial in done),
        seconds=tuple(max(0.0, (trial.finished or 0.0) - start) for trial in done),
        best=tuple(best),
        shown=tuple(range(0, len(done), max(1, math.ceil(len(done) / MAX_POINTS)))),
        baseline=None if record.facts.baseline is None else record.facts.baseline.value,
        score_range=_score_range(record),
        steps=tuple(i for i, one in enumerate(best) if i in (0, len(best) - 1) or one != best[i - 1]),
    )


def _score_range(record: StudyRecord) -> tuple[float, float] | None:
    scores = [trial.score for trial in record.ranked if trial.score is not None and math.isfinite(trial.score)]
    if not scores:
        return None
    room = 0.05 * ((max(scores) - min(scores)) or abs(scores[0]) or 1.0)
    return min(scores) - room, max(scores) + room


def _when(trial: Trial) -> tuple[float, int]:
    return trial.finished or 0.0, trial.number
