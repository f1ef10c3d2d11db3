"""Which workers take too long: ``epoch_timeout`` and ``trial_timeout``, and how long a stop waits for a worker.

Time counts from the moment at which a worker begins with a bundle: to start a process and to load the data is no fault
of a trial. Building and compiling its model count. Nothing is known of a worker but its events, so an epoch is too long
if a worker has reported nothing for so long.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpsearch.core.events import (
    Bundle,
    BundleFinished,
    BundleStarted,
    EpochFinished,
    Event,
    ModelMeasured,
    WorkerDied,
    lane_of,
)
from hpsearch.core.words import duration, listed
from hpsearch.spec import ResourcesSection

PATIENCE_S = 30.0
"""How long a stop waits for a worker at least. Longer if an epoch has taken more than half of this."""

_SILENT_S, _SILENT_AT_FIRST_S = 120.0, 600.0
"""Silence that is reported at the earliest; before the first epoch of all, which says what is usual, later."""

_UNUSUAL = 10
"""Multiple of the longest epoch from which silence is reported."""

_STRIDE_S = 5.0
"""What passes between two looks at most: while the driver itself was suspended, no worker was late."""


@dataclass(slots=True)
class _Watched:
    """A bundle that a worker has.

    Attributes:
        bundle: The bundle.
        allowance: Seconds of ``trial_timeout`` that its trials have left, all together.
        heard: When its worker reported something last.
        began: When its worker began with it; None before.
        last: The last epoch that ended.
        told: Whether its silence has been reported.
        overdue: Whether it has been found overdue.
    """

    bundle: Bundle
    allowance: float
    heard: float
    began: float | None = None
    last: EpochFinished | None = None
    told: bool = False
    overdue: bool = False

    @property
    def trials(self) -> str:
        """For example ``trials 4, 5``."""
        return trials_in_words(self.bundle.trials)

    @property
    def since(self) -> str:
        """For example `` since epoch 3 of fold 1``."""
        return "" if self.last is None else f" since epoch {self.last.epoch + 1} of fold {self.last.fold}"


class Watchdog:
    """Knows from events which bundles are overdue. It ends nothing itself.

    Args:
        resources: The limits.
        trains_inline: Whether the driver itself trains, so that it looks only between two epochs.
        clock: Seconds on any clock.
    """

    def __init__(
        self,
        resources: ResourcesSection,
        *,
        trains_inline: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._epoch_limit, self._trial_limit = resources.epoch_timeout, resources.trial_timeout
        self._stride = math.inf if trains_inline else _STRIDE_S
        self._clock, self._looked, self._time = clock, clock(), 0.0
        self._watched: dict[int, _Watched] = {}
        self._lanes: dict[tuple[int, int], _Watched] = {}
        self._longest = 0.0
        self._stopped: float | None = None

    def _now(self) -> float:
        now = self._clock()
        self._time += min(now - self._looked, self._stride)
        self._looked = now
        return self._time

    def submitted(self, bundle: Bundle, spent: float) -> None:
        """A worker gets a bundle.

        Args:
            bundle: The bundle.
            spent: Seconds that its trials have trained before, all together.
        """
        # Trials that train together share the machine: together they may take as long as one after the other.
        allowance = math.inf if self._trial_limit is None else self._trial_limit * len(bundle.trials) - spent
        watched = _Watched(bundle, allowance, self._now())
        self._watched[bundle.id] = watched
        self._lanes |= {(lane.trial, lane.fold): watched for lane in bundle.lanes}

    def heard(self, event: Event) -> None:
        """A worker has reported something."""
        watched, now = self._of(event), self._now()
        if watched is None:
            return
        if isinstance(event, BundleFinished | WorkerDied):
            self._forget(watched)
            return
        if isinstance(event, EpochFinished):
            if watched.began is not None:
                self._longest = max(self._longest, now - watched.heard)
            watched.last = event
        if watched.began is None:
            watched.began = now
        watched.heard, watched.told = now, False

    def _of(self, event: Event) -> _Watched | None:
        match event:
            case BundleStarted() | BundleFinished():
                return self._watched.get(event.id)
            case WorkerDied():
                return self._watched.get(event.bundle.id)
            case EpochFinished():
                return self._lanes.get((event.trial, event.fold))
            case ModelMeasured():
                return next((one for (trial, _), one in self._lanes.items() if trial == event.trial), None)
        lane = lane_of(event)
        return None if lane is None else self._lanes.get(lane)

    def _forget(self, watched: _Watched) -> None:
        del self._watched[watched.bundle.id]
        for lane in watched.bundle.lanes:
            self._lanes.pop((lane.trial, lane.fold), None)

    def overdue(self) -> Iterator[tuple[int, str]]:
        """Bundles whose worker is to be ended, each once, and why."""
        now = self._now()
        for watched in tuple(self._watched.values()):
            if watched.began is None or watched.overdue:
                continue
            silent, trained = now - watched.heard, now - watched.began
            if self._epoch_limit is not None and silent > self._epoch_limit:
                watched.overdue = True
                limit = f"[resources] epoch_timeout = {self._epoch_limit:g}"
                yield watched.bundle.id, f"no epoch has ended for {duration(silent)}{watched.since}; {limit}"
            elif trained > watched.allowance:
                watched.overdue = True
                count = len(watched.bundle.trials)
                together = f" together with {count - 1} other{'s' * (count > 2)}" if count > 1 else ""
                limit = f"[resources] trial_timeout = {self._trial_limit:g}"
                before = (self._trial_limit or 0.0) * count - watched.allowance
                yield watched.bundle.id, f"it has trained for {duration(trained + before)}{together}; {limit}"

    def silent(self) -> Iterator[str]:
        """Sentences about workers that have been silent for unusually long, each once."""
        now = self._now()
        usual = max(_SILENT_S, _UNUSUAL * self._longest) if self._longest else _SILENT_AT_FIRST_S
        for watched in self._watched.values():
            silent = now - watched.heard
            if silent <= usual or watched.told:
                continue
            watched.told = True
            limit = self._epoch_limit or self._trial_limit
            name = "trial_timeout" if self._trial_limit and not self._epoch_limit else "epoch_timeout"
            ends = f"[resources] {name} {'would end it' if limit is None else f'= {limit:g} will end it'}"
            if watched.began is None:
                ends = "it has not begun to train, so no limit counts yet; Ctrl-C stops the study"
            yield f"the worker of {watched.trials} has reported nothing for {duration(silent)}{watched.since}; {ends}"

    # Stopping

    @property
    def patience(self) -> float:
        """Seconds that a stop waits for workers to end the epochs that they are in."""
        return max(PATIENCE_S, 2 * self._longest)

    def stop(self) -> str:
        """The search is to stop.

        Returns:
            What is waited for, and for how long.
        """
        self._stopped = self._now()
        running = self.running
        return f"the running epochs of {running} to end, {duration(self.patience)} at most" if running else ""

    @property
    def running(self) -> str:
        """The trials that workers have, in words; empty if there are none."""
        numbers = sorted({number for watched in self._watched.values() for number in watched.bundle.trials})
        return trials_in_words(numbers) if numbers else ""

    @property
    def out_of_patience(self) -> bool:
        """Whether a stop has waited for long enough."""
        return self._stopped is not None and self._now() - self._stopped > self.patience


def trials_in_words(numbers: "tuple[int, ...] | list[int]") -> str:
    """For example ``trials 4, 5``."""
    return f"trial{'s' * (len(numbers) > 1)} {listed(numbers, most=8)}"
