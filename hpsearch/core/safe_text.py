"""Text of unknown origin made safe to show: in a terminal, and as Markdown.

Names, cells, labels, hyperparameter values and the texts of errors come from study files, data and users' code. A
terminal obeys what it is sent, and a page shows what it is given.
"""

import re
import unicodedata
from collections.abc import Iterator

_JOINERS = "\u200c\u200d\u00ad"
"""Invisible characters that scripts, emoji and hyphenation need, and that change nothing else."""


def for_terminal(text: str) -> str:
    r"""`text` with its control characters written out, ``\u001b`` for ESC; line feeds and tabs stay.

    So are the characters that turn the direction of writing or cannot be seen, and halves of characters, which cannot
    be printed. What stands for a character is also what JSON has for it: JSON stays the same JSON.
    """
    if text.replace("\n", "").isprintable():  # nearly always, and fast
        return text
    return "".join(_written_out(one) if _is_unsafe(one) else one for one in text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in f"\n\t{_JOINERS}"


def _written_out(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def for_markdown(value: object) -> str:
    """A text on one line that Markdown shows as it is: without HTML, links, emphasis, tables and lists."""
    line = re.sub(r"\s+", " ", for_terminal(str(value))).strip()
    escaped = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", line)
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("$", "&#36;")):
        escaped = escaped.replace(sign, entity)
    # At the beginning of a line, these begin a list, a heading or a rule.
    return re.sub(r"^(?:[-+=]+(?= |$)|\d+(?=[.)](?: |$)))", _not_a_list, escaped)


def _not_a_list(match: "re.Match[str]") -> str:
    return "".join(f"&#{ord(one)};" for one in match[0])


def as_code(value: object) -> str:
    """A text on one line as code within a line."""
    line = re.sub(r"\s+", " ", for_terminal(str(value))).strip()
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def code_block(value: str, language: str = "") -> str:
    """A code block whose fence is longer than any fence inside it."""
    fence = "`" * max(3, _longest_run(value) + 1)
    return f"{fence}{language}\n{for_terminal(value).rstrip()}\n{fence}"


def _longest_run(text: str) -> int:
    return max(_runs(text), default=0)


def _runs(text: str) -> Iterator[int]:
    return (len(run) for run in re.findall(r"`+", text))
