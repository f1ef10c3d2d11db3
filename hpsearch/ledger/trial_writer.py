"""How trials are entered into Optuna's storage: an interface with two implementations.

:class:`~hpsearch.ledger.fast_writer.FastWriter` writes rows into Optuna's tables, one transaction per step of a trial.
:class:`~hpsearch.ledger.public_writer.PublicWriter` calls Optuna's public interface, which is slower. Both produce the
same study.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.objective import aligned, mean_curve
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space, Value
from hpsearch.core.trial import Trial, TrialState
from hpsearch.core.wire import Json, JsonObject
from hpsearch.errors import LedgerError
from hpsearch.ledger.codec import FIXED, FOUND, STARTED, Outcome, space_to_json

_STATES = {TrialState.COMPLETE: OptunaState.COMPLETE, TrialState.PRUNED: OptunaState.PRUNED}


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """What Optuna's storage is told at the end of a trial.

    Attributes:
        number: The trial's number.
        state: Its state for Optuna from now on.
        value: Its score; None for a trial without one.
        curve: Intermediate values from step 0; may hold NaN and infinities.
        outcome: The attribute ``outcome``.
        finished: Unix time, seconds.
        remarks: User attributes, for readers of Optuna's storage.
        attributes: System attributes for Optuna itself.
    """

    number: int
    state: OptunaState
    value: float | None
    curve: Sequence[float]
    outcome: JsonObject
    finished: float
    remarks: JsonObject
    attributes: JsonObject = field(default_factory=dict)

    @classmethod
    def of(cls, trial: Trial, metric: str, constraints: Constraints = NO_CONSTRAINTS) -> "TrialEnd":
        """The end of a trial whose objective is `metric`. One that breaks a limit is complete for Optuna if it has a
        score, and pruned if it was not trained.
        """
        assert trial.finished is not None
        state = _STATES.get(trial.state, OptunaState.FAIL)
        if trial.state is TrialState.INFEASIBLE:
            state = OptunaState.PRUNED if trial.score is None else OptunaState.COMPLETE
        curves = aligned(trial.folds)
        return cls(
            number=trial.number,
            state=state,
            value=None if state is OptunaState.FAIL else trial.score,
            curve=mean_curve(curves, metric) if any(metric in fold for fold in curves) else (),
            outcome=Outcome.of(trial).to_json(),
            finished=trial.finished,
            remarks=_remarks(trial),
            attributes={} if state is OptunaState.FAIL else {**constraints.for_optuna(trial.measured)},
        )


def _remarks(trial: Trial) -> JsonObject:
    """User attributes of a trial that has ended: what a reader of Optuna's dashboard wants beside the score."""
    said: JsonObject = {"std": trial.std, "epoch": trial.epoch, "seconds": round(trial.seconds, 3) or None}
    said |= {"failure": trial.failure.message[:200] if trial.failure else None, "weights": trial.parameters}
    said |= {name: value for name, value in trial.measured.items() if name != "parameters"}
    return {name: value for name, value in said.items() if value is not None}


class TrialWriter(ABC):
    """Enters the steps of a trial. After a driver is killed in a step, the step is entered or it is not."""

    @abstractmethod
    def start(self, study_id: int, trial: Trial, space: Space) -> int:
        """Enter a running trial.

        Args:
            study_id: Optuna's id of the study.
            trial: The suggestion.
            space: The study's space.

        Returns:
            Optuna's id of the trial.

        Raises:
            LedgerError: The number is not the study's next one: another driver writes it.
        """

    @abstractmethod
    def adopt(self, trial_id: int, trial: Trial, space: Space) -> None:
        """Begin a trial that another program has enqueued.

        Args:
            trial_id: Optuna's id of the waiting trial.
            trial: With its whole config.
            space: The study's space.

        Raises:
            LedgerError: It does not wait any more: another driver writes the study.
        """

    @abstractmethod
    def add(self, trial_id: int, attrs: Mapping[str, Json]) -> None:
        """Enter attributes that a trial does not have yet. The last one is never there without the others."""

    @abstractmethod
    def end(self, trial_id: int, end: TrialEnd) -> None:
        """Enter the end of a running trial.

        Raises:
            LedgerError: It has ended already: another driver writes the study.
        """


def first_attributes(trial: Trial, space: Space) -> JsonObject:
    """The attributes that a trial has from its start."""
    found = {FOUND: space_to_json(trial.found)} if trial.found else {}
    return {**found, FIXED: fixed_values(trial, space), STARTED: trial.started}


def searched_values(trial: Trial, space: Space) -> dict[str, Value]:
    """The values that are Optuna's parameters: those that can differ between trials."""
    return {name: value for name, value in trial.config.items() if not isinstance(space[name], Constant)}


def fixed_values(trial: Trial, space: Space) -> JsonObject:
    """The other values of the config."""
    return {name: value for name, value in trial.config.items() if isinstance(space[name], Constant)}


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution for a hyperparameter."""
    match parameter:
        case Float():
            values = parameter.values()
            high = parameter.high if values is None else values[-1]
            return FloatDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
        case Int():
            high = parameter.low + (parameter.high - parameter.low) // parameter.step * parameter.step
            return IntDistribution(parameter.low, high, log=parameter.log, step=parameter.step)
        case Choice() | Constant():
            return CategoricalDistribution(parameter.values())


def number_taken(number: int, found: int) -> LedgerError:
    """The error for a trial whose number is not the next one."""
    return LedgerError(
        f"trial {number} would become trial {found}: another driver writes this study",
        code="number-taken",
        hint="stop the other driver, then run `hpsearch resume`",
        trial=number,
        number=found,
    )


def ended_already(number: int) -> LedgerError:
    """The error for a trial that is ended twice."""
    return LedgerError(
        f"trial {number} has ended already: another driver writes this study",
        code="ended-already",
        hint="stop the other driver, then run `hpsearch resume`",
        trial=number,
    )
