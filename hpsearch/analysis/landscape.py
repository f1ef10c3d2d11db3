"""How the score depends on the hyperparameters: slices, parallel coordinates, and a contour of two of them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis import words
from hpsearch.analysis.importance import ImportanceInfo, importance_info, varied
from hpsearch.analysis.statistics import Floats
from hpsearch.core.space import Choice, Float, Int, Parameter, Value
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

MAX_SLICE, MAX_PARALLEL, MAX_CONTOUR = 1000, 400, 1000
"""Maximum number of trials in each of the three figures; more are thinned out evenly by rank."""

MIN_CONTOUR = 3
"""With fewer trials that have both hyperparameters, there is no surface."""

CONTOUR_STEPS = 40
"""Number of points of the contour's grid along a numeric axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis of a hyperparameter.

    Attributes:
        name: The hyperparameter.
        log: Whether the axis is logarithmic.
        labels: The values as text, for choices, whose positions are 0, 1, …; empty for numbers.
        low: Smallest position.
        high: Largest position.
        ticks: Positions of the ticks in a line plot; log10 of the positions on log axes.
        tick_labels: The values at the ticks.
    """

    name: str
    log: bool
    labels: tuple[str, ...]
    low: float
    high: float
    ticks: tuple[float, ...] = ()
    tick_labels: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest position in a line plot; log10 of them on log axes."""
        return (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class SliceInfo:
    """One hyperparameter against the score: each trial's position on the axis, its score and its number."""

    axis: Axis
    positions: tuple[float, ...]
    scores: tuple[float, ...]
    trials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SlicesInfo:
    """All searched hyperparameters, over `shown` of `total` complete trials, the best one included."""

    metric: str
    best: int | None
    slices: tuple[SliceInfo, ...]
    shown: int
    total: int


@dataclass(frozen=True, slots=True)
class ParallelInfo:
    """Trials as lines through all searched hyperparameters.

    Attributes:
        metric: The objective's metric.
        axes: One per hyperparameter.
        positions: Shape ``(n_trials, n_axes)``; log axes carry log10; None if a trial does not have it.
        scores: One per line.
        trials: Numbers of the trials.
        total: Number of complete trials before thinning out.
    """

    metric: str
    axes: tuple[Axis, ...]
    positions: tuple[tuple[float | None, ...], ...]
    scores: tuple[float, ...]
    trials: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ContourInfo:
    """The score over two hyperparameters, smoothed from the trials.

    Attributes:
        metric: The objective's metric.
        reason: Why there is none; empty otherwise. If it is set, everything below is empty.
        x: Horizontal axis.
        y: Vertical axis.
        grid_x: Positions along x.
        grid_y: Positions along y.
        grid: Smoothed score, rows along y; None far from any trial.
        positions: (x, y) of each trial.
        scores: Their scores.
        trials: Their numbers.
        total: Number of complete trials that have both, before thinning out.
        best: Number of the study's best trial; None if it does not have both.
    """

    metric: str
    reason: str
    x: Axis | None = None
    y: Axis | None = None
    grid_x: tuple[float, ...] = ()
    grid_y: tuple[float, ...] = ()
    grid: tuple[tuple[float | None, ...], ...] = ()
    positions: tuple[tuple[float, float], ...] = ()
    scores: tuple[float, ...] = ()
    trials: tuple[int, ...] = ()
    total: int = 0
    best: int | None = None


def slice_info(record: StudyRecord) -> SlicesInfo:
    """Every searched hyperparameter against the score of the complete trials."""
    complete = _complete(record)
    shown = thinned(complete, MAX_SLICE)
    slices = []
    for axis in _axes(record, complete):
        present = [trial for trial in shown if axis.name in trial.config]
        if present:
            slices.append(
                SliceInfo(
                    axis=axis,
                    positions=tuple(_position(axis, trial.config[axis.name]) for trial in present),
                    scores=tuple(float(trial.score or 0.0) for trial in present),
                    trials=tuple(trial.number for trial in present),
                )
            )
    best = complete[0].number if complete else None
    return SlicesInfo(record.objective.metric, best, tuple(slices), len(shown), len(complete))


def parallel_info(record: StudyRecord) -> ParallelInfo:
    """Complete trials as lines, the best one last, so it is drawn on top.

    What has the same value in all of them is left out: all lines would pass through one point.
    """
    complete = _complete(record)
    shown = thinned(complete, MAX_PARALLEL)[::-1]
    kept = set(varied(record, complete))
    axes = tuple(axis for axis in _axes(record, complete) if axis.name in kept)
    return ParallelInfo(
        metric=record.objective.metric,
        axes=axes,
        positions=tuple(tuple(_line_position(axis, trial) for axis in axes) for trial in shown),
        scores=tuple(float(trial.score or 0.0) for trial in shown),
        trials=tuple(trial.number for trial in shown),
        total=len(complete),
    )


def contour_info(
    record: StudyRecord, *, names: tuple[str, str] | None = None, importance: ImportanceInfo | None = None
) -> ContourInfo:
    """The score over two hyperparameters, among the trials that have both.

    By default, these are the clearest pair that acts together, or else the two most important hyperparameters that the
    best trial has.

    The surface is the average of the trials' scores with Gaussian weights around each grid point (E. A. Nadaraya,
    Theory of Probability and its Applications 9, 1964, pp. 141-142). The weights have a width of a tenth of each axis,
    more with few trials.
    """
    metric = record.objective.metric
    complete = _complete(record)
    if names is None:
        names = _telling(importance or importance_info(record), complete)
        if names is None:
            return ContourInfo(metric, "it needs the importance of at least two hyperparameters")
    having = [trial for trial in complete if all(name in trial.config for name in names)]
    if len(having) < MIN_CONTOUR:
        return ContourInfo(metric, f"fewer than {MIN_CONTOUR} complete trials have both {names[0]} and {names[1]}")
    by_name = {axis.name: axis for axis in _axes(record, complete)}
    x, y = by_name[names[0]], by_name[names[1]]
    shown = thinned(having, MAX_CONTOUR)
    positions = [(_position(x, trial.config[x.name]), _position(y, trial.config[y.name])) for trial in shown]
    scores = np.array([trial.score for trial in shown], dtype=float)
    grid_x, grid_y = _grid(x), _grid(y)
    return ContourInfo(
        metric,
        "",
        x,
        y,
        grid_x,
        grid_y,
        _smooth(x, y, grid_x, grid_y, positions, scores),
        tuple(positions),
        tuple(scores.tolist()),
        tuple(trial.number for trial in shown),
        len(having),
        complete[0].number if shown[0] is complete[0] else None,
    )


def _telling(importance: ImportanceInfo, complete: Sequence[Trial]) -> tuple[str, str] | None:
    """The two hyperparameters to look at: some trials must have both, and the best trial too, if possible."""
    names = [row.name for row in importance.rows]
    pairs = [pair.names for pair in importance.pairs]
    pairs += sorted(itertools.combinations(names, 2), key=lambda pair: sum(map(names.index, pair)))
    best: list[tuple[str, str]] = [pair for pair in pairs if all(name in complete[0].config for name in pair)]
    for pair in [*best, *pairs]:
        if sum(all(name in trial.config for name in pair) for trial in complete) >= MIN_CONTOUR:
            return pair
    return pairs[0] if pairs else None


def thinned(trials: Sequence[Trial], limit: int) -> list[Trial]:
    """At most `limit` of the ranked trials, taken evenly from the ranks, the best one included."""
    if len(trials) <= limit:
        return list(trials)
    return [trials[i * len(trials) // limit] for i in range(limit)]


def _complete(record: StudyRecord) -> list[Trial]:
    return [trial for trial in record.ranked if trial.score is not None and math.isfinite(trial.score)]


def _axes(record: StudyRecord, trials: Sequence[Trial]) -> list[Axis]:
    return [_axis(name, record.space[name], trials) for name in record.space.searched()]


def _axis(name: str, parameter: Parameter, trials: Sequence[Trial]) -> Axis:
    values = [trial.config[name] for trial in trials if name in trial.config]
    if isinstance(parameter, Float | Int):
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        low, high = min([parameter.low, *numbers]), max([parameter.high, *numbers])
        ticks, texts = _ticks(parameter, low, high)
        return Axis(name, parameter.log, (), low, high, ticks, texts)
    options = parameter.options if isinstance(parameter, Choice) else ()
    labels = tuple(dict.fromkeys(str(value) for value in (*_in_order(options), *values)))
    places = tuple(float(i) for i in range(len(labels)))
    return Axis(name, False, labels, 0.0, float(max(len(labels) - 1, 0)), places, labels)


def _ticks(parameter: Float | Int, low: float, high: float) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """A few ticks: their positions on a line plot's axis, and their labels."""
    marks: Floats = _log_marks(low, high) if parameter.log else np.linspace(low, high, 5)
    if isinstance(parameter, Int):
        marks = np.unique(np.round(marks))
    places = np.log10(marks) if parameter.log else marks
    texts = [words.setting(int(m) if isinstance(parameter, Int) else float(f"{m:.3g}")) for m in marks.tolist()]
    return tuple(places.tolist()), tuple(texts)


def _log_marks(low: float, high: float) -> Floats:
    """1, 2, 5, 10 … within the range, or its powers of ten: the first with 3 to 7 values. Otherwise five even steps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        marks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        inside = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if 3 <= len(inside) <= 7:
            return np.array(inside)
    return np.geomspace(low, high, 5)


def _in_order(options: Sequence[Value]) -> Sequence[Value]:
    """Numbers in ascending order, anything else in the order of the study file."""
    if all(isinstance(option, int | float) and not isinstance(option, bool) for option in options):
        return sorted(options)  # type: ignore[type-var]
    return options


def _position(axis: Axis, value: Value) -> float:
    return float(axis.labels.index(str(value))) if axis.labels else float(value)


def _line_position(axis: Axis, trial: Trial) -> float | None:
    if axis.name not in trial.config:
        return None
    position = _position(axis, trial.config[axis.name])
    return math.log10(position) if axis.log else position


def _grid(axis: Axis) -> tuple[float, ...]:
    if axis.labels:
        return tuple(float(i) for i in range(len(axis.labels)))
    if axis.log:
        return tuple(np.geomspace(axis.low, axis.high, CONTOUR_STEPS).tolist())
    return tuple(np.linspace(axis.low, axis.high, CONTOUR_STEPS).tolist())


def _smooth(
    x: Axis,
    y: Axis,
    grid_x: Sequence[float],
    grid_y: Sequence[float],
    positions: Sequence[tuple[float, float]],
    scores: Floats,
) -> tuple[tuple[float | None, ...], ...]:
    width = max(0.1, 0.35 / math.sqrt(math.sqrt(len(positions))))
    across = np.subtract.outer(_unit(x, grid_x), _unit(x, [p[0] for p in positions]))
    along = np.subtract.outer(_unit(y, grid_y), _unit(y, [p[1] for p in positions]))
    weights_x, weights_y = np.exp(-((across / width) ** 2) / 2), np.exp(-((along / width) ** 2) / 2)
    weights = weights_y[:, None, :] * weights_x[None, :, :]  # (len(grid_y), len(grid_x), n_trials)
    total = weights.sum(axis=2)
    surface = (weights @ scores) / np.maximum(total, 1e-300)
    near = total > 0.1
    return tuple(
        tuple(float(value) if ok else None for value, ok in zip(row, oks, strict=True))
        for row, oks in zip(surface, near, strict=True)
    )


def _unit(axis: Axis, positions: Sequence[float]) -> Floats:
    values = np.asarray(positions, dtype=float)
    if axis.log:
        values, low, high = np.log(values), math.log(axis.low), math.log(axis.high)
    else:
        low, high = axis.low, axis.high
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
