"""Texts that are hard to tell apart: they differ in blanks, case or in how Unicode writes a letter."""

import unicodedata
from collections.abc import Iterable


def spelling(text: str) -> str:
    """What spellings of one text have in common. A letter has several forms in Unicode: é, or e and an accent."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def other_spelling(text: str, known: Iterable[str]) -> str | None:
    """The text of `known` that is another spelling of `text`, if there is one."""
    wanted = spelling(text)
    return next((other for other in known if other != text and spelling(other) == wanted), None)


def told_apart(one: str, other: str) -> tuple[str, str]:
    """Both texts as a message shows them: those that look the same on a screen by the numbers of their characters."""
    same = unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)
    show = ascii if same else repr
    return show(one[:80]), show(other[:80])
