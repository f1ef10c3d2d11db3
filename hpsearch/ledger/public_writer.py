"""Trials through Optuna's public interface alone, for versions of Optuna whose tables hpsearch does not know.

Optuna commits every value on its own, so the value that decides has a commit of its own: a trial's start is one commit,
the last attribute of a fold makes it finished, and the outcome is the first value to be entered when a trial ends. If a
driver is killed after that, the trial has ended for hpsearch and still runs for Optuna; :meth:`PublicWriter.settle`
completes it.
"""

from collections.abc import Mapping
from datetime import datetime

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.core.space import Space
from hpsearch.core.trial import Failure, FailureKind, Trial
from hpsearch.core.trial import TrialState as OurState
from hpsearch.core.wire import Json
from hpsearch.ledger.codec import OUTCOME, Outcome, trial_attrs
from hpsearch.ledger.trial_writer import (
    TrialEnd,
    TrialWriter,
    distribution_of,
    ended_already,
    first_attributes,
    number_taken,
    searched_values,
)


class PublicWriter(TrialWriter):
    """Calls Optuna's public interface.

    Args:
        storage: Any storage of Optuna.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def start(self, study_id: int, trial: Trial, space: Space) -> int:
        if self._is_taken(study_id, trial.number):
            raise number_taken(trial.number, self._storage.get_n_trials(study_id))
        trial_id = self._storage.create_new_trial(study_id, _template(trial, space))
        if (found := self._storage.get_trial_number_from_id(trial_id)) != trial.number:
            self._give_up(trial_id, trial, found)
            raise number_taken(trial.number, found)
        return trial_id

    def _is_taken(self, study_id: int, number: int) -> bool:
        # Optuna counts the trials of a study by reading them all; looking one up is cheap.
        try:
            self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        except KeyError:
            return False
        return True

    def _give_up(self, trial_id: int, trial: Trial, number: int) -> None:
        """Let a trial fail that another driver's has overtaken: Optuna has no way to remove it."""
        reason = Failure(FailureKind.ERROR, f"entered while another driver entered trial {trial.number}")
        outcome = Outcome(OurState.FAILED, finished=trial.started, failure=reason, folds=())
        self.end(trial_id, TrialEnd(number, TrialState.FAIL, None, (), outcome.to_json(), trial.started, {}))

    def adopt(self, trial_id: int, trial: Trial, space: Space) -> None:
        try:
            for name, value in searched_values(trial, space).items():
                distribution = distribution_of(space[name])
                self._storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)
            # The trial is ours with the last attribute, whatever its state.
            for key, one in first_attributes(trial, space).items():
                self._storage.set_trial_system_attr(trial_id, key, one)
            self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            raise ended_already(trial.number) from None

    def add(self, trial_id: int, attrs: Mapping[str, Json]) -> None:
        try:
            for key, value in attrs.items():
                self._storage.set_trial_system_attr(trial_id, key, value)
        except UpdateFinishedTrialError:
            raise ended_already(self._storage.get_trial_number_from_id(trial_id)) from None

    def end(self, trial_id: int, end: TrialEnd) -> None:
        if OUTCOME in trial_attrs(self._storage.get_trial(trial_id)):
            raise ended_already(end.number)
        try:
            self._storage.set_trial_system_attr(trial_id, OUTCOME, end.outcome)
        except UpdateFinishedTrialError:
            raise ended_already(end.number) from None
        self.settle(trial_id, end)

    def settle(self, trial_id: int, end: TrialEnd) -> None:
        """Tell Optuna how a trial ended that has its outcome. Values that are there already are entered again.

        Raises:
            LedgerError: It has ended for Optuna already: another driver writes the study.
        """
        try:
            for key, one in end.remarks.items():
                self._storage.set_trial_user_attr(trial_id, key, one)
            for key, one in end.attributes.items():
                self._storage.set_trial_system_attr(trial_id, key, one)
            for step, mean in enumerate(end.curve):
                self._storage.set_trial_intermediate_value(trial_id, step, float(mean))
            values = None if end.value is None else [end.value]
            self._storage.set_trial_state_values(trial_id, end.state, values)
        except UpdateFinishedTrialError:
            raise ended_already(end.number) from None


def _template(trial: Trial, space: Space) -> FrozenTrial:
    searched = searched_values(trial, space)
    return FrozenTrial(
        number=trial.number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.fromtimestamp(trial.started),  # Optuna takes local time
        datetime_complete=None,
        params=searched,
        distributions={name: distribution_of(space[name]) for name in searched},
        user_attrs={},
        system_attrs=first_attributes(trial, space),
        intermediate_values={},
        trial_id=0,
    )
