"""Texts that differ in blanks or case only: two spellings of one category, most likely."""

import unicodedata
from collections.abc import Iterable


def alike(texts: Iterable[str]) -> str | None:
    """A sentence about texts that are hard to tell apart; None if there are none."""
    seen: dict[str, str] = {}
    pairs = []
    for text in texts:
        # One letter may be written in several ways in Unicode: é, or e and an accent.
        other = seen.setdefault(" ".join(unicodedata.normalize("NFKC", text).split()).casefold(), text)
        if other != text:
            pairs.append((other, text))
    if not pairs:
        return None
    shown = ", ".join(f"{one!r} and {other!r}" for one, other in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return f"{shown}{more} differ in blanks or case only"
