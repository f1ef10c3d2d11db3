"""Writes the TOML that study files need. The standard library only reads TOML."""

import json
import re
from collections.abc import Mapping, Sequence

from hpsearch.core.space import Choice, Constant, Float, Int


def toml_value(value: object) -> str:
    """A scalar, list or inline table as TOML.

    Raises:
        TypeError: The value has another type.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, except that TOML requires DEL to be escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(name)} = {toml_value(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    raise TypeError(f"a study file holds only numbers, strings, booleans, lists and tables, but got {value!r}")


def toml_key(name: str) -> str:
    """A bare key if the name allows it, a quoted key otherwise."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def toml_parameter(parameter: object) -> str:
    """One ``[space]`` entry: a parameter, or a raw value as read from a study file."""
    if isinstance(parameter, Constant):
        if not parameter.when:
            return toml_value(parameter.value)
        return toml_value({"value": parameter.value, "when": parameter.when})
    if isinstance(parameter, Choice):
        if not parameter.when:
            return toml_value(parameter.options)
        return toml_value({"values": parameter.options, "when": parameter.when})
    if not isinstance(parameter, Float | Int):
        return toml_value(parameter)
    entry: dict[str, object] = {"low": parameter.low, "high": parameter.high}
    if parameter.log:
        entry["log"] = True
    if parameter.step not in (None, 1) or isinstance(parameter.step, float):
        entry["step"] = parameter.step
    if parameter.when:
        entry["when"] = parameter.when
    return toml_value(entry)


def toml_document(
    raw: Mapping[str, object],
    *,
    head: Sequence[str] = (),
    special: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
) -> str:
    """A document of top-level values followed by sections.

    Args:
        raw: Values and sections, in order. Empty sections are left out.
        head: Comment lines at the top.
        special: Section → entry → (value as TOML text, comment). Replaces that section's raw values.
    """
    special = special or {}
    lines = [f"# {_one_line(line)}" for line in head]
    lines += [
        f"{toml_key(name)} = {toml_value(value)}" for name, value in raw.items() if not isinstance(value, Mapping)
    ]
    for name, section in raw.items():
        if not isinstance(section, Mapping):
            continue
        entries = special.get(name) or {key: (toml_value(value), "") for key, value in section.items()}
        if not entries:
            continue
        lines += ["", f"[{toml_key(name)}]"]
        for key, (text, comment) in entries.items():
            lines.append(f"{toml_key(key)} = {text}" + (f"  # {_one_line(comment)}" if comment else ""))
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """The text without control characters. TOML forbids them in comments, and a line break would end the comment."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
