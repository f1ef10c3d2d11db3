"""Keeps the predictions of the best trials only: of a whole study they might fill a disk."""

from bisect import insort
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
        self._kept: list[tuple[tuple[int, float, int], int]] = []  # rank, bytes; the best first
        self._taken = 0

    def open(self, record: StudyRecord) -> None:
        self._add(trial for trial in record.trials if trial.state is not TrialState.RUNNING)

    def trial_finished(self, trial: Trial) -> None:
        self._add([trial])

    def _add(self, ended: Iterable[Trial]) -> None:
        worse = []
        for trial in ended:
            if trial.state is TrialState.COMPLETE:
                size = size_of(self._folder, trial.number)
                insort(self._kept, (self._objective.rank_key(trial), size))
                self._taken += size
            else:
                worse.append(trial.number)
        while self._taken > ROOM and len(self._kept) > BEST:
            (_, _, number), size = self._kept.pop()
            self._taken -= size
            worse.append(number)
        drop(self._folder, worse)
