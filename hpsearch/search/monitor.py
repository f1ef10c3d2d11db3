"""Keeps the objective's curves while trials train, and asks the pruning rule when all folds have one more epoch."""

from collections.abc import Iterable

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.pruning import FoldCurves, make_pruner


class Judge:
    """Says which running trials to stop.

    Args:
        record: The study; finished trials in it count from the start.
    """

    def __init__(self, record: StudyRecord) -> None:
        folds = record.facts["data"]["folds"]
        self._metric = record.objective.metric
        self._n_folds = len(folds)
        self._pruner = make_pruner(
            record.spec.pruning,
            record.objective,
            validation_ratio=sum(validation for _, validation in folds) / sum(train for train, _ in folds),
        )
        self._curves: dict[int, dict[int, list[float]]] = {}
        self._judged: dict[int, FoldCurves] = {}
        for trial in record.trials:
            if trial.state.finished:
                self.finish(trial)

    def start(self, trial: Trial) -> None:
        """A trial begins or goes on; its finished folds count in full."""
        self._curves[trial.number] = {result.fold: list(result.curves.get(self._metric, ())) for result in trial.folds}

    def restart(self, trial: int, folds: Iterable[int]) -> None:
        """These folds train again from their first epoch."""
        for fold in folds:
            self._curves[trial].pop(fold, None)
        self._judged.pop(trial, None)

    def epoch(self, event: EpochFinished, epochs: int) -> str | None:
        """One lane has one more epoch.

        Args:
            event: The epoch.
            epochs: How many epochs the trial is to train.

        Returns:
            Why to stop the trial, or None to go on.
        """
        if self._pruner is None or self._metric not in event.metrics:
            return None
        curves = self._curves[event.trial]
        curves.setdefault(event.fold, []).append(event.metrics[self._metric])
        common = min(map(len, curves.values())) if len(curves) == self._n_folds else 0
        before = self._judged.get(event.trial)
        if common == 0 or (before is not None and len(before.mean) >= common):
            return None
        folds = tuple(tuple(curves[fold][:common]) for fold in sorted(curves))
        judged = self._judged[event.trial] = FoldCurves(event.trial, folds, complete=False, epochs=epochs)
        others = [other for number, other in self._judged.items() if number != event.trial]
        return self._pruner.verdict(judged, others)

    def finish(self, trial: Trial) -> None:
        """A trial has ended; its curves stay for the others to be compared with."""
        self._curves.pop(trial.number, None)
        curves = [result.curves.get(self._metric, ()) for result in trial.folds]
        common = min(map(len, curves), default=0) if len(curves) == self._n_folds else 0
        if self._pruner is None or common == 0 or trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            self._judged.pop(trial.number, None)
            return
        folds = tuple(curve[:common] for curve in curves)
        complete = trial.state is TrialState.COMPLETE
        self._judged[trial.number] = FoldCurves(trial.number, folds, complete=complete, epochs=epochs_of(trial))


def epochs_of(trial: Trial) -> int:
    """Epochs that a trial is to train; 20 where its space does not say."""
    return int(trial.config.get("epochs", 20))
