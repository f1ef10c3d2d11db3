"""Who watches a study: the live view, the MLflow projection. All methods may be left as they are."""

from collections.abc import Sequence

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import FoldResult, Trial
from hpsearch.ledger.record import StudyRecord


class Observer:
    """Told of everything that happens to a study, by the driver's thread: return quickly, never raise."""

    def open(self, record: StudyRecord) -> None:
        """A study starts or goes on."""

    def trial_started(self, trial: Trial) -> None:
        """A trial was suggested, or is continued; ``trial.folds`` are those finished before."""

    def epoch_finished(self, event: EpochFinished) -> None:
        """One lane has one more epoch."""

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        """One fold is done and in the ledger."""

    def trial_finished(self, trial: Trial) -> None:
        """A trial has ended, whatever its fate, and is in the ledger."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def refit_started(self, trial: Trial) -> None:
        """The search is over; the winner is trained anew."""

    def close(self, record: StudyRecord) -> None:
        """The study has ended, was interrupted or failed; see ``record.state``."""


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def open(self, record: StudyRecord) -> None:
        for observer in self._observers:
            observer.open(record)

    def trial_started(self, trial: Trial) -> None:
        for observer in self._observers:
            observer.trial_started(trial)

    def epoch_finished(self, event: EpochFinished) -> None:
        for observer in self._observers:
            observer.epoch_finished(event)

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        for observer in self._observers:
            observer.fold_finished(trial, result)

    def trial_finished(self, trial: Trial) -> None:
        for observer in self._observers:
            observer.trial_finished(trial)

    def note(self, text: str) -> None:
        for observer in self._observers:
            observer.note(text)

    def refit_started(self, trial: Trial) -> None:
        for observer in self._observers:
            observer.refit_started(trial)

    def close(self, record: StudyRecord) -> None:
        for observer in self._observers:
            observer.close(record)
