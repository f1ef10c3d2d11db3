"""The study's limits: who keeps them, who does not, and by how much."""

from dataclasses import dataclass

from hpsearch.analysis import words
from hpsearch.core.constraints import Constraint, listed_texts, said
from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyRecord, StudyState

WHAT = {
    "parameters": "The number of all weights, as Keras counts them.",
    "model_mb": "What all weights take with their types, in 1,000,000 bytes: a file of weights alone. champion.keras "
    "is larger: it also has the optimizer's state, the layers' settings and vocabularies.",
    "latency_ms": "Median time of 50 calls of predict_on_batch with one row, after 5 to warm up, measured in the "
    "worker before training, while others may have trained. It is that machine's, and noisy: a value near the limit "
    "may be on its other side the next time.",
}
"""What is measured of a model."""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit.

    Attributes:
        text: Such as ``parameters at most 20,000``.
        quantity: What it is on.
        kind: ``at_most`` or ``at_least``.
        limit: The limit.
        winner: The winner's value; None without a winner.
        broken_by: How many trials break it.
        about: What is measured; empty for a curve.
    """

    text: str
    quantity: str
    kind: str
    limit: float
    winner: float | None
    broken_by: int
    about: str


@dataclass(frozen=True, slots=True)
class InfeasibleRow:
    """A trial that breaks a limit.

    Attributes:
        trial: Its number.
        score: None if it was not trained.
        message: Which limits it breaks.
        measured: What the limits are on.
        violation: By how much: the sum over limits, each as a share of the limit.
    """

    trial: int
    score: float | None
    message: str
    measured: dict[str, float]
    violation: float


@dataclass(frozen=True, slots=True)
class LimitsInfo:
    """The limits of a study.

    Attributes:
        rows: One per limit; empty in a study without limits.
        feasible: Number of complete trials: those that keep all limits.
        infeasible: Those that do not, the nearest first.
        untrained: How many of these were not trained, because of their models.
        sentences: The same in words; empty in a study without limits.
    """

    rows: tuple[LimitRow, ...]
    feasible: int
    infeasible: tuple[InfeasibleRow, ...]
    untrained: int
    sentences: tuple[str, ...]


def shown_quantities(record: StudyRecord) -> tuple[str, ...]:
    """What the limits are on and tables do not show anyway, as the number of weights and the score."""
    shown = ("parameters", record.objective.metric)
    return tuple(name for name in record.objective.constraints.quantities if name not in shown)


def limits_info(record: StudyRecord) -> LimitsInfo:
    """The limits of a study; see :class:`LimitsInfo`."""
    constraints = record.objective.constraints
    return LimitsInfo(
        rows=tuple(_row(record, one) for one in constraints.each),
        feasible=len(record.ranked),
        infeasible=tuple(
            InfeasibleRow(
                trial=one.number,
                score=one.score,
                message=one.failure.message if one.failure else "",
                measured=dict(one.measured),
                violation=constraints.violation(one.measured),
            )
            for one in record.infeasible
        ),
        untrained=sum(one.score is None for one in record.infeasible),
        sentences=_sentences(record),
    )


def _row(record: StudyRecord, one: Constraint) -> LimitRow:
    broken = sum(
        trial.state is TrialState.INFEASIBLE
        and one.quantity in trial.measured
        and one.margin(trial.measured[one.quantity]) > 0
        for trial in record.trials
    )
    winner = None if record.best is None else record.best.measured.get(one.quantity)
    return LimitRow(one.text, one.quantity, one.kind, one.limit, winner, broken, WHAT.get(one.quantity, ""))


def _sentences(record: StudyRecord) -> tuple[str, ...]:
    constraints = record.objective.constraints
    if not constraints:
        return ()
    texts, best = listed_texts(constraints.each), record.best
    infeasible, untrained = len(record.infeasible), sum(one.score is None for one in record.infeasible)
    if best is None:
        return _no_winner(record, texts)
    broken = "all complete trials keep them"
    if infeasible:
        one, few = infeasible == 1, f" ({untrained} not trained)" if untrained else ""
        broken = (
            f"{words.several(infeasible, 'trial')}{few} {'breaks' if one else 'break'} them and "
            f"{'is' if one else 'are'} neither ranked nor compared with the others"
        )
    values = ", ".join(
        f"{name} {said(best.measured[name])}" for name in constraints.quantities if name in best.measured
    )
    return (
        f"Limits: {texts}; {broken}. Trial {best.number} has {values}.",
        *_of_latency(record),
    )


def _of_latency(record: StudyRecord) -> tuple[str, ...]:
    if "latency_ms" not in record.objective.constraints.quantities:
        return ()
    return (
        "Its latency was measured on the machine that trained it: it is noisy, and another machine has another one.",
    )


def _no_winner(record: StudyRecord, texts: str) -> tuple[str, ...]:
    nearest, trained, count = record.nearest, record.nearest_trained, len(record.infeasible)
    if nearest is None or nearest.failure is None:
        return (f"Limits: {texts}.",)
    yet = " yet" if record.state is StudyState.RUNNING else ""
    said_so = (
        f"No trial keeps the limits{yet} ({texts}), so there is no winner: {words.several(count, 'trial')} "
        f"{'is' if count == 1 else 'are'} infeasible. The nearest is trial {nearest.number}: {nearest.failure.message}."
    )
    if trained is None or record.champion is not None or yet:
        return (said_so,)
    crown = record.command("crown", str(trained.number))
    return (said_so, f"`{crown}` makes trial {trained.number} the champion all the same.")
