"""Who is told about a study's progress: the live view and the tracker. Every method may be left as it is."""

from collections.abc import Sequence
from dataclasses import replace

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import FoldResult, Trial
from hpsearch.ledger.record import StudyRecord
from hpsearch.tracking.base import Tracker


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

    def others_trial(self, trial: Trial) -> None:
        """Another driver of the study has a trial, or has ended one; see :mod:`hpsearch.search.joining`."""

    def driver_waited(self, seconds: float) -> None:
        """The driver had nothing to do for so long but to wait for its workers."""

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

    def others_trial(self, trial: Trial) -> None:
        for observer in self._observers:
            observer.others_trial(trial)

    def driver_waited(self, seconds: float) -> None:
        for observer in self._observers:
            observer.driver_waited(seconds)

    def note(self, text: str) -> None:
        for observer in self._observers:
            observer.note(text)

    def refit_started(self, trial: Trial) -> None:
        for observer in self._observers:
            observer.refit_started(trial)

    def close(self, record: StudyRecord) -> None:
        for observer in self._observers:
            observer.close(record)


class TrackerObserver(Observer):
    """Tells a tracker which trials have changed, with all their finished folds. The session closes it.

    Args:
        tracker: The tracker.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._folds: dict[int, dict[int, FoldResult]] = {}

    def open(self, record: StudyRecord) -> None:
        self._tracker.open(record)

    def trial_started(self, trial: Trial) -> None:
        self._folds[trial.number] = {result.fold: result for result in trial.folds}
        self._tracker.trial_changed(trial)

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        folds = self._folds[trial.number]
        folds[result.fold] = result
        self._tracker.trial_changed(replace(trial, folds=tuple(folds[fold] for fold in sorted(folds))))

    def trial_finished(self, trial: Trial) -> None:
        self._folds.pop(trial.number, None)
        self._tracker.trial_changed(trial)

    def driver_waited(self, seconds: float) -> None:
        self._tracker.driver_waited(seconds)
