"""A study that a data file suggests, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpsearch.proposal.objective import Goal
from hpsearch.proposal.roles import Roles
from hpsearch.proposal.space import Searched

TRIALS = 20


@dataclass(frozen=True, slots=True)
class Validation:
    """How a proposal splits its rows.

    Attributes:
        method: ``[validation] method``; None for what data and task decide.
        folds: ``[validation] folds``.
        test_fraction: ``[data] test_fraction``.
        why: Key → why it is not the usual one.
    """

    method: str | None = None
    folds: int = 5
    test_fraction: float = 0.2
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A study for a data file.

    Attributes:
        name: Of the study.
        source: ``[data] source``, seen from the study file's folder.
        data: Other keys of ``[data]``, without the columns to ignore.
        roles: Of a table's columns; without any for arrays.
        remarks: Key → why, in ``[data]``.
        validation: See :class:`Validation`.
        family: The model family.
        searched: The space.
        goal: The objective.
        trials: Number of trials.
        summary: What the file holds, in one line.
        budget: How trials and epochs were chosen for a given time; empty without one.
    """

    name: str
    source: str
    data: Mapping[str, object]
    roles: Roles
    remarks: Mapping[str, Sequence[str]]
    validation: Validation = Validation()
    family: str = "mlp"
    searched: Searched = field(default_factory=lambda: Searched({}, {}))
    goal: Goal = field(default_factory=lambda: Goal("val_loss", "minimize"))
    trials: int = TRIALS
    summary: str = ""
    budget: str = ""
