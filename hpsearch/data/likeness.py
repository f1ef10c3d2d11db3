"""Texts that differ in blanks, case or Unicode form only: two spellings of one category, most likely."""

from collections.abc import Iterable

from hpsearch.portable.spelling import spelling, told_apart


def alike(texts: Iterable[str]) -> str | None:
    """A sentence about texts that are hard to tell apart; None if there are none."""
    seen: dict[str, str] = {}
    pairs = []
    for text in texts:
        other = seen.setdefault(spelling(text), text)
        if other != text:
            pairs.append(told_apart(other, text))
    if not pairs:
        return None
    shown = ", ".join(f"{one} and {other}" for one, other in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return f"{shown}{more} differ in blanks, case or Unicode form only"
