"""What MLflow shall show of a trial: names, params, tags and points, as pure functions of the ledger's values.

Every number and every timestamp is a function of the trial alone. MLflow's stores ignore a point that they already
have (same key, step, timestamp and value), so writing twice changes nothing.
"""

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from hpsearch.core.constraints import said
from hpsearch.core.objective import Objective, aligned, mean_curves
from hpsearch.core.safe_text import code_block, for_markdown, for_terminal
from hpsearch.core.space import Config
from hpsearch.core.trial import FoldResult, Trial, TrialState

VERSION = 2
"""Part of every digest: trials written by an older layout are written again by the next sync."""

TRIAL, STATE, FAILURE, DIGEST = "hpsearch.trial", "hpsearch.state", "hpsearch.failure", "hpsearch.digest"
MEASURED = "hpsearch.limited"
"""What the study's limits are on, and its value."""
NOTE, NAME, PARENT = "mlflow.note.content", "mlflow.runName", "mlflow.parentRunId"

STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "FINISHED",
    TrialState.INFEASIBLE: "KILLED",
    TrialState.PRUNED: "KILLED",
    TrialState.DIVERGED: "FAILED",
    TrialState.FAILED: "FAILED",
}
"""MLflow status of each state. FINISHED means ranked, so that ``attributes.status = 'FINISHED'`` is the leaderboard."""

TAG_LENGTH = 5000
"""Longest tag value we write, characters: the limit of the oldest supported MLflow stores."""

_SUMMARY = {
    *("score", "pruned_score", "infeasible_score", "score_std", "score_epoch", "epochs", "seconds", "parameters"),
    *("model_mb", "latency_ms"),
}


class Point(NamedTuple):
    """One value of a metric; ``timestamp_ms`` is Unix time in milliseconds."""

    key: str
    value: float
    timestamp_ms: int
    step: int


def legal_key(name: str) -> str:
    """`name` as MLflow allows keys: letters, digits and ``_-. :/``, no odd path parts, at most 250 characters."""
    cleaned = re.sub(r"[^\w\-. :/]", "_", name)[:250].strip("/ ")
    normal = posixpath.normpath(cleaned or "_")
    return re.sub(r"^\.\.?(?=/|$)", "_", normal)


def legal_keys(names: Iterable[str]) -> dict[str, str]:
    """:func:`legal_key` of every name, made different where two names would share one."""
    found: dict[str, str] = {}
    for name in names:
        wanted = one = legal_key(name)
        count = 1
        while one in found.values():
            count += 1
            one = f"{wanted[:245]}_{count}"
        found[name] = one
    return found


def milliseconds(seconds: float) -> int:
    """Unix time in milliseconds; MLflow has no earlier time than 0."""
    return max(0, round(seconds * 1000))


def epoch_ms(result: FoldResult, epoch: int) -> int:
    """When `epoch` of a fold ended, taking its epochs as equally long."""
    return milliseconds(result.started + result.seconds * (epoch + 1) / max(1, result.epochs))


def finite_or_nan(value: float) -> float:
    """`value`, with infinities as NaN: MLflow would store 1.8e308, which flattens every chart it is drawn in."""
    return float(value) if math.isfinite(value) else math.nan


def params(config: Config) -> dict[str, str]:
    """Every hyperparameter of a trial; ``float(text)`` gives a number back bit for bit."""
    names = legal_keys(config)
    return {names[name]: str(value) for name, value in config.items()}


FIRST_EPOCH = 1
"""Step of the first epoch: epochs count from 1, as everywhere. In runs of hpsearch 0.1 it is 0, and stays so."""


def fold_points(result: FoldResult, first: int = FIRST_EPOCH) -> list[Point]:
    """A fold's curves as ``fold_0/val_accuracy`` …; the step is the epoch, from `first`."""
    times = [epoch_ms(result, epoch) for epoch in range(result.epochs)]
    return [
        Point(name, finite_or_nan(value), times[epoch], first + epoch)
        for metric, curve in result.curves.items()
        for name in (legal_key(f"fold_{result.fold}/{metric}"),)
        for epoch, value in enumerate(curve)
    ]


def mean_points(trial: Trial, *, prefix: str = "", first: int = FIRST_EPOCH) -> list[Point]:
    """The mean curves of a complete, infeasible or pruned trial under the metrics' own names, put behind `prefix`.

    A failed or diverged trial has none: the mean over the folds that happened to survive flatters.
    """
    if trial.state not in (TrialState.COMPLETE, TrialState.INFEASIBLE, TrialState.PRUNED):
        return []
    points = []
    for metric, curve in mean_curves(aligned(trial.folds)).items():
        name = legal_key(prefix + (f"mean/{metric}" if not prefix and metric in _SUMMARY else metric))
        for epoch, value in enumerate(curve):
            # A mean is known when the last fold has reached the epoch.
            when = max(epoch_ms(fold, min(epoch, max(0, fold.epochs - 1))) for fold in trial.folds)
            points.append(Point(name, finite_or_nan(value), when, first + epoch))
    return points


def summary_points(trial: Trial, metric: str, first: int = FIRST_EPOCH) -> list[Point]:
    """Final metrics of a finished trial: score, spread, the folds' scores, and what it cost. All at step 0.

    `metric` is the objective's, `first` what the first epoch is called.
    """
    # A pruned trial's score is of an early epoch, and an infeasible one's does not count: under the same name, MLflow
    # would rank them among the complete ones.
    names = {TrialState.COMPLETE: "score", TrialState.INFEASIBLE: "infeasible_score"}
    values: dict[str, float | None] = {
        names.get(trial.state, "pruned_score"): trial.score,
        "score_std": trial.std,
        "score_epoch": None if trial.epoch is None else trial.epoch - 1 + first,
        "epochs": max((fold.epochs for fold in trial.folds), default=None),
        "seconds": trial.seconds if trial.folds else None,
        "parameters": trial.parameters,
        **{name: trial.measured.get(name) for name in ("model_mb", "latency_ms")},
    }
    values |= {f"fold_{fold.fold}/epochs": fold.epochs for fold in trial.folds if trial.stopped_epochs}
    values |= {f"fold_{fold}/score": score for fold, score in trial.scores_by_fold(metric).items()}
    when = milliseconds(trial.finished or trial.started)
    return [Point(name, finite_or_nan(value), when, 0) for name, value in values.items() if value is not None]


def trial_label(trial: int) -> str:
    """Short name of a trial, which sorts as its number does."""
    return f"t{trial:03d}"


def run_name(trial: Trial) -> str:
    """``t012 · 0.981`` once complete, ``t012 · pruned`` and the like otherwise, ``t012`` while running."""
    if trial.state is TrialState.RUNNING:
        return trial_label(trial.number)
    told = f"{trial.score:.4g}" if trial.state is TrialState.COMPLETE and trial.score is not None else trial.state.value
    return f"{trial_label(trial.number)} · {told}"


def tags(trial: Trial) -> dict[str, str]:
    """Tags of a finished trial; the digest among them says that all of it has been written."""
    found = {NAME: run_name(trial), STATE: trial.state.value, DIGEST: digest(trial)}
    if trial.measured:
        found[MEASURED] = ", ".join(f"{name} {said(one)}" for name, one in trial.measured.items())[:TAG_LENGTH]
    if failure := trial.failure:
        place = (
            ""
            if failure.fold is None
            else f" (fold {failure.fold}" + (")" if failure.epoch is None else f", epoch {failure.epoch})")
        )
        reason = f"{failure.kind}{place}: {failure.message}"
        trace = f"\n\n{code_block(failure.traceback[-3000:])}" if failure.traceback else ""
        found |= {
            FAILURE: for_terminal(reason)[:TAG_LENGTH],
            NOTE: f"{trial.state.value}: {for_markdown(reason[:1500])}{trace}",
        }
    return found


def digest(trial: Trial) -> str:
    """Changes exactly when MLflow shall show something else of the trial."""
    folds = [(fold.fold, fold.started, fold.seconds, fold.epochs) for fold in trial.folds]
    failure = trial.failure and (trial.failure.kind, trial.failure.message)
    epoch = None if trial.epoch is None else trial.epoch - 1  # as hpsearch 0.1 has written it
    told = (trial.state.value, trial.score, trial.std, epoch, tuple(trial.fold_scores), trial.finished)
    measured = [dict(trial.measured)] if trial.measured else []
    content = (VERSION, trial.number, dict(trial.config), *told, trial.parameters, folds, failure, *measured)
    # As JSON, NumPy's floats (fresh from a worker) and Python's (back from the ledger) read the same.
    text = json.dumps(content, default=lambda value: value.item(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class BestSoFar:
    """The study's trajectory: the best score after each trial, as points whose step is the trial number.

    Trials may finish in any order. A point is final, so it waits until no earlier trial is still open.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._waiting: dict[int, tuple[float | None, float]] = {}
        self._next = 0
        self._best: float | None = None
        self._time = 0.0

    def add(self, trial: Trial) -> list[Point]:
        """Points that became final by `trial`; it counts once, however often it is added."""
        if not trial.state.finished or trial.number < self._next:
            return []
        score = trial.score if trial.state is TrialState.COMPLETE else None
        self._waiting[trial.number] = (score, trial.finished or trial.started)
        points = []
        while self._next in self._waiting:
            score, time = self._waiting.pop(self._next)
            if score is not None and (self._best is None or self._objective.better(score, self._best)):
                self._best = score
            self._time = max(self._time, time)
            if self._best is not None:
                points.append(Point("best_score", finite_or_nan(self._best), milliseconds(self._time), self._next))
            self._next += 1
        return points


def iso_time(seconds: float) -> str:
    """Unix time as text, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
