"""KerasTuner's hyperparameters as parameters of a study's space."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Value
from hpsearch.errors import ModelError

if TYPE_CHECKING:
    from keras_tuner.engine.hyperparameters import HyperParameter

    Declaration: TypeAlias = HyperParameter
    """A hyperparameter as KerasTuner code declares it."""

_TRY_AT_MOST = 4
_LIST_AT_MOST = 1000


def to_parameter(
    address: str, name: str, declarations: "Sequence[Declaration]", observed: Mapping[str, tuple[Value, ...]]
) -> Parameter:
    """One hyperparameter. The code may declare it in several scopes.

    Args:
        address: For messages.
        name: Its name.
        declarations: KerasTuner's objects of that name. Ranges are the same; conditions may differ.
        observed: Conditions found by trying (see :mod:`hpsearch.models.kerastuner`).

    Raises:
        ModelError: The declarations differ in their ranges.
    """
    parameters = [_convert(one, {}) for one in declarations]
    if any(one != parameters[0] for one in parameters):
        shown = " and ".join(dict.fromkeys(str(one) for one in parameters))
        raise ModelError(
            f"{address}: hyperparameter {name!r} is declared with different ranges: {shown}",
            code="declared-twice",
            hint="give them different names",
            address=address,
            name=name,
        )
    return _convert(declarations[0], {**observed, **_scopes(declarations)})


def values_to_try(parameter: Parameter) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """Some values to try first, and all values. Of a long range, the ends and the middle; a real range has no end."""
    every = parameter.values()
    if every is None:
        return tuple(parameter.grid(3)), ()
    if isinstance(parameter, Choice) or len(every) <= _TRY_AT_MOST:
        return tuple(every), tuple(every)
    sample = every[0], every[len(every) // 2], every[-1]
    # A range of billions is not listed: what matters is that there are more values than anyone tries.
    return sample, (*sample, *every[1:_LIST_AT_MOST])


def _scopes(declarations: "Sequence[Declaration]") -> dict[str, tuple[Value, ...]]:
    """The ``conditional_scope`` of all declarations together; none if one is outside of any."""
    conditions = [{one.name: tuple(one.values) for one in declaration.conditions} for declaration in declarations]
    shared = set.intersection(*(set(one) for one in conditions))
    return {
        parent: tuple(dict.fromkeys(value for one in conditions for value in one[parent])) for parent in sorted(shared)
    }


def _convert(one: "Declaration", when: Mapping[str, tuple[Value, ...]]) -> Parameter:
    kind = type(one).__name__
    if kind == "Fixed":
        return Constant(one.value, when=when)
    if kind == "Boolean":
        return Choice((False, True), when=when)
    if kind == "Choice":
        return Choice(tuple(dict.fromkeys(one.values)), when=when)
    # "reverse_log" only changes how samples are spread; the range is the same.
    log = one.sampling == "log"
    if one.step is not None and one.sampling != "linear":
        return Choice(_multiples(one, whole=kind == "Int"), when=when)
    if kind == "Int":
        return Int(one.min_value, one.max_value, log=log, step=one.step or 1, when=when)
    return Float(float(one.min_value), float(one.max_value), log=log, step=one.step, when=when)


def _multiples(one: "Declaration", *, whole: bool) -> tuple[Value, ...]:
    """Values of a logarithmic range with a step: each is the one before times the step."""
    count = int(math.log(one.max_value / one.min_value, one.step) + 1e-8) + 1
    powers = [one.min_value * one.step**i for i in range(count)]
    if one.sampling == "reverse_log":
        powers = [one.max_value + one.min_value - value for value in reversed(powers)]
    return tuple(round(value) if whole else round(value, 12) for value in powers)
