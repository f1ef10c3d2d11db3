"""What a trial must keep to be ranked: ``[objective] at_most`` and ``at_least``.

A trial that keeps all constraints is *feasible*. How far another one is from it is a number without a unit, so that
constraints on different quantities can be compared and added.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

UNITS: Mapping[str, str] = {"parameters": "parameters", "model_mb": "MB of weights", "latency_ms": "ms of latency"}
"""Quantities of a model, which are known before it is trained, and how they are said. All others are curves."""

FARTHEST = 1e6
"""Margin of a value that is no finite number, or farther away than that. Samplers compute with margins."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One limit.

    Attributes:
        quantity: One of :data:`UNITS`, or the name of a curve.
        kind: Whether the value may be at most, or must be at least, the limit.
        limit: A finite number.
    """

    quantity: str
    kind: Literal["at_most", "at_least"]
    limit: float

    @property
    def of_model(self) -> bool:
        """Whether it can be told before training."""
        return self.quantity in UNITS

    def margin(self, value: float) -> float:
        """How far a value is beyond the limit, as a share of the limit; 0 or less if the limit is kept."""
        if math.isnan(value):
            return FARTHEST
        beyond = value - self.limit if self.kind == "at_most" else self.limit - value
        return min(max(beyond / (abs(self.limit) or 1.0), -FARTHEST), FARTHEST)

    @property
    def text(self) -> str:
        """For example ``parameters at most 20,000``."""
        return f"{self.quantity} {self.kind.replace('_', ' ')} {said(self.limit)}"

    def broken(self, value: float) -> str:
        """For example ``31,000 parameters, at most 20,000``."""
        measured = f"{said(value)} {UNITS[self.quantity]}" if self.of_model else f"{self.quantity} {said(value)}"
        return f"{measured}, {self.kind.replace('_', ' ')} {said(self.limit)}"


@dataclass(frozen=True, slots=True)
class Constraints:
    """All limits of a study; none by default.

    Attributes:
        each: In the order of the study file.
    """

    each: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, at_most: Mapping[str, float], at_least: Mapping[str, float]) -> "Constraints":
        """The constraints of a study file."""
        most = tuple(Constraint(name, "at_most", float(limit)) for name, limit in at_most.items())
        return cls((*most, *(Constraint(name, "at_least", float(limit)) for name, limit in at_least.items())))

    def __bool__(self) -> bool:
        return bool(self.each)

    @property
    def quantities(self) -> tuple[str, ...]:
        """What must be known of a trial, each once."""
        return tuple(dict.fromkeys(one.quantity for one in self.each))

    @property
    def of_model(self) -> "Constraints":
        """Those that can be told before training."""
        return Constraints(tuple(one for one in self.each if one.of_model))

    @property
    def curves(self) -> tuple[str, ...]:
        """The curves that a trial must record, each once."""
        return tuple(name for name in self.quantities if name not in UNITS)

    def margins(self, measured: Mapping[str, float]) -> tuple[float, ...]:
        """The margin of each constraint. What is not known counts as exactly at its limit."""
        return tuple(one.margin(measured[one.quantity]) if one.quantity in measured else 0.0 for one in self.each)

    def for_optuna(self, measured: Mapping[str, float]) -> dict[str, float]:
        """The margins as system attributes in which Optuna looks for them: its samplers, and its ``best_trial``."""
        return {f"constraints:{one.text}": it for one, it in zip(self.each, self.margins(measured), strict=True)}

    def violation(self, measured: Mapping[str, float]) -> float:
        """The sum of the margins beyond the limits; 0 for a feasible trial."""
        return sum(margin for margin in self.margins(measured) if margin > 0)

    def broken(self, measured: Mapping[str, float]) -> str:
        """Which limits are broken, for the user; empty if none is."""
        found = [one for one in self.each if one.quantity in measured and one.margin(measured[one.quantity]) > 0]
        return "; ".join(one.broken(measured[one.quantity]) for one in found)


NO_CONSTRAINTS = Constraints()


def said(value: float) -> str:
    """A limit or a measured value: whole numbers with all digits, others with four."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"


def listed_texts(constraints: Iterable[Constraint]) -> str:
    """For example ``parameters at most 20,000, val_recall at least 0.9``."""
    return ", ".join(one.text for one in constraints)
