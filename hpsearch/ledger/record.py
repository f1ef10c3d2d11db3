"""Everything known about a study, as one frozen value. Tracking, analysis and reports work from it."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from hpsearch.core.addresses import DEFAULT_LEDGER
from hpsearch.core.facts import StudyFacts, Task
from hpsearch.core.objective import Objective
from hpsearch.core.space import Space
from hpsearch.core.trial import Champion, Trial, TrialState
from hpsearch.core.words import quoted
from hpsearch.errors import LedgerError, SpecError
from hpsearch.spec import StudySpec
from hpsearch.spec.limits import read_toml

DRIVER_DIED = "its driver died"
"""Why the tracker lacks a part of a study that nobody has ended."""


class StudyState(StrEnum):
    """Where a study stands. In the ledger, RUNNING is only a claim: a killed driver leaves it behind.

    :func:`hpsearch.ledger.workspace.read` checks it.
    """

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


@dataclass(frozen=True)
class StudyRecord:
    """A study as the ledger has it.

    Attributes:
        name: The study's name.
        spec: Its checked study file.
        study_file: The file's text as given, without passwords.
        space: The effective space, with a family's defaults or a KerasTuner model's hyperparameters filled in.
        facts: What the study knows of its data, engine and machine.
        trials: In order of their number, running ones included.
        state: See :class:`StudyState`.
        created: Unix time, seconds.
        champion: The refitted winner, once there is one.
        notes: What happened that the user should know, oldest first, such as "space exhausted after 12 trials".
        behind: Why the tracker lacks a part of the study; empty if it has everything, or while it is driven.
        at_home: Whether the ledger says that its files were made where they are now.
    """

    name: str
    spec: StudySpec
    study_file: str
    space: Space
    facts: StudyFacts
    trials: Sequence[Trial] = ()
    state: StudyState = StudyState.RUNNING
    created: float = 0.0
    champion: Champion | None = None
    notes: tuple[str, ...] = field(default=())
    behind: str = ""
    at_home: bool = field(default=True, compare=False)

    @cached_property
    def worker_spec(self) -> StudySpec:
        """The study file as workers take it: with the engine and the task that the study began with."""
        resources = self.spec.resources.model_copy(update={"engine": self.facts.plan.engine})
        return with_task_as_begun(self.spec.model_copy(update={"resources": resources}), self.facts)

    @cached_property
    def sections(self) -> dict[str, Any]:
        """The study file's content as it was written.

        Raises:
            LedgerError: The ledger has another text than that of a study file.
        """
        try:
            return read_toml(self.study_file, "the study file in the ledger")
        except SpecError as error:
            raise LedgerError(
                f"study {quoted(self.name)} cannot be read: {error.what}",
                code="unreadable-study",
                hint="the ledger is damaged: restore a copy",
                study=self.name,
            ) from None

    @cached_property
    def objective(self) -> Objective:
        """What the study optimises."""
        return self.spec.make_objective()

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """Complete trials, best first; ties by trial number. Those that break a limit are not among them."""
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return tuple(sorted(complete, key=self.objective.rank_key))

    @property
    def best(self) -> Trial | None:
        """The best complete trial."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def infeasible(self) -> tuple[Trial, ...]:
        """Trials that break a limit, the nearest to feasible first."""
        constraints = self.objective.constraints
        found = [trial for trial in self.trials if trial.state is TrialState.INFEASIBLE]
        return tuple(sorted(found, key=lambda trial: (constraints.violation(trial.measured), trial.number)))

    @property
    def nearest(self) -> Trial | None:
        """The infeasible trial that breaks the limits least; None if there is none."""
        return self.infeasible[0] if self.infeasible else None

    @property
    def nearest_trained(self) -> Trial | None:
        """Of those that were trained, the same."""
        return next((trial for trial in self.infeasible if trial.score is not None), None)

    @property
    def counts(self) -> dict[TrialState, int]:
        """Number of trials in each state that occurs, in the order of :class:`TrialState`."""
        return {state: n for state in TrialState if (n := sum(trial.state is state for trial in self.trials))}

    def undriven(self) -> "StudyRecord":
        """The study as it stands when no driver runs it: interrupted if it claims to be running."""
        return replace(self, state=StudyState.INTERRUPTED) if self.state is StudyState.RUNNING else self

    @property
    def lacking(self) -> str:
        """What to tell the user where the tracker is behind; empty if it is not."""
        if not self.behind:
            return ""
        return f"MLflow lacks a part of study {self.name!r}: {self.behind}; `{self.command('sync')}` catches up"

    def command(self, verb: str, *arguments: str) -> str:
        """How to call hpsearch for this study, ready for a shell: ``hpsearch resume 'my study'``."""
        words = ["hpsearch", verb, shlex.quote(self.name), *arguments]
        ledger = str(self.spec.tracking.ledger)
        if ledger != DEFAULT_LEDGER:
            # Without quotes, the shell fills in ${NAME}.
            bare = re.fullmatch(r"([\w:/.+@%-]|\$\{\w+\})+", ledger)
            words += ["--ledger", ledger if bare else shlex.quote(ledger)]
        return " ".join(words)


def with_task_as_begun(spec: StudySpec, facts: StudyFacts) -> StudySpec:
    """Columns of zeros and ones were several regressions before they were labels; such a study goes on as it began.

    Args:
        spec: The study file, or that of a study which is measured against it.
        facts: What the study knows.
    """
    if spec.data.task is not None or facts.data.task is not Task.REGRESSION:
        return spec
    return spec.model_copy(update={"data": spec.data.model_copy(update={"task": Task.REGRESSION.value})})
