"""KerasTuner's hyperparameters as ours."""

import math
from collections.abc import Mapping
from typing import Any

from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Value
from hpsearch.errors import ModelError

_TRY_AT_MOST = 4


def to_parameter(
    address: str, name: str, declarations: list[Any], observed: Mapping[str, tuple[Value, ...]]
) -> Parameter:
    """One hyperparameter, which the code may declare in several scopes.

    Args:
        address: For messages.
        name: Its name.
        declarations: KerasTuner's objects of that name: same range, perhaps different conditions.
        observed: Conditions seen by trying (see :mod:`hpsearch.models.kerastuner`).

    Raises:
        ModelError: The declarations differ in their ranges.
    """
    parameters = [_convert(one, {}) for one in declarations]
    if any(one != parameters[0] for one in parameters):
        shown = " and ".join(dict.fromkeys(str(one) for one in parameters))
        raise ModelError(
            f"{address}: hyperparameter {name!r} is declared with different ranges: {shown}",
            hint="give them different names",
        )
    return _convert(declarations[0], {**observed, **_scopes(declarations)})


def values_to_try(declaration: Any) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """(some values to try first, all values): of a range with many, its ends and its middle; none of a real range."""
    if type(declaration).__name__ == "Float":
        return (), ()
    every: tuple[Value, ...] = tuple(_convert(declaration, {}).values() or ())
    if isinstance(_convert(declaration, {}), Int) and len(every) > _TRY_AT_MOST:
        return (every[0], every[len(every) // 2], every[-1]), every
    return every, every


def _scopes(declarations: list[Any]) -> dict[str, tuple[Value, ...]]:
    """The ``conditional_scope`` of all declarations together; none where one stands outside of any."""
    conditions = [{one.name: tuple(one.values) for one in declaration.conditions} for declaration in declarations]
    shared = set.intersection(*(set(one) for one in conditions))
    return {
        parent: tuple(dict.fromkeys(value for one in conditions for value in one[parent])) for parent in sorted(shared)
    }


def _convert(one: Any, when: Mapping[str, tuple[Value, ...]]) -> Parameter:
    kind = type(one).__name__
    if kind == "Fixed":
        return Constant(one.value, when=when)
    if kind == "Boolean":
        return Choice((False, True), when=when)
    if kind == "Choice":
        return Choice(tuple(dict.fromkeys(one.values)), when=when)
    # "reverse_log" only shifts where samples fall; the range is the same.
    log = one.sampling == "log"
    if one.step is not None and one.sampling != "linear":
        return Choice(_multiples(one, whole=kind == "Int"), when=when)
    if kind == "Int":
        return Int(one.min_value, one.max_value, log=log, step=one.step or 1, when=when)
    return Float(float(one.min_value), float(one.max_value), log=log, step=one.step, when=when)


def _multiples(one: Any, *, whole: bool) -> tuple[Value, ...]:
    """A logarithmic range with a step: each value is the step times the one before."""
    count = int(math.log(one.max_value / one.min_value, one.step) + 1e-8) + 1
    powers = [one.min_value * one.step**i for i in range(count)]
    if one.sampling == "reverse_log":
        powers = [one.max_value + one.min_value - value for value in reversed(powers)]
    return tuple(round(value) if whole else round(value, 12) for value in powers)
