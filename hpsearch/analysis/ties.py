"""Which trials are statistically tied with the winner."""

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis import words
from hpsearch.analysis.best import BestComparison, BestTest, compare_to_best
from hpsearch.analysis.statistics import ALPHA
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

TEST_NAME = (
    "many-to-best comparison (Hsu, Annals of Statistics 9, 1981) with a variance over trials and folds, corrected for "
    "shared training rows (Nadeau & Bengio, Machine Learning 52, 2003)"
)


@dataclass(frozen=True, slots=True)
class TiesInfo:
    """The trials that are statistically tied with the winner.

    Attributes:
        method: The comparison and its sources; empty if none is possible.
        reason: Why no comparison is possible; empty otherwise.
        level: Of the whole family: the chance that the truly best trial is not among the tied ones.
        best: Number of the winner; None without a ranked trial.
        tied: Numbers of the trials tied with the winner, best first, the winner itself included.
        simplest: Of the trials within one standard error of the winner, the one with the fewest weights, then the
            fewest seconds; None without a ranked trial (the one-standard-error rule of L. Breiman and others,
            "Classification and Regression Trees", 1984, section 3.4.3). It is smaller, not equally good:
            ``python -m benchmarks.ties`` measures what picking it costs.
        standard_error: Of the winner's score, ``std / sqrt(n_folds)``; None with one fold.
        ratio: See :attr:`~hpsearch.core.facts.DataFacts.validation_ratio`; None if no comparison is possible.
        shared: See :class:`~hpsearch.analysis.best.BestComparison`; None if no comparison is possible.
        logarithmic: Whether logarithms are compared.
        visible: The smallest difference from the winner's score that these folds show; None if no comparison is
            possible.
        median_gap: How far the median trial is behind the winner; None if no comparison is possible.
        tests: Trial number → its test against the winner.
    """

    method: str
    reason: str
    level: float
    best: int | None
    tied: tuple[int, ...]
    simplest: int | None
    standard_error: float | None
    ratio: float | None
    shared: float | None
    logarithmic: bool
    visible: float | None
    median_gap: float | None
    tests: dict[int, BestTest]

    @property
    def too_few_folds(self) -> bool:
        """Whether even the median trial is behind by less than these folds show."""
        return self.visible is not None and self.median_gap is not None and self.visible > self.median_gap

    @property
    def reading(self) -> str:
        """What the comparison has found about itself, in sentences: spreads, scale, and what the folds can show."""
        if self.visible is None or self.shared is None:
            return ""
        spread = "The trials vary alike over the folds, so they share one variance."
        if self.shared < 1:
            spread = (
                "Some trials vary more over the folds than others, so each variance is "
                f"{words.percent(self.shared)} shared and {words.percent(1 - self.shared)} the trial's own."
            )
        scale = " Logarithms are compared, because the spread grows with the loss." if self.logarithmic else ""
        return f"{spread}{scale} These folds show only differences of {words.number(self.visible)} or more."


def ties_info(record: StudyRecord) -> TiesInfo:
    """Which trials are statistically tied with the winner; see :func:`~hpsearch.analysis.best.compare_to_best`.

    A complete trial with a score in other folds than the winner cannot be compared. It is tied if it is within one
    standard error.
    """
    ranked = record.ranked
    best = ranked[0] if ranked else None
    n_folds = len(best.fold_scores) if best else 0
    error = best.std / math.sqrt(n_folds) if best and best.std is not None and n_folds > 1 else None
    reason = _reason(best)
    ratio, comparison, tests = None, None, {}
    if best is not None and not reason:
        ratio = record.facts.validation_ratio(record.objective.metric)
        alike = [one for one in ranked if len(one.fold_scores) == n_folds and all(map(math.isfinite, one.fold_scores))]
        if len(alike) > 1:
            comparison = _compared(alike, maximize=record.objective.direction == "maximize", ratio=ratio)
            tests = {one.number: test for one, test in zip(alike[1:], comparison.tests[1:], strict=True)}
    close = {one.number for one in ranked if best is not None and _is_close(one, best, error)}
    tied = tuple(one.number for one in ranked if _is_tied(one.number, tests, close))
    return TiesInfo(
        method=TEST_NAME if not reason else "",
        reason=reason,
        level=ALPHA,
        best=best.number if best else None,
        tied=tied,
        simplest=min((one for one in ranked if one.number in close), key=_effort, default=best).number
        if best
        else None,
        standard_error=error,
        ratio=ratio,
        shared=comparison.shared if comparison else None,
        logarithmic=comparison.logarithmic if comparison else False,
        visible=comparison.visible if comparison else None,
        median_gap=_median_gap(ranked) if comparison else None,
        tests=tests,
    )


def _reason(best: Trial | None) -> str:
    if best is None:
        return "no trial is complete"
    if len(best.fold_scores) < 2:
        return "a single validation split has no spread; use folds or repeats to tell trials apart"
    return "" if all(map(math.isfinite, best.fold_scores)) else "the scores are not finite"


def _compared(trials: list[Trial], *, maximize: bool, ratio: float) -> BestComparison:
    scores = np.array([one.fold_scores for one in trials], dtype=float)
    return compare_to_best(scores, 0, maximize=maximize, ratio=ratio)


def _is_tied(trial: int, tests: dict[int, BestTest], close: set[int]) -> bool:
    return tests[trial].p >= ALPHA if trial in tests else trial in close


def _is_close(trial: Trial, best: Trial, error: float | None) -> bool:
    if trial is best:
        return True
    if trial.score is None or best.score is None:
        return False
    return abs(trial.score - best.score) <= (error or 0.0)


def _median_gap(ranked: tuple[Trial, ...]) -> float:
    scores = [one.score for one in ranked if one.score is not None and math.isfinite(one.score)]
    return abs(scores[0] - float(np.median(scores[1:]))) if len(scores) > 1 else 0.0


def _effort(trial: Trial) -> tuple[float, float, int]:
    """Sort key, simplest first. Training time is rounded because it varies by a few per cent from run to run."""
    parameters = math.inf if trial.parameters is None else trial.parameters
    return parameters, float(f"{trial.seconds:.1g}"), trial.number
