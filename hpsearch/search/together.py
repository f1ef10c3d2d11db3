"""Trials whose folds end together: ``EarlyStopping`` of scope ``"mean"`` follows the mean of all folds.

Folds may train on several workers, so the driver decides. What a fold has trained beyond the common end is cut off.
Such a trial's folds are entered when it ends, so that a study that is killed trains all of them again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hpsearch.core.callbacks import Direction, EarlyStopping, direction_together, together
from hpsearch.core.events import EpochFinished
from hpsearch.core.hyperparameters import epochs_of
from hpsearch.core.trial import FoldResult, Trial
from hpsearch.ledger.record import StudyRecord


@dataclass(slots=True)
class _Following:
    """A trial that is followed: the monitored curves of its folds, and whether they end."""

    rule: EarlyStopping
    direction: Direction
    curves: dict[int, list[float]] = field(default_factory=dict)
    common: int = 0
    ended: bool = False


class Together:
    """Says when all folds of a trial end.

    Args:
        record: The study.
        left_out: Fold → metrics that have no value in it.
    """

    def __init__(self, record: StudyRecord, left_out: Mapping[int, Collection[str]]) -> None:
        self._training, self._objective = record.spec.training, record.objective
        self._folds, self._left_out = range(record.facts.data.n_folds), left_out
        self._following: dict[int, _Following] = {}

    def start(self, trial: Trial) -> None:
        """A trial begins or goes on."""
        rule = self._training.together(trial.config)
        direction = None if rule is None else direction_together(rule, self._objective)
        if rule is None or direction is None:
            return
        curves = {fold.fold: list(fold.curves.get(rule.monitor, ())) for fold in trial.folds}
        self._following[trial.number] = _Following(rule, direction, curves)

    def restart(self, trial: int, folds: Iterable[int]) -> None:
        """These folds train again from their first epoch."""
        if (one := self._following.get(trial)) is not None:
            one.common, one.ended = 0, False
            for fold in folds:
                one.curves.pop(fold, None)

    def holds(self, trial: int) -> bool:
        """Whether a trial's folds end together."""
        return trial in self._following

    def ended(self, trial: int) -> bool:
        """Whether they have to end, so that a fold that stops early is complete."""
        return trial in self._following and self._following[trial].ended

    def epoch(self, event: EpochFinished) -> bool:
        """One lane has one more epoch; returns whether all folds of its trial end now."""
        one = self._following.get(event.trial)
        if one is None or one.ended or one.rule.monitor not in event.metrics:
            return False
        one.curves.setdefault(event.fold, []).append(event.metrics[one.rule.monitor])
        counted = [fold for fold in self._folds if one.rule.monitor not in self._left_out.get(fold, ())]
        common = min((len(one.curves.get(fold, ())) for fold in counted), default=0)
        if common <= one.common:
            return False
        one.common = common
        stop, _ = together(one.rule, one.direction, [one.curves[fold][:common] for fold in counted])
        one.ended = stop is not None
        return one.ended

    def results(self, trial: Trial, found: Mapping[int, FoldResult]) -> dict[int, FoldResult]:
        """The folds of a trial as they count: up to their common end."""
        one = self._following[trial.number]
        curves = [result.curves[one.rule.monitor] for result in found.values() if one.rule.monitor in result.curves]
        stop, kept = together(one.rule, one.direction, curves)
        stopped = stop is not None and stop < epochs_of(trial.config)
        return {fold: replace(_cut(result, stop), stopped=stopped, kept=kept) for fold, result in found.items()}

    def finish(self, trial: int) -> None:
        """A trial has ended."""
        self._following.pop(trial, None)


def _cut(result: FoldResult, epochs: int | None) -> FoldResult:
    return replace(result, curves={name: curve[:epochs] for name, curve in result.curves.items()})
