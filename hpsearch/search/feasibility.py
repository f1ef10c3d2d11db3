"""The limits of a study: whether its trials can keep them at all, and what is said when none does."""

from collections.abc import Sequence

from hpsearch.core.constraints import UNITS, listed_texts
from hpsearch.core.output_metrics import Targets, known_metrics
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import SpecError, StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import StudySpec


def check_limited(spec: StudySpec, recorded: Sequence[str], data: Targets) -> None:
    """Refuse a limit on what no trial records.

    Args:
        spec: The study file.
        recorded: Names of the curves that a rehearsal has found.
        data: The study's, whose metrics can be computed from predictions.

    Raises:
        SpecError: There is one.
    """
    for one in spec.make_objective().constraints.each:
        if one.of_model or one.quantity in recorded:
            continue
        key = f"objective.{one.kind}.{one.quantity}"
        computed = tuple(f"val_{name}" for name in known_metrics(data) if f"val_{name}" not in recorded)
        legal = (*recorded, *computed, *(UNITS if one.kind == "at_most" else ()))
        can = f". From its predictions, {listed(computed)} can be computed" if computed else ""
        raise SpecError(
            f"{key}: the model records no {one.quantity!r}{did_you_mean(one.quantity, legal)}; it records "
            f"{listed(recorded)}{can}. {listed(UNITS)} can be measured",
            code="no-such-quantity",
            key=key,
            hint="a build function records what it compiles its model with: compile(metrics=[...]); scikit-learn's "
            "scorers are named as sklearn:recall_macro, functions of yours as module:function",
            quantity=one.quantity,
            recorded=tuple(recorded),
        )


def none_feasible(record: StudyRecord) -> StudyError | None:
    """Why a study without a complete trial has no winner, if that is because of its limits."""
    nearest = record.nearest
    if nearest is None or nearest.failure is None:
        return None
    infeasible = len(record.infeasible)
    what = (
        f"no trial of study {record.name!r} keeps its limits ({listed_texts(record.objective.constraints.each)}): "
        f"{infeasible} of {len(record.trials)} are infeasible. The nearest is trial {nearest.number}: "
        f"{nearest.failure.message}"
    )
    ways = (
        f"`{record.command('resume', f'--trials {len(record.trials) + 20}')}` searches on; a study with another name "
    )
    ways += "can have wider limits"
    if (trained := record.nearest_trained) is not None:
        crown = record.command("crown", str(trained.number))
        ways += f"; `{crown}` makes trial {trained.number} the champion all the same"
    return StudyError(
        what,
        code="no-feasible-trial",
        hint=ways,
        study=record.name,
        trial=nearest.number,
        measured=dict(nearest.measured),
        infeasible=infeasible,
    )
