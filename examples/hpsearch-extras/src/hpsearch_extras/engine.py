"""An engine: train as ``fit`` does, and note which lane took longest."""

from collections.abc import Iterator
from dataclasses import replace

from hpsearch.core.events import Bundle, Event, LaneFinished
from hpsearch.core.facts import EnginePlan
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.problem import Problem


class TimedEngine(Engine):
    """Passes everything on to a :class:`FitEngine`, and watches the clock."""

    def __init__(self, problem: Problem) -> None:
        self._inner = FitEngine(problem)
        self._notes: list[str] = []

    def plan(self) -> EnginePlan:
        # The plan names this engine: `hpsearch resume` asks for the same one.
        return replace(self._inner.plan(), engine="timed")

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        slowest: LaneFinished | None = None
        for event in self._inner.train(bundle, stopped):
            if isinstance(event, LaneFinished) and (slowest is None or event.result.seconds > slowest.result.seconds):
                slowest = event
            yield event
        if slowest is not None:
            fold, seconds = slowest.result.fold, slowest.result.seconds
            self._notes.append(f"trial {slowest.trial}: fold {fold} took longest, {seconds:.1f} s")

    def take_notes(self) -> tuple[str, ...]:
        notes, self._notes = tuple(self._notes), []
        return notes
