"""The console that tables and the live view are printed on. What is said there cannot move its cursor or colour it.

Nothing else in the package makes a console of Rich; plain lines go through :mod:`hpsearch.cli.printing`.
"""

import os
from collections.abc import Iterable
from typing import Any

from rich.console import (
    Console,  # noqa: TID251 - this is the place for it
    ConsoleOptions,
    RenderableType,
)
from rich.segment import Segment

from hpsearch.core.safe_text import for_terminal

WIDTH_OF_FILES = 200
"""Pipes and files have no width at which to fold a table."""


class SafeConsole(Console):
    """A console of Rich whose text is safe, whoever has written it. Rich's own colours and movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for one in super().render(renderable, options):
            yield one if one.control else Segment(for_terminal(one.text), one.style)


def make_console(**settings: Any) -> SafeConsole:
    """A console for standard output; wide where that is not a terminal.

    Args:
        settings: As of :class:`rich.console.Console`.
    """
    console = SafeConsole(highlight=False, **settings)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console = SafeConsole(highlight=False, width=WIDTH_OF_FILES, **settings)
    return console
