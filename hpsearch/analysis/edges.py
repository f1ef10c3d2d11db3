"""Hyperparameters whose best value is at an edge of the space, so that a better one may lie outside."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from hpsearch.analysis import words
from hpsearch.analysis.curves import still_improving
from hpsearch.core.optimizers import is_rate
from hpsearch.core.space import Choice, Constant, Int, Parameter, Value
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

Side = Literal["low", "high"]

EDGE = 0.05
"""A value is at an edge within this share of the range (of its logarithm for log ranges and learning rates)."""

NATURAL_RANGES: dict[str, tuple[float, float]] = {
    "dropout": (0.0, 0.9),
    "momentum": (0.0, 0.99),
    "beta_1": (0.0, 0.999),
    "beta_2": (0.0, 0.9999),
    "rho": (0.0, 0.999),
}
"""Values that these hyperparameters can take at most, as (lowest, highest)."""


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """A hyperparameter whose best value is at an edge of its range.

    Attributes:
        name: The hyperparameter.
        value: The best trial's value.
        side: The edge.
        share: Share of the leading trials (the best tenth, at least three) that are at the same edge.
        wider: The range to try; None if the edge is the hyperparameter's natural limit.
        advice: The same in words.
    """

    name: str
    value: Value
    side: Side
    share: float
    wider: Parameter | None
    advice: str


def edges_info(record: StudyRecord) -> tuple[EdgeRow, ...]:
    """The edges that the best trial is at, each with the wider range to try; empty without a complete trial."""
    best = record.best
    if best is None:
        return ()
    leaders = record.ranked[: max(3, math.ceil(len(record.ranked) / 10))]
    rows = []
    for name, parameter in record.space.items():
        if name not in best.config:
            continue
        side = edge_of(name, parameter, best.config[name])
        if side is not None:
            rows.append(_row(name, parameter, best.config[name], side, leaders))
    more = _more_epochs(record, best)
    if more is not None and all(row.name != "epochs" for row in rows):
        rows.append(more)
    return tuple(rows)


def edge_of(name: str, parameter: Parameter, value: Value) -> Side | None:
    """The edge that `value` is at; None in the middle, and for choices that are not at least three numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(parameter, Choice):
        numbers = _numbers(parameter)
        if len(numbers) < 3 or value not in (numbers[0], numbers[-1]):
            return None
        return "low" if value == numbers[0] else "high"
    if isinstance(parameter, Constant) or parameter.low == parameter.high:
        return None
    low, high, at = float(parameter.low), float(parameter.high), float(value)
    if (parameter.log or is_rate(name)) and low > 0:
        low, high, at = math.log(low), math.log(high), math.log(at)
    place = (at - low) / (high - low)
    return "low" if place <= EDGE else "high" if place >= 1 - EDGE else None


def widen(name: str, parameter: Parameter, side: Side) -> Parameter | None:
    """The range with more room on one side; None if the edge is the hyperparameter's natural limit."""
    if isinstance(parameter, Choice):
        return _widen_choice(parameter, side)
    if isinstance(parameter, Constant):
        return None
    low, high = float(parameter.low), float(parameter.high)
    new = _beyond(name, low, high, parameter.log, side)
    smallest, largest = NATURAL_RANGES.get(name, (0.0 if low >= 0 else -math.inf, math.inf))
    new = min(max(new, smallest), largest)
    if isinstance(parameter, Int):
        return _widen_int(parameter, side, new)
    if parameter.step is not None:
        # Whole steps away from the lower end, so that every old value stays in the range.
        new = round(low + math.trunc((new - low) / parameter.step + 1e-9) * parameter.step, 12)
    else:
        new = float(f"{new:.2g}")
    if parameter.log and new <= 0:
        return None
    if side == "low":
        return replace(parameter, low=new) if new < parameter.low else None
    return replace(parameter, high=new) if new > parameter.high else None


def describe(parameter: Parameter) -> str:
    """A range or a list of choices in words: ``0.01 to 0.04 (log)``, ``16, 32 or 64``."""
    if isinstance(parameter, Constant):
        return words.setting(parameter.value)
    if isinstance(parameter, Choice):
        return words.joined([words.setting(option) for option in parameter.options], "or")
    log = " (log)" if parameter.log else ""
    return f"{words.setting(parameter.low)} to {words.setting(parameter.high)}{log}"


def _row(name: str, parameter: Parameter, value: Value, side: Side, leaders: tuple[Trial, ...]) -> EdgeRow:
    having = [trial.config[name] for trial in leaders if name in trial.config]
    share = sum(edge_of(name, parameter, one) == side for one in having) / len(having)
    wider = widen(name, parameter, side)
    where = f"{name} = {words.setting(value)} is at the {'lower' if side == 'low' else 'upper'} edge"
    if wider is None:
        return EdgeRow(
            name, value, side, share, None, f"{where}, which is its natural limit: there is nothing to widen."
        )
    others = f", like that of {words.percent(share)} of the leading trials" if share >= 0.5 and len(having) > 1 else ""
    return EdgeRow(name, value, side, share, wider, f"{where} of its range{others}: try {describe(wider)}.")


def _more_epochs(record: StudyRecord, best: Trial) -> EdgeRow | None:
    """The row for a constant number of epochs after which the best trial was still improving."""
    parameter = record.space.get("epochs")
    if not isinstance(parameter, Constant) or not isinstance(parameter.value, int):
        return None
    if not still_improving(record.objective, best):
        return None
    epochs = parameter.value
    wider = Constant(2 * epochs, when=parameter.when)
    advice = f"The best trial was still improving after its {epochs} epochs: try epochs = {2 * epochs}."
    return EdgeRow("epochs", epochs, "high", 1.0, wider, advice)


def _beyond(name: str, low: float, high: float, log: bool, side: Side) -> float:
    if is_rate(name) and low > 0:
        return low / 3 if side == "low" else high * 3
    if log:
        factor = max(math.sqrt(high / low), 2.0)
        return low / factor if side == "low" else high * factor
    half = (high - low) / 2
    return low - half if side == "low" else high + half


def _widen_int(parameter: Int, side: Side, new: float) -> Int | None:
    floor = 1 if parameter.low >= 1 else 0 if parameter.low >= 0 else None
    if side == "high":
        steps = max(1, round((new - parameter.high) / parameter.step))
        return replace(parameter, high=parameter.high + steps * parameter.step)
    steps = max(1, round((parameter.low - new) / parameter.step))
    low = parameter.low - steps * parameter.step
    while floor is not None and low < floor:
        low += parameter.step
    return replace(parameter, low=low) if low < parameter.low else None


def _widen_choice(parameter: Choice, side: Side) -> Choice | None:
    numbers = _numbers(parameter)
    if not numbers:
        return None
    new: float | int
    if side == "high":
        new = numbers[-1] * 2
    elif all(isinstance(number, int) for number in numbers):
        new = int(numbers[0]) // 2
    else:
        new = float(f"{numbers[0] / 2:.3g}")
    if new in numbers or (numbers[0] > 0 and new <= 0):
        return None
    options = (*parameter.options, new) if side == "high" else (new, *parameter.options)
    return replace(parameter, options=options)


def _numbers(parameter: Choice) -> list[int | float]:
    """The options in ascending order if all are numbers; empty otherwise."""
    numbers = [o for o in parameter.options if isinstance(o, int | float) and not isinstance(o, bool)]
    return sorted(numbers) if len(numbers) == len(parameter.options) else []
