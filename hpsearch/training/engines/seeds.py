"""Several trainings of every lane, with seeds of their own: what is reported of a lane is their mean.

The engine inside trains them as folds that have the same rows, so a fused program has them all. Above it, a fold stays
one number: trainings on the same rows are no independent evidence, and no statistic takes them for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from hpsearch.core.events import Bundle, EpochFinished, Event, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.core.facts import EnginePlan
from hpsearch.core.trial import FoldResult
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.problem import Problem


def with_copies(problem: Problem) -> Problem:
    """The problem as an engine trains it: each fold once for every seed. The first ones are those without seeds."""
    count, copies = len(problem.folds), problem.spec.validation.seeds
    folds = tuple(replace(fold, index=fold.index + count * copy) for copy in range(copies) for fold in problem.folds)
    return replace(problem, folds=folds, scored_folds=count)


class SeedsEngine(Engine):
    """Trains with another engine, several times.

    Args:
        problem: The study's data, folds and model, without copies.
        engine: Of the problem with copies.
    """

    def __init__(self, problem: Problem, engine: Engine) -> None:
        self._folds, self._seeds = len(problem.folds), problem.spec.validation.seeds
        self._engine = engine

    def anew(self, problem: Problem) -> Engine:
        """See :meth:`Engine.anew`."""
        return self._engine.anew(problem)

    def plan(self) -> EnginePlan:
        """See :meth:`Engine.plan`."""
        return self._engine.plan()

    def take_notes(self) -> tuple[str, ...]:
        """See :meth:`Engine.take_notes`."""
        return self._engine.take_notes()

    def take_compile_seconds(self) -> float:
        """See :meth:`Engine.take_compile_seconds`."""
        return self._engine.take_compile_seconds()

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """See :meth:`Engine.train`."""
        found = {(lane.trial, lane.fold): _Lane(lane, self._seeds) for lane in bundle.lanes}
        lanes = tuple(
            replace(lane, fold=lane.fold + self._folds * copy) for lane in bundle.lanes for copy in range(self._seeds)
        )
        for event in self._engine.train(replace(bundle, lanes=lanes), stopped):
            if isinstance(event, EpochFinished | LaneFailed):
                copy, fold = divmod(event.fold, self._folds)
            elif isinstance(event, LaneFinished | LaneStopped):
                copy, fold = divmod(event.result.fold, self._folds)
            else:
                yield event
                continue
            yield from found[event.trial, fold].after(event, copy)


@dataclass(slots=True)
class _Lane:
    """What is known of the trainings of one lane."""

    lane: Lane
    seeds: int
    epochs: dict[int, list[Mapping[str, float]]] = field(default_factory=dict)
    ends: dict[int, LaneFinished | LaneStopped] = field(default_factory=dict)
    told: int = 0
    failed: bool = False

    def after(self, event: EpochFinished | LaneFinished | LaneStopped | LaneFailed, copy: int) -> Iterator[Event]:
        """The lane's own events, once an event of one of its trainings has come."""
        if self.failed:
            return
        if isinstance(event, LaneFailed):
            self.failed = True
            yield replace(event, fold=self.lane.fold, failure=replace(event.failure, fold=self.lane.fold))
        elif isinstance(event, EpochFinished):
            self.epochs.setdefault(copy, []).append(event.metrics)
            yield from self._told()
        else:
            self.ends[copy] = event
            yield from self._told()
            if len(self.ends) == self.seeds:
                yield self._end()

    def _told(self) -> Iterator[EpochFinished]:
        """The epochs that all trainings have reached; one that has ended by itself stays as it was left."""
        while (values := self._of_epoch(self.told)) is not None:
            yield EpochFinished(self.lane.trial, self.lane.fold, self.told, _means(values))
            self.told += 1

    def _of_epoch(self, epoch: int) -> list[Mapping[str, float]] | None:
        found, reached = [], False
        for copy in range(self.seeds):
            mine = self.epochs.get(copy, [])
            if len(mine) > epoch:
                found.append(mine[epoch])
                reached = True
            elif mine and isinstance(self.ends.get(copy), LaneFinished):
                found.append(mine[-1])
            else:
                return None
        return found if reached else None

    def _end(self) -> LaneFinished | LaneStopped:
        ends = [self.ends[copy] for copy in range(self.seeds)]
        results = [one.result for one in ends]
        parts = [one for one in ends if isinstance(one, LaneStopped)]
        epochs = min(one.result.epochs for one in parts) if parts else max(one.epochs for one in results)
        merged = FoldResult(
            self.lane.fold,
            _mean_curves(results, epochs),
            min(one.started for one in results),
            sum(one.seconds for one in results),
            stopped=all(one.stopped for one in results),
        )
        if parts:
            known = next((one.parameters for one in ends if one.parameters is not None), None)
            return LaneStopped(self.lane.trial, merged, known)
        parameters = next(one.parameters for one in ends if isinstance(one, LaneFinished))
        return LaneFinished(self.lane.trial, merged, parameters)


def _mean_curves(results: Sequence[FoldResult], epochs: int) -> dict[str, tuple[float, ...]]:
    """Each curve's mean over trainings, of those that all of them have."""
    names = [name for name in results[0].curves if all(name in one.curves for one in results)]
    return {name: tuple(map(fmean, zip(*(one.curve(name, epochs) for one in results), strict=True))) for name in names}


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in values[0] if all(name in one for one in values)]
    return {name: fmean(one[name] for one in values) for name in names}
