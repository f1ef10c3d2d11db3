"""Who is best, by how much, and which trials cannot be told from the winner."""

import math
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from hpsearch.analysis.statistics import ALPHA, PairedTest, corrected_t_tests
from hpsearch.core.space import Value
from hpsearch.core.trial import Trial, TrialState
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
        tied: Cannot be told from the winner; true for the winner itself.
        p: The paired test against the winner; None for the winner and where there is no test.
        parameters: Number of weights, where known.
        seconds: Training time over all folds.
        config: Value of every active hyperparameter.
    """

    rank: int
    trial: int
    score: float
    std: float | None
    epoch: int | None
    fold_scores: tuple[float, ...]
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
        counts: Number of trials per state, such as ``{"complete": 38, "failed": 2}``; states without trials are absent.
    """

    metric: str
    direction: str
    columns: tuple[str, ...]
    rows: tuple[LeaderboardRow, ...]
    total: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class TiesInfo:
    """The trials that cannot be told from the winner.

    Attributes:
        method: The paired test and its source; empty where no test is possible.
        reason: Why there is no test; empty where there is one.
        best: Number of the winner; None without a ranked trial.
        tied: Numbers of the trials tied with the winner, itself first, best first.
        simplest: Of the trials within one standard error of the winner, the one with the fewest weights, then the
            fewest seconds; None without a ranked trial. A tie by the test alone may be a noisy trial, no alternative.
        standard_error: Of the winner's score, ``std / sqrt(n_folds)``; None with one fold.
        ratio: Validation rows divided by training rows, averaged over the folds; None where no test is possible.
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
    """A trial without a result, and why. ``fold`` and ``epoch`` are counted from 0."""

    trial: int
    state: str
    kind: str
    message: str
    fold: int | None
    epoch: int | None
    traceback: str
    config: dict[str, Value]


def leaderboard_info(record: StudyRecord, *, limit: int | None = None, ties: TiesInfo | None = None) -> LeaderboardInfo:
    """The ranked trials.

    Args:
        record: The study.
        limit: How many rows to return; None for all.
        ties: Pass it where it is known already, to save the tests.
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
        counts=state_counts(record),
    )


def state_counts(record: StudyRecord) -> dict[str, int]:
    """Number of trials in each state that has any, in the order of :class:`TrialState`."""
    counts = {str(state): sum(trial.state is state for trial in record.trials) for state in TrialState}
    return {state: count for state, count in counts.items() if count}


def failures_info(record: StudyRecord) -> tuple[FailureRow, ...]:
    """Trials that failed or diverged, in order of their number, each with its reason."""
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
    """Which trials are as good as the winner, as far as the folds can tell.

    A trial is tied with the winner when its score is within one standard error of the winner's (the one-standard-error
    rule of L. Breiman and others, "Classification and Regression Trees", 1984, section 3.4.3) or when the paired test
    over folds does not tell the two apart (p >= 0.05). The p-values are each comparison's own: they are not corrected
    for the number of trials.
    """
    ranked = record.ranked
    if not ranked:
        return TiesInfo("", "no trial is complete", None, (), None, None, None, {})
    best = ranked[0]
    n_folds = len(best.fold_scores)
    error = best.std / math.sqrt(n_folds) if best.std is not None and n_folds > 1 else None
    reason, ratio, tests = "", None, {}
    if n_folds < 2:
        reason = "one validation split gives no spread to judge by: repeat it or use folds to tell trials apart"
    else:
        ratio = validation_ratio(record, n_folds)
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


def validation_ratio(record: StudyRecord, n_folds: int) -> float:
    """Validation rows divided by training rows, averaged over the folds; K folds of unknown size are taken as equal."""
    sizes = record.facts.get("data", {}).get("folds") or ()
    ratios = [validation / train for train, validation in sizes if train]
    if ratios:
        return fmean(ratios)
    if record.spec.validation.method == "holdout":
        return record.spec.validation.fraction / (1 - record.spec.validation.fraction)
    return 1 / max(n_folds // record.spec.validation.repeats - 1, 1)


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
    """Sort key, simplest first. Training time is rounded: a few per cent of it are the machine's mood."""
    parameters = math.inf if trial.parameters is None else trial.parameters
    return parameters, float(f"{trial.seconds:.1g}"), trial.number
