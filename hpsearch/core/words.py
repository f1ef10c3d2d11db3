"""Phrases that many messages share."""

import datetime
import difflib
import itertools
import re
import reprlib
from collections.abc import Iterable

from hpsearch.core.safe_text import for_terminal

LONGEST = 80
"""Characters of a value that a message shows."""

LONGEST_PATH = 1_000
"""Characters of a file's path that a message shows: what is cut from it cannot be found again."""

_MOST_NAMES = 100
"""Names that a message lists at most, whatever it is about."""


class _Quoted(reprlib.Repr):
    """Values as Python writes them, without ever writing out all of a long one."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother, self.fillvalue = 4, LONGEST, "…"
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = LONGEST // 3

    def repr_str(self, x: str, level: int) -> str:
        whole = repr(x[: LONGEST + 1])
        return whole if len(whole) <= LONGEST + 2 else repr(f"{x[: LONGEST - 1]}…")

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write numbers of more than 4,300 digits.
        digits = int(x.bit_length() * 0.30103) + 1
        return repr(x) if digits <= LONGEST else f"a whole number of about {digits} digits"

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        if level <= 0:
            return "{…}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
            for key, value in itertools.islice(x.items(), self.maxdict)
        ]
        return f"{{{', '.join(pairs)}{', …' * (len(x) > self.maxdict)}}}"


_quoted = _Quoted()


def quoted(value: object) -> str:
    """A value as messages show it: as Python writes it, cut to 80 characters. It may have any size and depth."""
    text = _quoted.repr(value)
    return text if len(text) <= LONGEST + 2 else f"{text[: LONGEST - 1]}…"


def cut(text: object, most: int = LONGEST) -> str:
    """A text without quotes, such as a name in a list, cut to 80 characters, or to `most`."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def closest(name: object, legal: Iterable[object]) -> str | None:
    """The legal name nearest to `name`; None if none is near."""
    if len(wanted := str(name)) > LONGEST:
        return None
    found = difflib.get_close_matches(wanted, [str(one) for one in legal], n=1)
    return found[0] if found else None


def did_you_mean(name: object, legal: Iterable[object]) -> str:
    """`` (did you mean 'adam'?)`` with a leading space; empty if no legal name is near."""
    found = closest(name, legal)
    return "" if found is None else f" (did you mean {found!r}?)"


def listed(names: Iterable[object], *, most: int | None = None) -> str:
    """Names separated by commas, each cut to 80 characters; ``…`` replaces those after the first `most`."""
    limit = _MOST_NAMES if most is None else most
    texts = [cut(name) for name in itertools.islice(names, limit + 1)]
    if len(texts) > limit:
        texts = [*texts[:limit], "…"]
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


def utc_minute(seconds: float) -> str:
    """A Unix time, such as ``2026-11-29 12:10 UTC``."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def readable_address(text: str) -> str:
    """What a study file names, for readers: what was given in memory has a name that only a machine reads."""
    if re.fullmatch(r"given_[0-9a-f_]+:data", text):
        return "data in memory"
    return "build function in memory" if re.fullmatch(r"given_[0-9a-f_]+:build", text) else text
