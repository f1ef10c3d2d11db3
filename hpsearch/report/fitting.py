"""Tables that fit a terminal: columns are narrowed, then left out, by one rule, and never folded within a word."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult  # noqa: TID251 - a type only; none is made here
from rich.table import Table
from rich.text import Text

GAP = 2
"""Characters between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        heading: Its name.
        cells: One text per row.
        right: Whether the texts are flush right, as numbers are.
        place: When it is left out: columns with a large number first, of equal ones the last first. Columns with 0
            always stay.
    """

    heading: str
    cells: tuple[str, ...]
    right: bool = False
    place: int = 0

    def width(self, *, narrow: bool) -> int:
        """Characters that it takes; narrow: with its heading on several lines."""
        heading = _lines(self.heading) if narrow else [self.heading]
        return max(map(cell_len, (*heading, *self.cells)))


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table that knows how wide it may be only when it is printed.

    If it is too wide, its headings are set on several lines, broken at underscores. If that is not enough, columns are
    left out.

    Attributes:
        columns: See :class:`Column`.
        styles: Rich's style of each row.
        below: What stands below the table, by the names of the columns that were left out; empty for nothing.
    """

    columns: tuple[Column, ...]
    styles: tuple[str, ...]
    below: Callable[[Sequence[str]], str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by Rich."""
        narrow = _width(self.columns, narrow=False) > options.max_width
        kept = list(self.columns)
        while narrow and _width(kept, narrow=True) > options.max_width and any(one.place for one in kept):
            # `max` finds the first of equal ones.
            kept.remove(max(reversed(kept), key=lambda one: one.place))
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, GAP, 0, 0))
        for one in kept:
            heading = "\n".join(_lines(one.heading)) if narrow else one.heading
            table.add_column(Text(heading), justify="right" if one.right else "left", vertical="bottom", no_wrap=True)
        for row, style in enumerate(self.styles):
            table.add_row(*(Text(one.cells[row]) for one in kept), style=style)
        yield table
        if below := self.below([one.heading for one in self.columns if one not in kept]):
            yield Text(below, style="dim")


def _width(columns: Sequence[Column], *, narrow: bool) -> int:
    return sum(one.width(narrow=narrow) for one in columns) + GAP * (len(columns) - 1)


def _lines(heading: str) -> list[str]:
    """``learning_rate`` as ``learning_`` and ``rate``: lines as even as its words allow."""
    return list(_packed(re.findall(r"[^_]*_+|[^_]+", heading)))


def _packed(words: Sequence[str]) -> Iterator[str]:
    widest = max(map(len, words), default=0)
    line = ""
    for word in words:
        if line and len(line) + len(word) > widest:
            yield line
            line = ""
        line += word
    yield line
