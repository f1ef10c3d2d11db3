"""What the search cost: epochs and seconds, by how the trials ended."""

import math
from dataclasses import dataclass

from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord

MAX_POINTS = 1000
"""Largest number of trials in :attr:`CostInfo.trials`; more are thinned out evenly."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """All trials of one state: their number, their epochs over all folds and their training seconds."""

    state: str
    trials: int
    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrialCost:
    """One trial's share: epochs over all folds, and training seconds."""

    trial: int
    state: str
    epochs: int
    seconds: float
    parameters: int | None


@dataclass(frozen=True, slots=True)
class CostInfo:
    """What the study cost.

    Attributes:
        rows: One per state that has trials.
        epochs: Over all trials and folds.
        train_seconds: Over all trials and folds.
        wall_seconds: From the first suggestion to the last result; None before the first result. Includes the time in
            which the study was interrupted.
        compile_seconds: Time spent building and compiling rather than training; None if nothing was recorded.
        saved_epochs: Epochs that pruning saved.
        trials: See :class:`TrialCost`; at most :data:`MAX_POINTS`, thinned out evenly.
        n_trials: Number of trials before thinning out.
    """

    rows: tuple[CostRow, ...]
    epochs: int
    train_seconds: float
    wall_seconds: float | None
    compile_seconds: float | None
    saved_epochs: int
    trials: tuple[TrialCost, ...]
    n_trials: int


def cost_info(record: StudyRecord) -> CostInfo:
    """What the study cost; see :class:`CostInfo`."""
    rows = []
    for state, count in record.counts.items():
        trials = [trial for trial in record.trials if trial.state is state]
        epochs = sum(_epochs(trial) for trial in trials)
        rows.append(CostRow(str(state), count, epochs, sum(trial.seconds for trial in trials)))
    ended = [trial.finished for trial in record.trials if trial.finished is not None]
    step = max(1, math.ceil(len(record.trials) / MAX_POINTS))
    return CostInfo(
        rows=tuple(rows),
        epochs=sum(row.epochs for row in rows),
        train_seconds=sum(row.seconds for row in rows),
        wall_seconds=max(ended) - min(trial.started for trial in record.trials) if ended else None,
        compile_seconds=record.facts.compile_seconds or None,
        saved_epochs=sum(
            _saved(trial, record.facts.data.n_folds) for trial in record.trials if trial.state is TrialState.PRUNED
        ),
        trials=tuple(
            TrialCost(trial.number, str(trial.state), _epochs(trial), trial.seconds, trial.parameters)
            for trial in record.trials[::step]
        ),
        n_trials=len(record.trials),
    )


def _epochs(trial: Trial) -> int:
    return sum(fold.epochs for fold in trial.folds)


def _saved(trial: Trial, n_folds: int) -> int:
    planned = trial.config.get("epochs")
    if not isinstance(planned, int):
        return 0
    return max(0, planned * n_folds - _epochs(trial))
