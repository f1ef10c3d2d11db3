"""What was found out about one thing, as plain values."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from hpsearch.errors import HpsearchError


class Health(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    ABSENT = "absent"
    """It is not there, and need not be."""
    SKIPPED = "skipped"
    """It was not tried, because that takes seconds."""
    REDUCED = "reduced"
    """It works, but slower or with less than it could."""
    HIDDEN = "hidden"
    """Another entry has its name."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing.

    Attributes:
        name: The thing.
        health: How it is.
        detail: For example a version, or the package that brings it.
        reason: Why it is not well; empty if it is. Of a choice: why it is made.
        code: Code of the error, if there is one.
        hint: What to do.
        values: Numbers and names behind the words, for scripts.
    """

    name: str
    health: Health = Health.OK
    detail: str = ""
    reason: str = ""
    code: str = ""
    hint: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


Findings = Mapping[str, tuple[Finding, ...]]
"""Section → what was found out, in the order in which it is shown."""


def broken(name: str, error: HpsearchError, detail: str = "") -> Finding:
    """The finding of what has raised one of our errors."""
    return Finding(name, Health.BROKEN, detail, error.what, error.code, error.hint)


def is_broken(findings: Findings) -> bool:
    """Whether anything is."""
    return any(one.health is Health.BROKEN for section in findings.values() for one in section)


def as_json(findings: Findings, *, indent: int | None = None) -> str:
    """The findings as one JSON object: section → list of findings, each with all attributes of :class:`Finding`."""
    sections = {name: [asdict(one) for one in section] for name, section in findings.items()}
    return json.dumps(sections, indent=indent, ensure_ascii=False)


def from_json(text: str) -> Findings:
    """Findings as :func:`as_json` has written them."""
    return {
        name: tuple(Finding(**{**one, "health": Health(one["health"])}) for one in section)
        for name, section in json.loads(text).items()
    }
