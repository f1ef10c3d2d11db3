"""What becomes of a trial that trains: which of its results can be used, and how it ends.

Whatever a trial's code records, it can end the trial only, never the study.
"""

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from statistics import fmean

from hpsearch.core.events import Bundle, EpochFinished, LaneFailed
from hpsearch.core.objective import Objective, score
from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState, not_trained
from hpsearch.core.words import listed

_MOST_NAMES = 20
"""Metrics that a message lists."""


@dataclass
class Live:
    """What the driver knows of a trial that is training.

    Attributes:
        waiting: Folds not yet sent to a worker.
        training: Folds that a worker has.
        results: Finished folds.
        partial: Folds that were stopped early, or cannot be used.
        ending: The state that the trial will have once its last lane has ended, if not COMPLETE.
        failure: Why, for DIVERGED and FAILED.
        retries: How often a worker died with it.
        suspect: Whether its worker was ended because one of several trials took too long.
        judged: Whether the folds that it has make its score, because they ended it.
    """

    waiting: set[int]
    training: set[int] = field(default_factory=set)
    results: dict[int, FoldResult] = field(default_factory=dict)
    partial: dict[int, FoldResult] = field(default_factory=dict)
    ending: TrialState | None = None
    failure: Failure | None = None
    retries: int = 0
    suspect: bool = False
    judged: bool = False

    @property
    def goes_alone(self) -> bool:
        """Whether it shares no bundle, so that it cannot take other trials with it again."""
        return self.suspect or self.retries > 0


class Results:
    """Reads the objective's metric from what trials record.

    Args:
        objective: What the study optimises.
        n_folds: How many folds a trial has.
        left_out: Fold → metrics that have no value in it.
    """

    def __init__(self, objective: Objective, n_folds: int, left_out: Mapping[int, Collection[str]]) -> None:
        self._objective, self._n_folds, self._left_out = objective, n_folds, left_out

    def problem_in_epoch(self, event: EpochFinished) -> Failure | None:
        """Why an epoch cannot be used; None if it can."""
        message = self._problem(event.fold, {name: (value,) for name, value in event.metrics.items()})
        return None if message is None else self._failure(message, event.fold, event.epoch + 1)

    def problem_in_fold(self, result: FoldResult) -> Failure | None:
        """Why a finished fold cannot be used; None if it can."""
        message = self._problem(result.fold, result.curves)
        return None if message is None else self._failure(message, result.fold, None)

    def _problem(self, fold: int, curves: Mapping[str, Collection[object]]) -> str | None:
        metric = self._objective.metric
        for limited in self._objective.constraints.curves:
            if limited not in curves and limited not in self._left_out.get(fold, ()):
                return f"the model records no {limited!r}, which has a limit; it records {self._names(curves)}"
        if metric in self._left_out.get(fold, ()):
            return None
        if metric not in curves:
            return f"the model records no {metric!r}; it records {self._names(curves)}"
        curve, epochs = curves[metric], max(map(len, curves.values()))
        if len(curve) < epochs:
            return f"{metric!r} has a value in {len(curve)} of {epochs} epochs only"
        others = [one for one in curve if _number(one) is None]
        return f"{metric!r} is {others[0]!r:.80}, which is no number" if others else None

    @staticmethod
    def _names(curves: Mapping[str, Collection[object]]) -> str:
        return listed(curves, most=_MOST_NAMES) or "nothing"

    @staticmethod
    def numbers_of(event: EpochFinished) -> EpochFinished:
        """An epoch without what is no number. The ledger and MLflow could not keep it."""
        numbers = {name: number for name, one in event.metrics.items() if (number := _number(one)) is not None}
        return replace(event, metrics=numbers)

    @staticmethod
    def curves_of(result: FoldResult) -> FoldResult:
        """A fold likewise: without curves that have such a value."""
        found = {name: tuple(map(_number, curve)) for name, curve in result.curves.items()}
        curves = {name: tuple(one for one in curve if one is not None) for name, curve in found.items()}
        return replace(result, curves={name: one for name, one in curves.items() if len(one) == len(found[name])})

    @staticmethod
    def _failure(message: str, fold: int, epoch: int | None) -> Failure:
        return Failure(FailureKind.ERROR, message, fold=fold, epoch=epoch)

    def ended(self, trial: Trial, live: Live) -> Trial:
        """A trial whose last lane has ended, with its state and score."""
        # How many epochs pass until the other lanes hear of it depends on timing. What is kept of a trial must not.
        last = live.failure.epoch if live.failure else None
        partial = {fold: _cut(result, last) for fold, result in live.partial.items()}
        folds = tuple(result for _, result in sorted({**partial, **live.results}.items()))
        state = live.ending or TrialState.COMPLETE
        trial = replace(trial, state=state, folds=folds, failure=live.failure, finished=time.time())
        scored = live.judged or len(folds) == self._n_folds
        if not scored or state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return trial
        try:
            found = score(self._objective, folds)
        except ValueError as error:
            if state is TrialState.PRUNED:
                return trial
            return replace(trial, state=TrialState.FAILED, failure=Failure(FailureKind.ERROR, str(error)))
        if not math.isfinite(found.value):
            where = "in every epoch" if self._objective.epoch == "best" else f"in epoch {found.epoch}, the last one"
            failure = Failure(FailureKind.DIVERGED, f"{self._objective.metric} is {found.value} {where}")
            return replace(trial, state=TrialState.DIVERGED, failure=failure)
        trial = replace(trial, score=found.value, std=found.std, epoch=found.epoch, fold_scores=found.fold_scores)
        return trial if state is TrialState.PRUNED else self._within_limits(trial)

    def too_large(self, trial: Trial) -> Failure | None:
        """Why a trial is not to be trained: a driver was killed after its model had been measured. Usually None."""
        broken = self._objective.constraints.of_model.broken(trial.measured)
        return not_trained(broken) if broken else None

    def _within_limits(self, trial: Trial) -> Trial:
        """A complete trial with what its limits are on; infeasible if it breaks one."""
        constraints = self._objective.constraints
        at_epoch = {name: values for name in constraints.curves if (values := _mean_at_score(trial, name)) is not None}
        measured = {**trial.measured, **at_epoch}
        if not (broken := constraints.broken(measured)):
            return replace(trial, measured=measured)
        failure = Failure(FailureKind.INFEASIBLE, broken)
        return replace(trial, state=TrialState.INFEASIBLE, measured=measured, failure=failure)


def end_after(event: LaneFailed) -> tuple[Failure, TrialState]:
    """Why a trial ends one of whose lanes has failed, and its state: a model breaks a limit in all folds alike."""
    if event.failure.kind is FailureKind.INFEASIBLE:
        return event.failure, TrialState.INFEASIBLE
    state = TrialState.DIVERGED if event.failure.kind is FailureKind.DIVERGED else TrialState.FAILED
    return replace(event.failure, fold=event.fold), state


def lost_folds(bundle: Bundle, live: Mapping[int, Live]) -> dict[int, set[int]]:
    """Trial → its folds that end with the bundle's worker, for those that have such folds."""
    folds = {number: {lane.fold for lane in bundle.lanes if lane.trial == number} for number in bundle.trials}
    lost = {number: found & live[number].training for number, found in folds.items() if number in live}
    return {number: found for number, found in lost.items() if found}


def _mean_at_score(trial: Trial, name: str) -> float | None:
    """The mean of a curve over folds, at the epochs of their scores; NaN, which keeps no limit, if a curve ends before.

    None if no fold has the curve.
    """
    found = [(fold.curves[name], trial.epoch_of(fold)) for fold in trial.folds if name in fold.curves]
    return fmean(curve[at - 1] if len(curve) >= at else math.nan for curve, at in found) if found else None


def _cut(result: FoldResult, epochs: int | None) -> FoldResult:
    """A fold's first epochs; None is all of them."""
    return replace(result, curves={name: curve[:epochs] for name, curve in result.curves.items()})


def _number(value: object) -> float | None:
    """A value as a float, finite or not; None if it is none."""
    if isinstance(value, float):
        return float(value)
    try:
        return float(value) if isinstance(value, Real) else None
    except (OverflowError, ValueError, TypeError):
        return None
