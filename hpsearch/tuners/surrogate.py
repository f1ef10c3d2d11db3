"""What a study's results say about its space: a Gaussian process on configs as points.

Listed numbers are numbers, not names. A hyperparameter that is inactive lies in the middle of its range, and the one
that it depends on tells the process so.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from threadpoolctl import ThreadpoolController

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.dimensions import Dimension, Dimensions
from hpsearch.tuners.enumeration import Enumeration
from hpsearch.tuners.feasibility import Feasibility
from hpsearch.tuners.gaussian_process import TREND, GaussianProcess
from hpsearch.tuners.history import replaced
from hpsearch.tuners.other_study import OtherStudy
from hpsearch.tuners.outcome import has_diverged, reached, standardised

Floats = NDArray[np.float64]

_MOST_CONFIGS = 2000
"""Spaces with no more configs are looked at as a whole."""

_DRAWN, _NEAR = 400, 200
"""Candidates of larger spaces: random ones, and neighbours of the best trials."""

_MOST_OBSERVATIONS = 300
"""Trials that the process takes in: the best half of them, and the latest. Its cost grows with their cube."""


@dataclass(frozen=True)
class Fitted:
    """A process after some trials.

    Attributes:
        process: The process.
        y: The trials' scores, standardised.
        unit: What 1 is in the metric's units.
        chosen: Places of the trials that the process has taken in.
    """

    process: GaussianProcess
    y: Floats
    unit: float
    chosen: Sequence[int]

    def best(self, known: Sequence[Trial], process: GaussianProcess) -> float | None:
        """What a process believes the best of the trials to be that keep all limits; None if none does.

        Args:
            known: The trials that it was fitted to.
            process: This one, or this one with trials that are still running: their limits are not known.
        """
        kept = np.ones(len(process.x), dtype=bool)
        kept[: len(self.chosen)] = [known[i].state is not TrialState.INFEASIBLE for i in self.chosen]
        if not kept[: len(self.chosen)].any():
            return None
        return float(process.predict(process.x[kept])[0].max())


class Surrogate:
    """Fits the process, and proposes configs to ask it about.

    Args:
        settings: The study's.
    """

    def __init__(self, settings: TunerSettings) -> None:
        self._settings = settings
        self._dimensions = Dimensions(settings.space)
        self._coordinates = _Coordinates(self._dimensions)
        self._threads = ThreadpoolController()
        with self.one_thread():
            self._other = None if settings.taken is None else OtherStudy(settings.taken)
        self._groups = self._coordinates.groups if self._other is None else np.append(self._coordinates.groups, TREND)
        self._history: list[Trial] = []
        self._inside: list[bool] = []
        self._rows = np.empty((0, len(self._coordinates.groups)))
        self._fitted: tuple[list[Trial], Fitted] | None = None
        self._limits: tuple[list[Trial], Feasibility | None] | None = None

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Matrices are so small that threads only cost time. And sums in one order are the same on every machine."""
        with self._threads.limit(limits=1, user_api="blas"):
            yield

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing to search."""
        return not self._coordinates.groups.size

    def known(self, history: Sequence[Trial]) -> list[Trial]:
        """The trials that teach something of the score."""
        return [trial for trial in self.inside(history) if reached(trial) is not None or has_diverged(trial)]

    def feasibility(self, history: Sequence[Trial]) -> Feasibility | None:
        """What the trials teach of the study's limits; None if it has none, or too little is known."""
        constraints = self._settings.constraints
        if not constraints:
            return None
        measured = [trial for trial in self.inside(history) if trial.measured and trial.state.finished]
        measured = measured[-_MOST_OBSERVATIONS:]
        known = self._limits
        if known is None or len(known[0]) != len(measured) or replaced(known[0], measured):
            points = self.points([trial.config for trial in measured])
            learnt = Feasibility.fit(points, [trial.measured for trial in measured], constraints, self._groups)
            self._limits = known = measured, learnt
        return known[1]

    def inside(self, history: Sequence[Trial]) -> list[Trial]:
        """The trials whose configs the space contains."""
        self._follow(history)
        return list(compress(history, self._inside))

    def fit(self, known: Sequence[Trial]) -> Fitted:
        """The process after some trials. All suggestions of a batch have the same one."""
        if self._fitted is None or len(self._fitted[0]) != len(known) or replaced(self._fitted[0], known):
            y, unit = standardised([reached(trial) for trial in known], self._settings.direction)
            chosen = _latest_and_best(y)
            x = self.points([known[i].config for i in chosen])
            fitted = Fitted(GaussianProcess.fit(x, y[chosen], self._groups), y, unit, chosen)
            self._fitted = list(known), fitted
        return self._fitted[1]

    def _follow(self, history: Sequence[Trial]) -> None:
        """Read what is new in a history: whether the space contains it, and where it lies."""
        known = self._history
        if len(known) > len(history) or any(
            known[place].config != history[place].config for place in replaced(known, history)
        ):
            self._inside, self._rows, known = [], self._rows[:0], []
        new = history[len(known) :]
        self._inside += [self._settings.space.contains(trial.config) for trial in new]
        if new:
            self._rows = np.vstack([self._rows, self._coordinates.of([trial.config for trial in new])])
        self._history = list(history)

    def points(self, configs: Sequence[Config]) -> Floats:
        """Configs as points; the last column is what the other study expects of them, if there is one."""
        own = self._coordinates.of(configs)
        return own if self._other is None else np.column_stack([own, self._other.expects(configs)])

    def candidates(self, number: int, best: Sequence[Config]) -> tuple[Sequence[Config], Floats]:
        """Configs for trial `number` and their points: all, or some of the space and some near the best."""
        everything, points = self._everything
        if everything:
            return everything, points
        rng = np.random.default_rng(derive(self._settings.seed, "candidates", number))
        drawn = [self._dimensions.uniform(int(one)) for one in rng.integers(2**62, size=_DRAWN)]
        near = [self._neighbour(best[i % len(best)], rng) for i in range(_NEAR)]
        return [*drawn, *near], self.points([*drawn, *near])

    @cached_property
    def _everything(self) -> tuple[Sequence[Config], Floats]:
        """All configs of a small space, and their points. A check of a study file makes a tuner and needs none."""
        enumeration = Enumeration(self._settings.space)
        small = enumeration.size is not None and enumeration.size <= _MOST_CONFIGS
        configs = [enumeration.config(index) for index in range(enumeration.size or 0)] if small else []
        return configs, self.points(configs)

    def _neighbour(self, config: Config, rng: np.random.Generator) -> Config:
        """A config that differs in one hyperparameter or a few, by a little if it is a number."""
        draws = random.Random(int(rng.integers(2**62)))
        names = [one.name for one in self._dimensions.searched if one.name in config]
        changed = set(draws.sample(names, min(len(names), draws.choice([1, 1, 2, 3]))))

        def answer(dimension: Dimension) -> float:
            number = dimension.encode(config[dimension.name]) if dimension.name in config else None
            if number is None or (dimension.name in changed and dimension.kind == "choice"):
                return dimension.uniform(draws)
            if dimension.name not in changed:
                return number
            low, high = _scaled(dimension, dimension.low), _scaled(dimension, dimension.high)
            there = _scaled(dimension, number) + draws.gauss(0, draws.choice([0.03, 0.1, 0.3])) * (high - low)
            there = min(max(there, low), high)
            return float(np.exp(there)) if dimension.log else there

        return self._dimensions.build(answer)

    def apart(self, points: Floats, history: Sequence[Trial]) -> Floats:
        """How far each point is from the nearest trial: a share of a range, in what differs most."""
        self._follow(history)
        others = self._rows[np.array(self._inside, dtype=bool)]
        found: Floats = KDTree(others).query(points[:, self._groups != TREND], p=np.inf)[0]
        return found


def _latest_and_best(y: Floats) -> list[int]:
    if len(y) <= _MOST_OBSERVATIONS:
        return list(range(len(y)))
    half = _MOST_OBSERVATIONS // 2
    best = set(np.argsort(-y)[:half].tolist())
    rest = [i for i in range(len(y)) if i not in best]
    return sorted(best | set(rest[-half:]))


class _Coordinates:
    """Configs as points: a column for a number, a column per value for names.

    Attributes:
        groups: Number of the hyperparameter that each column belongs to.
    """

    def __init__(self, dimensions: Dimensions) -> None:
        self._searched = dimensions.searched
        self._levels = [_levels(one) for one in self._searched]
        widths = [1 if levels is not None or one.kind != "choice" else int(one.high) + 1
                  for one, levels in zip(self._searched, self._levels, strict=True)]  # fmt: skip
        self.groups: NDArray[np.intp] = np.repeat(np.arange(len(widths)), widths)
        self._first = np.concatenate([[0], np.cumsum(widths)]).astype(int)

    def of(self, configs: Sequence[Config]) -> Floats:
        """Shape ``(len(configs), columns)``, between 0 and 1."""
        found = np.full((len(configs), len(self.groups)), 0.5)
        for i, dimension in enumerate(self._searched):
            levels, first = self._levels[i], self._first[i]
            for row, config in enumerate(configs):
                if dimension.name not in config:
                    continue
                number = dimension.encode(config[dimension.name])
                if number is None:
                    continue
                if levels is not None:
                    found[row, first] = levels[int(number)]
                elif dimension.kind == "choice":
                    # Two different names are as far from each other as the ends of a range.
                    found[row, first : self._first[i + 1]] = 0.0
                    found[row, first + int(number)] = np.sqrt(0.5)
                else:
                    low, high = _scaled(dimension, dimension.low), _scaled(dimension, dimension.high)
                    found[row, first] = (_scaled(dimension, number) - low) / (high - low)
        return found


def _levels(dimension: Dimension) -> list[float] | None:
    """Where listed numbers lie between the smallest and the largest, by their order; None for names and ranges."""
    if dimension.kind != "choice" or dimension.values is None:
        return None
    values = list(dimension.values)
    if len(values) < 3 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in values):
        return None
    order = sorted(range(len(values)), key=lambda i: float(values[i]))
    ranks = {i: rank for rank, i in enumerate(order)}
    return [ranks[i] / (len(values) - 1) for i in range(len(values))]


def _scaled(dimension: Dimension, number: float) -> float:
    return float(np.log(number)) if dimension.log else float(number)
