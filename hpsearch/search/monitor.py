"""The pruning monitor: keeps the objective's curves of running trials and asks the pruning rule which ones to stop."""

from collections.abc import Iterable, Mapping, Sequence

from hpsearch.core.events import EpochFinished
from hpsearch.core.hyperparameters import epochs_of
from hpsearch.core.objective import aligned
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.ledger.record import StudyRecord
from hpsearch.pruning import FoldCurves, fold_stop_reason, make_pruner


class PruningMonitor:
    """Asks the pruning rule each time all folds of a running trial have one more epoch.

    Args:
        record: The study; finished trials in it count from the start.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._metric = record.objective.metric
        # Folds in which the metric has no value have no say.
        self._n_folds = record.facts.data.n_folds - len(record.facts.undefined_in(self._metric))
        self._pruner = make_pruner(
            record.spec.pruning,
            record.objective,
            validation_ratio=record.facts.validation_ratio(self._metric),
        )
        self._objective, self._fold_rule = record.objective, record.spec.pruning.folds
        self._all_folds = record.facts.data.n_folds
        self._curves: dict[int, dict[int, list[float]]] = {}
        self._left: dict[int, dict[int, FoldResult]] = {}  # folds that a callback has ended, of running trials
        self._compared: dict[int, FoldCurves] = {}
        for trial in record.trials:
            if trial.state.finished:
                self.finish(trial)

    def start(self, trial: Trial) -> None:
        """A trial begins or goes on; its finished folds count in full."""
        curves = {result.fold: list(result.curves.get(self._metric, ())) for result in trial.folds}
        self._curves[trial.number] = {fold: curve for fold, curve in curves.items() if curve}
        self._left[trial.number] = {result.fold: result for result in trial.folds if result.stopped}

    def fold_ended(self, trial: int, result: FoldResult) -> None:
        """A fold has trained to its end. If a callback has ended it, its last value counts for later epochs, too."""
        if result.stopped and self._metric in result.curves:
            self._left.setdefault(trial, {})[result.fold] = result

    def restart(self, trial: int, folds: Iterable[int]) -> None:
        """These folds train again from their first epoch."""
        for fold in folds:
            self._curves[trial].pop(fold, None)
            self._left.get(trial, {}).pop(fold, None)
        self._compared.pop(trial, None)

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
        left = self._left.get(event.trial, {})
        lengths = [len(curve) for fold, curve in curves.items() if fold not in left]
        common = min(lengths, default=0) if len(curves) == self._n_folds else 0
        before = self._compared.get(event.trial)
        known = 0 if before is None else len(before.mean)
        others = [other for number, other in self._compared.items() if number != event.trial]
        # One more epoch, or several: the fold that the others were ahead of may have ended.
        for count in range(known + 1, common + 1):
            folds = tuple(
                left[fold].curve(self._metric, count) if fold in left else tuple(curves[fold][:count])
                for fold in sorted(curves)
            )
            own = self._compared[event.trial] = FoldCurves(event.trial, folds, complete=False, epochs=epochs)
            if (reason := self._pruner.stop_reason(own, others)) is not None:
                return reason
        return None

    @property
    def fold_by_fold(self) -> bool:
        """Whether the rule judges a trial after each fold, so that its folds must train one after the other."""
        return self._fold_rule != "none"

    def folds(self, results: Mapping[int, FoldResult], known: Sequence[Trial]) -> str | None:
        """A trial has one more fold, or goes on with those it has.

        Args:
            results: Its finished folds.
            known: The trials to compare with. For a study to go on with the same decisions after a kill, they must
                not depend on timing.

        Returns:
            Why not to train the others, or None to go on.
        """
        if self._fold_rule == "none":
            return None
        folds = [result for _, result in sorted(results.items())]
        return fold_stop_reason(self._fold_rule, self._objective, folds, self._all_folds, known)

    def finish(self, trial: Trial) -> None:
        """A trial has ended; its curves stay for the others to be compared with."""
        self._curves.pop(trial.number, None)
        self._left.pop(trial.number, None)
        scored = [result for result in trial.folds if self._metric in result.curves]
        curves = [one[self._metric] for one in aligned(scored)]
        common = min(map(len, curves), default=0) if len(curves) == self._n_folds else 0
        if self._pruner is None or common == 0 or trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            self._compared.pop(trial.number, None)
            return
        complete, epochs = trial.state is TrialState.COMPLETE, epochs_of(trial.config)
        folds = tuple(curve[:common] for curve in curves)
        if complete and trial.stopped_epochs:  # it would have had these values to its end
            folds = tuple(result.curve(self._metric, max(epochs, common)) for result in scored)
        self._compared[trial.number] = FoldCurves(trial.number, folds, complete=complete, epochs=epochs)
