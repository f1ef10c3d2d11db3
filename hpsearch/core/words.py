"""Phrases that many messages share."""

import difflib
import re
from collections.abc import Iterable

from hpsearch.core.safe_text import for_terminal


def closest(name: object, legal: Iterable[object]) -> str | None:
    """The legal name nearest to `name`; None if none is near."""
    found = difflib.get_close_matches(str(name), [str(one) for one in legal], n=1)
    return found[0] if found else None


def did_you_mean(name: object, legal: Iterable[object]) -> str:
    """`` (did you mean 'adam'?)`` with a leading space; empty if no legal name is near."""
    found = closest(name, legal)
    return "" if found is None else f" (did you mean {found!r}?)"


def listed(names: Iterable[object], *, most: int | None = None) -> str:
    """Names separated by commas; ``…`` replaces those after the first `most`."""
    texts = [str(name) for name in names]
    if most is not None and len(texts) > most:
        texts = [*texts[:most], "…"]
    return ", ".join(texts)


def percent(share: float, digits: int | None = None) -> str:
    """A share as ``12 %``: whole per cent, or so many significant digits."""
    return f"{100 * share:.0f} %" if digits is None else f"{100 * share:.{digits}g} %"


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank, without the colours of terminals, and safe for them."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error))
    return for_terminal(next((line.strip() for line in plain.splitlines() if line.strip()), "no message"))


def duration(seconds: float) -> str:
    """``0.42 s``, ``42 s``, ``3 min 10 s`` or ``2 h 05 min``; negative times count as 0."""
    seconds = max(0, seconds)
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def readable_address(text: str) -> str:
    """What a study file names, for readers: what was given in memory has a name that only a machine reads."""
    if re.fullmatch(r"given_[0-9a-f_]+:data", text):
        return "data in memory"
    return "build function in memory" if re.fullmatch(r"given_[0-9a-f_]+:build", text) else text
