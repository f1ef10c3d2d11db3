"""Which trial is best, by how much, and which trials cannot be told apart from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.statistics import ALPHA, PairedTest, corrected_t_tests
from hpsearch.core.space import Value
from hpsearch.core.trial import FailureKind, Trial, TrialState
from hpsearch.ledger.record import StudyRecord

TEST_NAME = "corrected resampled t-test (Nadeau & Bengio, Machine Learning 52, 2003)"


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One ranked trial.

    Attributes:
        rank: From 1.
        trial: The trial's number.
        score: Mean over folds at the objective's epoch.
        std: Sample standard deviation over folds; None with one fold.
        epoch: Epoch of the score, from 0.
        fold_scores: In fold order.
        scored_folds: The numbers of these folds, from 0.
        tied: Whether it cannot be told apart from the winner; true for the winner itself.
        p: p-value of the paired test against the winner; None for the winner itself and without a test.
        parameters: Number of weights; None if unknown.
        seconds: Training time over all folds.
        config: Value of every active hyperparameter.
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
    """

    metric: str
    direction: str
    columns: tuple[str, ...]
    rows: tuple[LeaderboardRow, ...]
    total: int
    counts: Mapping[TrialState, int]


@dataclass(frozen=True, slots=True)
class TiesInfo:
    """The trials that cannot be told apart from the winner.

    Attributes:
        method: The paired test and its source; empty if no test is possible.
        reason: Why no test is possible; empty otherwise.
        best: Number of the winner; None without a ranked trial.
        tied: Numbers of the trials tied with the winner, best first, the winner itself included.
        simplest: Of the trials within one standard error of the winner, the one with the fewest weights, then the
            fewest seconds; None without a ranked trial. Ties by the test alone do not count: such a trial may just be
            noisy.
        standard_error: Of the winner's score, ``std / sqrt(n_folds)``; None with one fold.
        ratio: See :attr:`~hpsearch.core.facts.DataFacts.validation_ratio`; None if no test is possible.
        tests: Trial number → its test against the winner (that trial minus the winner).
    """

    method: str
    reason: str
    best: int | None
    tied: tuple[int, ...]
    simplest: int | None
    standard_error: float | None
    ratio: float | None
    tests: dict[int, PairedTest]


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A trial without a result, and why. ``fold`` and ``epoch`` count from 0."""

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


def ties_info(record: StudyRecord) -> TiesInfo:
    """Which trials the folds cannot tell apart from the winner.

    A trial is tied with the winner if its score is within one standard error of the winner's (the one-standard-error
    rule of L. Breiman and others, "Classification and Regression Trees", 1984, section 3.4.3) or if the paired test
    over folds does not tell the two apart (p >= 0.05). The p-values are not corrected for the number of trials.
    """
    ranked = record.ranked
    if not ranked:
        return TiesInfo("", "no trial is complete", None, (), None, None, None, {})
    best = ranked[0]
    n_folds = len(best.fold_scores)
    error = best.std / math.sqrt(n_folds) if best.std is not None and n_folds > 1 else None
    reason, ratio, tests = "", None, {}
    if n_folds < 2:
        reason = "a single validation split has no spread; use folds or repeats to tell trials apart"
    else:
        ratio = record.facts.validation_ratio(record.objective.metric)
        tests = _tests(best, ranked[1:], ratio=ratio)
    tied = tuple(trial for trial in ranked if trial is best or _is_tied(trial, best, error, tests.get(trial.number)))
    return TiesInfo(
        method=TEST_NAME if not reason else "",
        reason=reason,
        best=best.number,
        tied=tuple(trial.number for trial in tied),
        simplest=min((trial for trial in tied if trial is best or _is_close(trial, best, error)), key=_effort).number,
        standard_error=error,
        ratio=ratio,
        tests=tests,
    )


def _tests(best: Trial, others: tuple[Trial, ...], *, ratio: float) -> dict[int, PairedTest]:
    comparable = [trial for trial in others if len(trial.fold_scores) == len(best.fold_scores)]
    if not comparable:
        return {}
    scores = np.array([trial.fold_scores for trial in comparable], dtype=float)
    tests = corrected_t_tests(best.fold_scores, scores, ratio=ratio)
    return {trial.number: test for trial, test in zip(comparable, tests, strict=True)}


def _is_tied(trial: Trial, best: Trial, error: float | None, test: PairedTest | None) -> bool:
    return _is_close(trial, best, error) or (test is not None and test.p >= ALPHA)


def _is_close(trial: Trial, best: Trial, error: float | None) -> bool:
    if trial.score is None or best.score is None:
        return False
    return abs(trial.score - best.score) <= (error or 0.0)


def _effort(trial: Trial) -> tuple[float, float, int]:
    """Sort key, simplest first. Training time is rounded because it varies by a few per cent from run to run."""
    parameters = math.inf if trial.parameters is None else trial.parameters
    return parameters, float(f"{trial.seconds:.1g}"), trial.number
