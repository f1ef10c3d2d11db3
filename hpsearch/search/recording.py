"""Enters what has been trained: folds, and the ends of trials."""

from functools import partial

from hpsearch.core.trial import FoldResult, Trial
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.claims import Claims
from hpsearch.search.observer import Observer
from hpsearch.search.results import Live, Results
from hpsearch.search.together import Together


class Recording:
    """Enters folds and ends of trials, as long as the trials are this driver's.

    Args:
        record: The study.
        ledger: Its ledger.
        claims: Which trials are this driver's.
        results: What of a trial can be used.
        together: Which trials' folds end together. These are entered when their trial ends.
        observer: Told of every fold.
    """

    def __init__(
        self,
        record: StudyRecord,
        ledger: Ledger,
        claims: Claims,
        results: Results,
        together: Together,
        observer: Observer,
    ) -> None:
        self._name, self._objective, self._ledger, self._claims = record.name, record.objective, ledger, claims
        self._results, self._together, self._observer = results, together, observer

    def fold(self, trial: Trial, result: FoldResult, parameters: int | None) -> bool:
        """Enter a finished fold.

        Args:
            trial: Its trial.
            result: The fold.
            parameters: Number of weights; None if it is known already.

        Returns:
            False if the trial is another driver's by now.
        """
        if self._together.holds(trial.number):
            return True
        return self._enter(trial, result, parameters)

    def _enter(self, trial: Trial, result: FoldResult, parameters: int | None) -> bool:
        add = partial(self._ledger.add_fold, self._name, trial.number, result, parameters)
        if not self._claims.enter(trial.number, add):
            return False
        self._observer.fold_finished(trial, result)
        return True

    def end(self, trial: Trial, live: Live) -> Trial | None:
        """Enter the end of a trial whose last lane has ended; None if it is another driver's by now."""
        if self._together.holds(trial.number) and live.ending is None:
            live.results = self._together.results(trial, live.results)
            entered = {fold.fold for fold in trial.folds}
            parameters = None if entered else trial.parameters
            for fold in sorted(live.results.keys() - entered):
                if not self._enter(trial, live.results[fold], parameters):
                    return None
                parameters = None
        ended = self._results.ended(trial, live)
        metric, constraints = self._objective.metric, self._objective.constraints
        finish = partial(self._ledger.finish_trial, self._name, ended, metric, constraints)
        if not self._claims.enter(trial.number, finish):
            return None
        self._together.finish(trial.number)
        return ended
