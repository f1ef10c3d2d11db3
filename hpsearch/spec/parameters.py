"""Entries of ``[space]``: from TOML values to parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic.json_schema import WithJsonSchema

from hpsearch.core.rules import RuleError
from hpsearch.core.space import Choice, Condition, Constant, Float, Int, Parameter, Value
from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.spec.other_words import equivalent_of

_RANGE_KEYS = {"low", "high", "step", "log", "when"}
_SCALAR = {"type": ["number", "string", "boolean"]}
_WHEN = {"type": "object", "additionalProperties": {"type": "array", "items": _SCALAR}}
_PARAMETER_SCHEMA = {
    "description": "a constant, a list of choices, or a table",
    "anyOf": [
        _SCALAR,
        {"type": "array", "items": _SCALAR, "minItems": 1},
        {
            "type": "object",
            "properties": {
                "low": {"type": "number", "description": "smallest value, included"},
                "high": {"type": "number", "description": "largest value, included"},
                "step": {"type": "number", "exclusiveMinimum": 0},
                "log": {"type": "boolean", "description": "search on a logarithmic scale"},
                "when": _WHEN,
            },
            "required": ["low", "high"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"values": {"type": "array", "items": _SCALAR, "minItems": 1}, "when": _WHEN},
            "required": ["values"],
            "additionalProperties": False,
        },
    ],
}

RawParameter = Annotated[object, WithJsonSchema(_PARAMETER_SCHEMA)]
"""A ``[space]`` entry as TOML has it; :func:`parse_parameter` checks it."""


def parse_parameter(raw: object, *, real: bool = False) -> Parameter:
    """One ``[space]`` entry.

    Args:
        raw: As TOML has it.
        real: Whether the hyperparameter is a real number: whole numbers stand for real ones then.

    Raises:
        RuleError: It has none of the four forms, or breaks a rule.
    """
    return as_real(_parse(raw)) if real else _parse(raw)


def as_real(parameter: Parameter) -> Parameter:
    """The same hyperparameter with real numbers in place of whole ones."""
    match parameter:
        case Int(low, high, log, step, when, asked):
            return Float(low, high, log=log, step=None if step == 1 else step, when=when, asked=asked)
        case Choice(options):
            return replace(parameter, options=tuple(_real(one) for one in options))
        case Constant(value):
            return replace(parameter, value=_real(value))
        case _:
            return parameter


def _real(value: Value) -> Value:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _parse(raw: object) -> Parameter:
    if isinstance(raw, bool | int | float | str):
        _check_is_a_number(raw)
        return Constant(raw)
    if isinstance(raw, list):
        return Choice(_options(raw))
    if not isinstance(raw, dict):
        raise RuleError(f"must be a constant, a list or a table, but got {quoted(raw)}", "wrong-type", received=raw)
    when = _condition(raw.get("when", {}))
    if "values" in raw or "value" in raw:
        name = "values" if "values" in raw else "value"
        _only(raw, {name, "when"})
        if name == "value":
            return Constant(_scalars([raw["value"]])[0], when=when)
        if not isinstance(raw["values"], list):
            rule = f"values must be a list, but got {quoted(raw['values'])}"
            raise RuleError(rule, "wrong-type", received=raw["values"])
        return Choice(_options(raw["values"]), when=when)
    _only(raw, _RANGE_KEYS)
    if missing := [name for name in ("low", "high") if name not in raw]:
        lacks = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing in {quoted(raw)}"
        raise RuleError(f"a range needs low and high, but {lacks}", "missing", received=raw)
    return _range(raw, when)


def _range(raw: Mapping[str, object], when: Condition) -> Float | Int:
    log = raw.get("log", False)
    if not isinstance(log, bool):
        raise RuleError(f"log must be true or false, but got {quoted(log)}", "wrong-type", received=log)
    low, high = _number("low", raw["low"]), _number("high", raw["high"])
    step = None if raw.get("step") is None else _number("step", raw["step"])
    if isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int)):
        return Int(low, high, log=log, step=1 if step is None else step, when=when)
    return Float(low, high, log=log, step=step, when=when)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(f"{name} must be a finite number, but got {quoted(value)}", "bad-range", received=value)
    return value


def _scalars(values: list[object]) -> tuple[Value, ...]:
    found: list[Value] = []
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise RuleError(
                f"values must be numbers, texts or booleans, but got {quoted(value)}", "wrong-type", received=value
            )
        _check_is_a_number(value)
        found.append(value)
    return tuple(found)


def _check_is_a_number(value: Value) -> None:
    if value != value:
        raise RuleError("nan is no value of a hyperparameter", "out-of-range", received=value)


def _options(values: list[object]) -> tuple[Value, ...]:
    """The values of a choice. Optuna, and so the ledger, cannot tell apart what is equal in Python."""
    options, seen = _scalars(values), dict[Value, Value]()
    for one in options:
        equal = seen.setdefault(one, one)
        if type(equal) is not type(one):
            raise RuleError(
                f"the values of a choice must differ, but {equal!r} and {one!r} are equal in Python and in the ledger: "
                'use texts, such as "on" and "one"',
                "equal-values",
                received=[equal, one],
            )
    return options


def _condition(raw: object) -> dict[str, tuple[Value, ...]]:
    if not isinstance(raw, dict):
        text = f'when must be a table such as {{ optimizer = ["sgd"] }}, but got {quoted(raw)}'
        raise RuleError(text, "wrong-type", received=raw)
    return {name: _scalars(values if isinstance(values, list) else [values]) for name, values in raw.items()}


def _only(raw: Mapping[str, object], legal: set[str]) -> None:
    for name in raw:
        if name not in legal:
            if (known := equivalent_of("space", name, raw[name])) is not None:
                raise RuleError(f"unknown key {quoted(name)}: {known}", "other-word", received=name)
            text = f"unknown key {quoted(name)}{did_you_mean(name, legal)}; legal: {listed(sorted(legal))}"
            raise RuleError(text, "unknown-key", received=name, closest=closest(name, legal))
