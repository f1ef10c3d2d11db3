"""The ranked trials, and those without a result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import stdev

from hpsearch.analysis.learnt import is_better
from hpsearch.analysis.limits import shown_quantities
from hpsearch.analysis.ties import TiesInfo, ties_info
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.space import Value
from hpsearch.core.trial import FailureKind, TrialState
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One ranked trial.

    Attributes:
        rank: From 1.
        trial: The trial's number.
        score: Mean over folds at the objective's epoch.
        std: Sample standard deviation over folds; None with one fold.
        epoch: Epoch of the score, from 1.
        fold_scores: In fold order.
        scored_folds: The numbers of these folds, from 0.
        tied: Whether it is statistically tied with the winner; true for the winner itself.
        p: Family-wise p-value against the winner; None for the winner itself and without a test.
        parameters: Number of weights; None if unknown.
        seconds: Training time over all folds.
        config: Value of every active hyperparameter.
        measured: What the study's limits are on.
    """

    rank: int
    trial: int
    score: float
    std: float | None
    epoch: int | None
    fold_scores: tuple[float, ...]
    scored_folds: tuple[int, ...]
    tied: bool
    p: float | None
    parameters: int | None
    seconds: float
    config: dict[str, Value]
    measured: dict[str, float]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """What is scored without looking at a row's inputs.

    Attributes:
        rule: What is said of every row, such as ``'no'`` or ``the mean of the targets``.
        score: Mean over folds.
        std: Sample standard deviation over folds; None with one fold.
        fold_scores: In fold order.
        beaten_by: How many of the ranked trials score better.
        looks_back: Whether it knows the targets of earlier validation rows, as the naive forecast does.
    """

    rule: str
    score: float
    std: float | None
    fold_scores: tuple[float, ...]
    beaten_by: int
    looks_back: bool = False


@dataclass(frozen=True, slots=True)
class LeaderboardInfo:
    """Ranked trials, best first.

    Attributes:
        metric: The objective's metric.
        direction: ``"minimize"`` or ``"maximize"``.
        columns: Names of the hyperparameters that the study searches, in the order of the space.
        rows: See :class:`LeaderboardRow`; the first ``limit`` of ``total``.
        total: Number of ranked trials.
        counts: See :attr:`~hpsearch.ledger.record.StudyRecord.counts`.
        limited: What the study's limits are on, besides the number of weights and the score.
        baselines: What needs no model, the best first; empty if the metric has no such value.
    """

    metric: str
    direction: str
    columns: tuple[str, ...]
    rows: tuple[LeaderboardRow, ...]
    total: int
    counts: Mapping[TrialState, int]
    limited: tuple[str, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()

    @property
    def baseline(self) -> BaselineRow | None:
        """The best of the baselines, which tables show as a row."""
        return self.baselines[0] if self.baselines else None

    @property
    def different_baselines(self) -> tuple[BaselineRow, ...]:
        """The baselines without those that score as one before: in AUC, all constants do."""
        return tuple(
            one
            for place, one in enumerate(self.baselines)
            if not any(math.isclose(one.score, other.score, rel_tol=1e-6) for other in self.baselines[:place])
        )


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A trial without a result, and why. ``fold`` counts from 0, ``epoch`` from 1."""

    trial: int
    state: str
    kind: FailureKind
    message: str
    fold: int | None
    epoch: int | None
    traceback: str
    config: dict[str, Value]


def leaderboard_info(record: StudyRecord, *, limit: int | None = None, ties: TiesInfo | None = None) -> LeaderboardInfo:
    """The ranked trials.

    Args:
        record: The study.
        limit: Maximum number of rows; None for all.
        ties: The ties, if they are already known; computed otherwise.
    """
    ties = ties or ties_info(record)
    tied = frozenset(ties.tied)
    rows = tuple(
        LeaderboardRow(
            rank=rank,
            trial=trial.number,
            score=trial.score if trial.score is not None else math.nan,
            std=trial.std,
            epoch=trial.epoch,
            fold_scores=trial.fold_scores,
            scored_folds=tuple(trial.scores_by_fold(record.objective.metric)),
            tied=trial.number in tied,
            p=ties.tests[trial.number].p if trial.number in ties.tests else None,
            parameters=trial.parameters,
            seconds=trial.seconds,
            config=dict(trial.config),
            measured=dict(trial.measured),
        )
        for rank, trial in enumerate(record.ranked[:limit], start=1)
    )
    return LeaderboardInfo(
        metric=record.objective.metric,
        direction=record.objective.direction,
        columns=record.space.searched(),
        rows=rows,
        total=len(record.ranked),
        counts=record.counts,
        limited=shown_quantities(record),
        baselines=tuple(_baseline_row(record, one) for one in record.facts.baselines),
    )


def _baseline_row(record: StudyRecord, found: Baseline) -> BaselineRow:
    scores = [trial.score for trial in record.ranked if trial.score is not None]
    return BaselineRow(
        rule=found.rule,
        score=found.value,
        std=stdev(found.fold_scores) if len(found.fold_scores) > 1 else None,
        fold_scores=found.fold_scores,
        beaten_by=sum(is_better(record, score, found) for score in scores),
        looks_back=found.looks_back,
    )


def failures_info(record: StudyRecord) -> tuple[FailureRow, ...]:
    """Trials that failed or diverged, by number, each with its reason."""
    return tuple(
        FailureRow(
            trial=trial.number,
            state=str(trial.state),
            kind=trial.failure.kind,
            message=trial.failure.message,
            fold=trial.failure.fold,
            epoch=trial.failure.epoch,
            traceback=trial.failure.traceback,
            config=dict(trial.config),
        )
        for trial in record.trials
        if trial.failure is not None and trial.state in (TrialState.FAILED, TrialState.DIVERGED)
    )
