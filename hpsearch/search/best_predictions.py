"""Keeps the predictions of the best trials only: of a whole study they would fill a disk."""

from pathlib import Path

from hpsearch.core.objective import Objective
from hpsearch.core.out_of_fold import BEST, drop
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.observer import Observer


class BestPredictions(Observer):
    """Deletes the predictions of trials that are not among the best.

    Args:
        folder: Of all predictions of the study.
        objective: Ranks the trials.
    """

    def __init__(self, folder: Path, objective: Objective) -> None:
        self._folder, self._objective = folder, objective
        self._ended: list[Trial] = []

    def open(self, record: StudyRecord) -> None:
        self._ended = [trial for trial in record.trials if trial.state is not TrialState.RUNNING]

    def trial_finished(self, trial: Trial) -> None:
        self._ended.append(trial)
        complete = [one for one in self._ended if one.state is TrialState.COMPLETE]
        best = {one.number for one in sorted(complete, key=self._objective.rank_key)[:BEST]}
        worse = {one.number for one in self._ended} - best
        drop(self._folder, worse)
