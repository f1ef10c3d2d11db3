"""The bounds of a study file, and its text as TOML within them: reading costs no more than its size, whatever is in it.

The bounds are far beyond any study. Without them, a text of some kilobytes would keep the reader busy for minutes.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsearch.core.rules import RuleError
from hpsearch.core.values import MOST_VALUES, check_size
from hpsearch.core.words import quoted
from hpsearch.errors import SpecError

MOST_BYTES = 1_000_000
"""Size of a study file."""

DEEPEST = 20
"""Tables and lists inside of each other, and parts of a dotted key."""

MOST_KEYS = 1_000
"""Keys of a table."""

LONGEST_KEY = 200
"""Characters of a key."""

_MOST_DIGITS = 4_000
"""Digits of a number. Python reads no more than 4,300."""

_TEXTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|\'\'\'(?:[^\']|\'(?!\'\'))*+(?:\'\'\'|\Z)'
    r'|"(?:[^"\\\n]|\\.)*+(?:"|$)|\'[^\'\n]*+(?:\'|$)|#[^\n]*+',
    re.DOTALL | re.MULTILINE,
)
"""Texts and comments. The possessive ``*+`` keeps the search linear where a quote is never closed."""

_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")
_NUMBER = re.compile(rf"(?<![\d_])\d[\d_]{{{_MOST_DIGITS},}}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a study file, or of whatever stands under its name, such as a device without an end.

    Raises:
        SpecError: It is too large.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _too_large(str(path))
    return data


def read_toml(text: str, origin: str) -> dict[str, Any]:
    """The content of a study file's text.

    Args:
        text: The text.
        origin: Where it comes from, for messages.

    Raises:
        SpecError: It is not TOML, or beyond the bounds of this module.
    """
    if len(text) > MOST_BYTES:
        raise _too_large(origin)
    _check_shape(text, origin)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin} is not valid TOML: {error}", code="bad-toml", origin=origin) from None


def beyond_limits(raw: Mapping[str, object], key: str = "") -> Iterator[tuple[str, RuleError]]:
    """Keys and values beyond the bounds, as ``(key, what is wrong)``.

    Args:
        raw: A table. It is not nested deeper than :func:`read_toml` allows.
        key: Its own key; empty for the whole file.
    """
    if len(raw) > MOST_KEYS:
        yield key or "the file", RuleError(f"has {len(raw):,} keys; {MOST_KEYS:,} are allowed", "too-many")
        return
    for name, value in raw.items():
        if len(name) > LONGEST_KEY:
            rule = f"a key has at most {LONGEST_KEY} characters, not {len(name):,}: {quoted(name)}"
            yield key or "the file", RuleError(rule, "bad-length", received=name)
        else:
            yield from _of_value(value, f"{key}.{name}" if key else name)


def _of_value(value: object, key: str) -> Iterator[tuple[str, RuleError]]:
    if isinstance(value, dict):
        yield from beyond_limits(value, key)
    elif isinstance(value, list):
        if len(value) > MOST_VALUES:
            rule = f"has {len(value):,} values; {MOST_VALUES:,} are allowed"
            yield key, RuleError(rule, "too-many", received=len(value))
            return
        for one in value:
            yield from _of_value(one, key)
    else:
        try:
            check_size(value)
        except RuleError as error:
            yield key, error


def _check_shape(text: str, origin: str) -> None:
    """Refuse what TOML's parser would recurse into, or would read in quadratic time."""
    plain = _TEXTS.sub(_of_same_lines, text)
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", plain):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST:
            raise _unreadable(plain, bracket, origin, f"tables and lists are nested more than {DEEPEST} deep")
        depth = max(depth, 0)
    if (found := _DOTTED.search(plain)) is not None:
        raise _unreadable(plain, found, origin, f"a dotted key has more than {DEEPEST} parts")
    if (found := _NUMBER.search(plain)) is not None:
        digits = sum(map(str.isdigit, found[0]))
        raise _unreadable(plain, found, origin, f"a number has {digits:,} digits; whole numbers have at most 19")


def _of_same_lines(text: re.Match[str]) -> str:
    """What stands for a text, so that lines keep their numbers: a part of a key, or nothing for a comment."""
    return ("" if text[0].startswith("#") else "_") + "\n" * text[0].count("\n")


def _unreadable(text: str, found: re.Match[str], origin: str, what: str) -> SpecError:
    line = text.count("\n", 0, found.start()) + 1
    return SpecError(
        f"{origin} is no study file: {what}, see line {line}", code="out-of-bounds", origin=origin, line=line
    )


def _too_large(origin: str) -> SpecError:
    return SpecError(
        f"{origin} is too large: a study file has at most {MOST_BYTES // 10**6} MB",
        code="too-large",
        hint="data belong into a file of their own, named by [data] source",
        origin=origin,
    )
