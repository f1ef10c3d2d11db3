"""Values of hyperparameters: their bounds, how they are compared, and ranges with a step that list none of them."""

import math
from collections.abc import Sequence
from typing import overload

from hpsearch.core.rules import RuleError
from hpsearch.core.words import quoted

Value = bool | int | float | str
"""What a hyperparameter can be set to."""

MOST_VALUES = 10_000
"""Values of a list."""

_WHOLE = 2**63
"""Whole numbers are below it, as in TOML and in databases."""

_MOST_STEPS = 10**9
"""Values of a range of real numbers with a step. Configs tell numbers apart by 12 digits."""


def typed(value: Value) -> tuple[str, Value]:
    """What two values share if they are the same hyperparameter: 1 and 1.0 do, 1 and True do not."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", float(f"{value:.12g}")
    return "text", value


def is_finite(value: object) -> bool:
    """Whether this is a number within float64, whole or real."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _WHOLE if isinstance(value, int) else math.isfinite(value)


def check_size(value: object) -> None:
    """Refuse whole numbers that neither TOML nor a database holds.

    Raises:
        RuleError: `value` is one.
    """
    if isinstance(value, int) and not -_WHOLE <= value < _WHOLE:
        raise RuleError(f"whole numbers have 64 bits, but got {quoted(value)}", "out-of-range", received=value)


class Steps(Sequence[float]):
    """``low, low + step, …``, up to `high`. Like Python's ``range``, it lists nothing.

    Raises:
        RuleError: There would be too many values.
    """

    def __init__(self, low: float, high: float, step: float) -> None:
        count = (high - low) / step + 1e-9
        if not count < _MOST_STEPS:
            raise RuleError(
                f"step = {step:g} makes more than {_MOST_STEPS:,} values; leave it out for a continuous range",
                "bad-range",
                received=step,
            )
        self.low, self.step = low, step
        self._count = math.floor(count) + 1
        # Without rounding, 0.1 + 2 * 0.1 would be 0.30000000000000004 in configs, tables and keys.
        self._digits = digits_for(step)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(self._count)))
        return round(self.low + range(self._count)[place] * self.step, self._digits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and tuple(other) == tuple(self)

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, value: object) -> bool:
        if not is_finite(value):
            return False
        assert isinstance(value, int | float)
        return math.isclose(value, self[place_near(self, value)], rel_tol=1e-9, abs_tol=min(1e-12, self.step / 1_000))


def digits_for(distance: float) -> int:
    """Decimals to round to, so that numbers with this distance stay apart: 12 unless it is very small."""
    return max(12, 2 - math.floor(math.log10(distance)))


def place_near(values: "range | Steps", number: float) -> int:
    """The place of the value of a range that is nearest to `number`; of two equally near, the first."""
    steps = min(max((number - values[0]) / values.step, 0), len(values) - 1)
    near = range(max(0, math.floor(steps) - 1), min(len(values), math.floor(steps) + 3))
    return min(near, key=lambda place: abs(values[place] - number))


def place_in(values: Sequence[Value], value: Value) -> int | None:
    """The place of a value among `values`; None if it is not there. A range is not searched through."""
    if isinstance(values, range | Steps):
        if not is_finite(value):
            return None
        assert isinstance(value, int | float)
        place = place_near(values, value)
        return place if typed(values[place]) == typed(value) else None
    wanted = typed(value)
    return next((place for place, one in enumerate(values) if typed(one) == wanted), None)
