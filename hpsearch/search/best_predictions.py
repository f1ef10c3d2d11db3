"""Keeps the predictions of the best trials only: of a whole study they might fill a disk."""

from collections.abc import Iterable
from pathlib import Path

from hpsearch.core.objective import Objective
from hpsearch.core.out_of_fold import BEST, drop, size_of
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.observer import Observer

ROOM = 256 << 20
"""Bytes that the predictions of more than the best trials may take. The more of the worse trials are known, the less is
the choice of the best ones overlooked."""


class BestPredictions(Observer):
    """Deletes the predictions of trials that are not among the best, once all take too much room.

    Args:
        folder: Of all predictions of the study.
        objective: Ranks the trials.
    """

    def __init__(self, folder: Path, objective: Objective) -> None:
        self._folder, self._objective = folder, objective
        self._kept: dict[int, tuple[Trial, int]] = {}

    def open(self, record: StudyRecord) -> None:
        self._add(trial for trial in record.trials if trial.state is not TrialState.RUNNING)

    def trial_finished(self, trial: Trial) -> None:
        self._add([trial])

    def _add(self, ended: Iterable[Trial]) -> None:
        worse = []
        for trial in ended:
            if trial.state is TrialState.COMPLETE:
                self._kept[trial.number] = trial, size_of(self._folder, trial.number)
            else:
                worse.append(trial.number)
        taken = sum(size for _, size in self._kept.values())
        ranked = sorted((trial for trial, _ in self._kept.values()), key=self._objective.rank_key)
        while taken > ROOM and len(ranked) > BEST:
            number = ranked.pop().number
            taken -= self._kept.pop(number)[1]
            worse.append(number)
        drop(self._folder, worse)
