"""Keras' stock callbacks as values and as a lane's state: what they decide between two epochs, without Keras.

Comparisons are made in single precision, as Keras makes them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

import numpy as np

from hpsearch.core.hyperparameters import SWITCH, Rule, among, real, whole
from hpsearch.core.metrics import direction_of
from hpsearch.core.objective import Objective
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import ModelError

Direction = Literal["minimize", "maximize"]

Mode = Literal["auto", "min", "max"]

Schedule = Callable[[int, float], float]
"""``schedule(epoch, lr)``: the learning rate of an epoch, which counts from 0."""

RATE = "learning_rate"
"""Name of the curve that Keras logs where a callback changes the learning rate."""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """As ``keras.callbacks.EarlyStopping``.

    Attributes:
        scope: ``"fold"``: each fold ends by itself. ``"mean"``: all folds end together, by their mean curve.
    """

    monitor: str = "val_loss"
    min_delta: float = 0.0
    patience: int = 0
    mode: Mode = "auto"
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: int = 0
    scope: Literal["fold", "mean"] = "fold"


@dataclass(frozen=True, slots=True)
class ReduceLROnPlateau:
    """As ``keras.callbacks.ReduceLROnPlateau``."""

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    mode: Mode = "auto"
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0


@dataclass(frozen=True, slots=True)
class LearningRateScheduler:
    """As ``keras.callbacks.LearningRateScheduler``.

    Attributes:
        schedule: The function, or where it is: ``module:function``.
    """

    schedule: Schedule | str


@dataclass(frozen=True, slots=True)
class TerminateOnNaN:
    """As ``keras.callbacks.TerminateOnNaN``, which changes nothing here: a loss that is not finite ends every trial."""


Stock: TypeAlias = EarlyStopping | ReduceLROnPlateau | LearningRateScheduler | TerminateOnNaN

KINDS: Mapping[str, type[Stock]] = {
    one.__name__: one for one in (EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, TerminateOnNaN)
}

_TEXT = Rule("a text", lambda value: isinstance(value, str) and value != "")
_ADDRESS = Rule('like "package.module:function"', lambda value: isinstance(value, str) and value.count(":") == 1)

ARGUMENTS: Mapping[str, Rule] = {
    "monitor": _TEXT,
    "min_delta": real("of at least 0", lambda value: value >= 0),
    "patience": whole(0),
    "mode": among("auto", "min", "max"),
    "baseline": real("that is finite", lambda _: True),
    "restore_best_weights": SWITCH,
    "start_from_epoch": whole(0),
    "scope": among("fold", "mean"),
    "factor": real("of at least 0 and less than 1", lambda value: 0 <= value < 1),
    "cooldown": whole(0),
    "min_lr": real("of at least 0", lambda value: value >= 0),
    "schedule": _ADDRESS,
}
"""Argument of a stock callback → its legal values."""


def arguments_of(kind: str) -> tuple[str, ...]:
    """The arguments of a stock callback, in Keras' order."""
    return tuple(one.name for one in fields(KINDS[kind]))


def made(kind: str, arguments: Mapping[str, Any]) -> Stock:
    """A stock callback of checked arguments."""
    return KINDS[kind](**arguments)


class _Monitor:
    """Whether a value is better than the best one so far."""

    def __init__(self, direction: Direction, min_delta: float) -> None:
        self._up, self._delta = direction == "maximize", abs(min_delta)
        self.best: float | None = None

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than ``min_delta``."""
        if reference is None:
            return True
        if self._up:
            return bool(np.float32(value - self._delta) > np.float32(reference))
        return bool(np.float32(value + self._delta) < np.float32(reference))


class Stopper(_Monitor):
    """``EarlyStopping`` at work.

    Args:
        rule: Its arguments.
        direction: Whether lower or higher is better.

    Attributes:
        kept: The epoch whose weights the model gets back at its end, from 1; None without ``restore_best_weights``.
    """

    def __init__(self, rule: EarlyStopping, direction: Direction) -> None:
        super().__init__(direction, rule.min_delta)
        self._rule, self._wait = rule, 0
        self.kept: int | None = None

    def ends(self, epoch: int, value: float) -> bool:
        """Whether training ends after `epoch`, which counts from 0 and had this value."""
        rule = self._rule
        if epoch < rule.start_from_epoch:
            return False
        if rule.restore_best_weights and self.kept is None:
            self.kept = epoch + 1
        self._wait += 1
        if self.improves(value, self.best):
            self.best = value
            if rule.restore_best_weights:
                self.kept = epoch + 1
            if rule.baseline is None or self.improves(value, rule.baseline):
                self._wait = 0
            return False
        return self._wait >= rule.patience and epoch > 0


class _Plateau(_Monitor):
    """``ReduceLROnPlateau`` at work."""

    def __init__(self, rule: ReduceLROnPlateau, direction: Direction) -> None:
        super().__init__(direction, rule.min_delta)
        self._rule, self._wait, self._cooling = rule, 0, 0

    def rate_after(self, value: float, rate: float) -> float:
        """The learning rate of the next epoch."""
        rule = self._rule
        if self._cooling > 0:
            self._cooling -= 1
            self._wait = 0
        if self.improves(value, self.best):
            self.best, self._wait = value, 0
        elif self._cooling == 0:
            self._wait += 1
            if self._wait >= rule.patience and rate > np.float32(rule.min_lr):
                self._cooling, self._wait = rule.cooldown, 0
                return max(rate * rule.factor, rule.min_lr)
        return rate


@dataclass
class LaneCallbacks:
    """The stock callbacks of one lane, at work.

    Args:
        rules: In their order. Those of scope ``"mean"`` are the driver's.
        directions: Monitor → whether lower or higher is better.
        rate: The optimizer's learning rate; None if it has none that can be set.

    Attributes:
        rate: The learning rate of the epoch that trains, or of the next one.
        kept: See :class:`Stopper`; of several, the last one counts.
    """

    rules: Sequence[Stock]
    directions: Mapping[str, Direction]
    rate: float | None = None
    kept: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._working: list[Stopper | _Plateau | LearningRateScheduler] = []
        self._monitors: list[str] = []
        for rule in self.rules:
            if isinstance(rule, EarlyStopping) and rule.scope == "fold":
                self._add(Stopper(rule, self.directions[rule.monitor]), rule.monitor)
            elif isinstance(rule, ReduceLROnPlateau):
                self._add(_Plateau(rule, self.directions[rule.monitor]), rule.monitor)
            elif isinstance(rule, LearningRateScheduler):
                self._add(rule, "")

    def _add(self, one: "Stopper | _Plateau | LearningRateScheduler", monitor: str) -> None:
        self._working.append(one)
        self._monitors.append(monitor)

    @property
    def together(self) -> bool:
        """Whether the driver may end all folds together, so that a lane that it stops may be complete."""
        return any(isinstance(one, EarlyStopping) and one.scope == "mean" for one in self.rules)

    def begin(self, epoch: int) -> None:
        """An epoch begins, which counts from 0.

        Raises:
            ModelError: A schedule returns no float.
        """
        for one in self._working:
            if isinstance(one, LearningRateScheduler):
                assert self.rate is not None
                assert callable(one.schedule)
                self.rate = as_float32(scheduled(one.schedule, epoch, self.rate))

    def end(self, epoch: int, metrics: Mapping[str, float]) -> tuple[dict[str, float], bool]:
        """An epoch has ended.

        Args:
            epoch: From 0.
            metrics: What it has recorded.

        Returns:
            The same with ``learning_rate``, where a callback sets it, and whether training ends.

        Raises:
            ModelError: A callback monitors what is not recorded.
        """
        logs, stops = dict(metrics), False
        for one, monitor in zip(self._working, self._monitors, strict=True):
            if isinstance(one, Stopper):
                stops |= one.ends(epoch, monitored(monitor, logs, "EarlyStopping"))
                self.kept = self.kept if one.kept is None else one.kept
                continue
            assert self.rate is not None
            logs[RATE] = self.rate
            if isinstance(one, _Plateau):
                self.rate = as_float32(one.rate_after(monitored(monitor, logs, "ReduceLROnPlateau"), self.rate))
        return logs, stops


def as_float32(rate: float) -> float:
    """A learning rate as an optimizer keeps it."""
    return float(np.float32(rate))


def scheduled(schedule: Schedule, epoch: int, rate: float) -> float:
    """The learning rate of an epoch.

    Raises:
        ModelError: It is no float. Keras would refuse it, too.
    """
    try:
        found: object = schedule(epoch, rate)
    except TypeError:  # as Keras does, for functions of the epoch alone
        of_epoch: Callable[..., object] = schedule
        found = of_epoch(epoch)
    if not isinstance(found, float | np.float32 | np.float64):
        raise ModelError(
            f"the schedule of LearningRateScheduler returned {found!r:.80} for epoch {epoch}, which is no float",
            code="bad-schedule",
            hint="return a float, such as float(rate)",
            epoch=epoch,
            type=type(found).__name__,
        )
    return float(found)


def monitored(monitor: str, recorded: Mapping[str, float], kind: str) -> float:
    """The value that a callback monitors.

    Raises:
        ModelError: It is not recorded.
    """
    if monitor not in recorded:
        raise no_such_monitor(kind, monitor, tuple(recorded))
    return recorded[monitor]


def no_such_monitor(kind: str, monitor: str, recorded: Sequence[str]) -> ModelError:
    """The error for a callback that monitors what is not recorded."""
    return ModelError(
        f"{kind} monitors {monitor!r}, which is not recorded{did_you_mean(monitor, recorded)}",
        code="no-such-monitor",
        hint=f"the curves are {listed(recorded)}",
        monitor=monitor,
        recorded=tuple(recorded),
    )


def direction_together(rule: EarlyStopping, objective: Objective) -> Direction | None:
    """Whether a lower or a higher mean over folds is better; None if ``mode = "auto"`` does not tell."""
    if rule.mode != "auto":
        return "maximize" if rule.mode == "max" else "minimize"
    if rule.monitor == objective.metric:
        return objective.direction
    return direction_of(rule.monitor)


def together(
    rule: EarlyStopping, direction: Direction, curves: Sequence[Sequence[float]]
) -> tuple[int | None, int | None]:
    """When all folds end together, by the mean of their curves.

    Args:
        rule: Of scope ``"mean"``.
        direction: Whether lower or higher is better.
        curves: What it monitors, of every fold, as far as they have trained.

    Returns:
        The number of epochs after which they end, or None as long as they do not; and the epoch whose weights count,
        from 1, or None for the last one.
    """
    stopper = Stopper(rule, direction)
    for epoch, values in enumerate(zip(*curves, strict=False)):
        if stopper.ends(epoch, sum(values) / len(values)):
            return epoch + 1, stopper.kept
    return None, stopper.kept
