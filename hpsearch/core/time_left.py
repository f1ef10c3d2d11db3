"""How long a running study still takes, from the epochs and the pauses that it has had.

A study's time has two parts. Epochs go by at some rate. Before the first epoch of a trial there may be a pause in which
nothing else trains: a program is compiled. Trials that share a program share its pause, so pauses become rare. How many
are still to come is Good's estimate (1953, "The population frequencies of species"): the next trial needs a new program
with the probability of a program that one trial has needed so far.
"""

import math
from collections import Counter
from collections.abc import Hashable

_LEAST = 3
"""So many moments at which epochs ended make a rate."""

_MOST = 2000
"""Moments that are kept. With more, every other one goes."""


class TimeLeft:
    """Measures while epochs end.

    Args:
        now: Seconds on any clock: the start.
        programs: Number of programs that trials of this study can need.
    """

    def __init__(self, now: float, programs: float = math.inf) -> None:
        self._last = now
        self._most = programs
        self._moments = [(0.0, 0)]  # seconds of training, without pauses, and epochs by then
        self._latest = self._moments[0]
        self._stride = 1  # epochs from one moment to the next: a study may have millions
        self._half = 0
        self._epochs = 0
        self._paused = 0.0
        self._programs: Counter[Hashable] = Counter()
        self._fresh: dict[int, Hashable] = {}
        self._compiled: set[Hashable] = set()
        self._remaining: tuple[float, float, int] | None = None

    def trial_started(self, trial: int, program: Hashable) -> None:
        """A trial was suggested. `program` is the same for trials that share a compiled program."""
        self._programs[program] += 1
        self._fresh[trial] = program

    def epoch(self, trial: int, now: float) -> None:
        """An epoch of one fold of a trial has ended."""
        passed = now - self._last
        seconds, epochs = self._latest
        self._epochs += 1
        self._last = now
        if trial in self._fresh:
            self._compiled.add(self._fresh.pop(trial))
            # A first epoch trains, too: as long as those before it, on average.
            trained = min(passed, seconds / epochs if epochs else 0.0)
            self._paused += passed - trained
            passed = trained
        self._latest = seconds + passed, self._epochs
        if self._epochs % self._stride == 0:
            self._moments.append(self._latest)
        if len(self._moments) > _MOST:
            self._moments, self._half, self._stride = self._moments[::2], self._half // 2, 2 * self._stride

    def estimate(self, now: float, *, epochs: float, trials: int) -> None:
        """Something has changed: so many epochs of single folds remain, and so many trials have not been suggested."""
        self._remaining = (now, epochs, trials)

    def at(self, now: float) -> float | None:
        """Seconds left. They go down while nothing changes; None as long as too little is known."""
        rate = self._rate()
        if self._remaining is None or rate is None:
            return None
        then, epochs, trials = self._remaining
        return max(0.0, epochs / rate + self._pauses(trials) - (now - then))

    def _rate(self) -> float | None:
        """Epochs per second of training in the later half of the epochs."""
        if self._epochs < _LEAST:
            return None
        seconds, epochs = self._latest
        while self._half + 1 < len(self._moments) and self._moments[self._half + 1][1] <= epochs / 2:
            self._half += 1  # only ever forwards: asking costs nothing after many epochs
        begin = self._moments[self._half]
        return (epochs - begin[1]) / (seconds - begin[0]) if seconds > begin[0] else None

    def _pauses(self, trials: int) -> float:
        """Seconds of pauses that are expected to come: for programs of running trials, and of those to be suggested."""
        if not self._compiled:
            return 0.0
        once, seen = sum(count == 1 for count in self._programs.values()), len(self._programs)
        new = min(trials * once / self._programs.total(), max(0.0, self._most - seen))
        return self._paused / len(self._compiled) * (seen - len(self._compiled) + new)
