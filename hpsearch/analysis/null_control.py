"""The study's best score among the best scores of searches with permuted targets."""

import math
from dataclasses import dataclass

from hpsearch.analysis import words
from hpsearch.analysis.statistics import ALPHA
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class NullInfo:
    """What chance reaches where the inputs tell nothing about the targets.

    Attributes:
        score: The study's best score.
        scores: The best score of each search with permuted targets, best first.
        reached: How many of them are as good as the study's, or better.
        p: The p value, ``(reached + 1) / (searches + 1)`` (B. Phipson, G. K. Smyth, "Permutation P-values should never
            be zero", Statistical Applications in Genetics and Molecular Biology 9, 2010).
        trials: Number of trials of each search with permuted targets.
        how: How the targets were permuted, if not over all rows.
        sentences: The same in plain words, with what it covers.
    """

    score: float
    scores: tuple[float, ...]
    reached: int
    p: float
    trials: int
    how: str
    sentences: tuple[str, ...]


def null_info(record: StudyRecord) -> NullInfo | None:
    """The null control of a study; None without one, or if the study has no complete trial."""
    null, best = record.facts.null, record.best
    if null is None or not null.scores or best is None or best.score is None:
        return None
    objective, score = record.objective, best.score
    scores = tuple(sorted(null.scores, reverse=objective.direction == "maximize"))
    reached = sum(not objective.better(score, one) for one in scores)
    p = (reached + 1) / (len(scores) + 1)
    sentences = [_compared(record, score, scores, reached, null.how)]
    if reached == 0 and p > ALPHA:
        sentences.append(f"That is the least that {len(scores)} can show: {math.ceil(1 / ALPHA) - 1} can show {ALPHA}.")
    elif p > ALPHA:
        sentences.append("So the inputs may tell nothing about the targets.")
    sentences.append("This counts the choice of trial and epoch; a leak would look like skill here too.")
    if null.trials != record.spec.search.trials:
        sentences.append(
            f"But these searches have {null.trials} trials each, and the study now has {record.spec.search.trials}: "
            f"`hpsearch run STUDY_FILE --null {len(scores)}` makes them equal."
        )
    return NullInfo(score, scores, reached, p, null.trials, null.how, tuple(sentences))


def _compared(record: StudyRecord, score: float, scores: tuple[float, ...], reached: int, how: str) -> str:
    count, targets = len(scores), f"permuted targets ({how})" if how else "permuted targets"
    if count == 1:
        who = f"The search with {targets} {'scores' if reached else 'does not score'}"
        best = words.number(scores[0])
    else:
        who = f"{f'{reached:,}' if reached else 'None'} of {count:,} searches with {targets}"
        who += " score" if reached > 1 else " scores"
        best = f"{words.number(min(scores))} to {words.number(max(scores))}"
    return (
        f"{who} as well as this one: {'its' if count == 1 else 'their'} best {record.objective.metric} is {best}, this "
        f"one's {words.number(score)} (p = {(reached + 1) / (count + 1):.2g})."
    )
