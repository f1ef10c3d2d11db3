"""One entry of ``[space]``: from TOML to a parameter."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic.json_schema import WithJsonSchema

from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Value
from hpsearch.core.words import did_you_mean, listed

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

RawParameter = Annotated[Any, WithJsonSchema(_PARAMETER_SCHEMA)]


def parse_parameter(raw: object) -> Parameter:
    """One ``[space]`` entry.

    Raises:
        ValueError: It is none of the four forms, or breaks a rule; the message names rule and value.
    """
    if isinstance(raw, bool | int | float | str):
        return Constant(raw)
    if isinstance(raw, list):
        return Choice(_scalars(raw))
    if not isinstance(raw, dict):
        raise ValueError(f"must be a constant, a list or a table, but got {raw!r}")
    when = _condition(raw.get("when", {}))
    if "values" in raw or "value" in raw:
        name = "values" if "values" in raw else "value"
        _only(raw, {name, "when"})
        if name == "value":
            return Constant(_scalars([raw["value"]])[0], when=when)
        if not isinstance(raw["values"], list):
            raise ValueError(f"values must be a list, but got {raw['values']!r}")
        return Choice(_scalars(raw["values"]), when=when)
    _only(raw, _RANGE_KEYS)
    if missing := [name for name in ("low", "high") if name not in raw]:
        raise ValueError(f"a range needs low and high, but {' and '.join(missing)} is missing in {raw!r}")
    log = raw.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, but got {log!r}")
    low, high, step = raw["low"], raw["high"], raw.get("step")
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (low, high, 1 if step is None else step))
    if whole:
        return Int(low, high, log=log, step=1 if step is None else step, when=when)
    return Float(low, high, log=log, step=step, when=when)


def _scalars(values: list[object]) -> tuple[Value, ...]:
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"values must be numbers, texts or booleans, but got {value!r}")
    return tuple(values)  # type: ignore[arg-type]


def _condition(raw: object) -> dict[str, tuple[Value, ...]]:
    if not isinstance(raw, dict):
        raise ValueError(f'when must be a table such as {{ optimizer = ["sgd"] }}, but got {raw!r}')
    return {name: _scalars(values if isinstance(values, list) else [values]) for name, values in raw.items()}


def _only(raw: Mapping[str, object], legal: set[str]) -> None:
    for name in raw:
        if name not in legal:
            raise ValueError(f"unknown key {name!r}{did_you_mean(name, legal)}; legal: {listed(sorted(legal))}")
