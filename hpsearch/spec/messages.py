"""What is said about a wrong study file: one line per problem, with key, rule, value and the closest legal name."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hpsearch.core.words import did_you_mean, listed
from hpsearch.spec.sections import StudySpec


def describe_problem(error: Mapping[str, Any]) -> str:
    """One line for one pydantic error: key, rule, value received, closest legal name."""
    location, kind, received = error["loc"], error["type"], error["input"]
    path = ".".join(str(part) for part in location if not (isinstance(part, str) and ("[" in part or part in _TAGS)))
    if kind == "extra_forbidden":
        legal = _fields(location[:-1])
        return f"{path}: unknown key{did_you_mean(str(location[-1]), legal)}; legal: {listed(legal)}"
    if kind == "missing":
        return f"{path}: is required"
    if kind == "literal_error":
        legal = [part.strip("'\" ") for part in re.split(r", | or ", error["ctx"]["expected"])]
        return f"{path}: must be one of {listed(legal)}, but got {received!r}{did_you_mean(received, legal)}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    message = message if message.startswith(("must", "needs", "names", "repeats")) else f"must be {message}"
    shown = "" if isinstance(received, BaseModel) else f", but got {received!r}"
    offer = "" if "did you mean" not in message else message[message.index(" (did you mean") :]
    return f"{path}: {message.removesuffix(offer) if offer else message}{shown}{offer}"


_TAGS = {"str", "int", "float", "bool", "list", "dict"}


def _fields(location: tuple[object, ...]) -> list[str]:
    model: Any = StudySpec
    for part in location:
        model = model.model_fields[part].annotation
    return [name for name in model.model_fields if name != "folder"]


def report_problems(origin: str, problems: list[str]) -> str:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return f"{origin}: {count}:\n" + "\n".join(f"  - {line}" for line in dict.fromkeys(problems))
