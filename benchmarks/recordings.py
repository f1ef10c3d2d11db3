"""Runs commands in a terminal of a given width and draws what it showed, as a picture or as a moving one."""

import fcntl
import html
import io
import itertools
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FEWEST_SECONDS = 0.3
"""A screen that lasted less is not kept."""
LONGEST_WAIT = 1.2
"""Seconds for which a moving picture shows one screen, however long the command took."""
LAST_SCREEN = 6.0
"""Seconds for which it shows the last one."""
TITLE = "The terminal of hpsearch"

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #16181d; }}
pre {{ display: inline-block; margin: 0; padding: 14px 18px; color: #d6d9df;
       font: 14px/1.32 "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
</style><pre>{}</pre>"""
_COLOURS = {
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d6d9df",
    "brightblack": "#7f8794",
}


@dataclass(frozen=True)
class Screen:
    """What a terminal showed from a moment on.

    Attributes:
        at: Seconds since the first command began.
        lines: HTML of its lines.
        text: The same as plain text.
    """

    at: float
    lines: tuple[str, ...]
    text: str


@dataclass
class Terminal:
    """A terminal in which commands run one after the other, in `folder`.

    Attributes:
        columns: Width in characters.
        rows: Height in lines.
    """

    folder: Path
    columns: int = 100
    rows: int = 28
    screens: list[Screen] = field(default_factory=list)

    def __post_init__(self) -> None:
        import pyte

        self._screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self._screen)
        self._began = time.monotonic()

    def run(self, command: Sequence[str], shown: str, **variables: str) -> None:
        """Run a command and keep the screens that it makes.

        Args:
            command: The program with its arguments.
            shown: What stands after the prompt.
            variables: Of its environment, beside this process's own.

        Raises:
            RuntimeError: The command ends with an error.
        """
        self._stream.feed(f"\x1b[0m$ {shown}\r\n".encode())
        self._keep()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLUMNS": str(self.columns),
            "LINES": str(self.rows),
        } | variables
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            close_fds=True,
        )
        os.close(theirs)
        kept = time.monotonic()
        try:
            while True:
                if select.select([ours], [], [], FEWEST_SECONDS)[0]:
                    try:
                        said = os.read(ours, 1 << 16)
                    except OSError:  # Linux tells the other end's close so
                        break
                    if not said:
                        break
                    self._show(said)
                if time.monotonic() - kept >= FEWEST_SECONDS:
                    kept = time.monotonic()
                    self._keep()
        finally:
            os.close(ours)
        if code := process.wait():
            raise RuntimeError(f"`{shown}` ended with {code}:\n" + "\n".join(self._screen.display))
        self._keep()

    def _show(self, said: bytes) -> None:
        """Long output page by page, as a reader scrolls."""
        lines = said.split(b"\n")
        for start in range(0, len(lines), self.rows // 2):
            page = lines[start : start + self.rows // 2]
            last = start + self.rows // 2 >= len(lines)
            self._stream.feed(b"\n".join(page) + (b"" if last else b"\n"))
            if not last:
                self._keep()
                self._began -= LONGEST_WAIT

    def _keep(self) -> None:
        text = "\n".join(line.rstrip() for line in self._screen.display)
        if not self.screens or self.screens[-1].text != text:
            lines = tuple(_line(self._screen.buffer[row], self.columns) for row in range(self.rows))
            self.screens.append(Screen(time.monotonic() - self._began, lines, text))


def _line(cells: Any, columns: int) -> str:
    """One line of the screen in HTML: neighbours of one style share a span."""
    parts: list[tuple[str, str]] = []
    for column in range(columns):
        cell = cells[column]
        style = _style(cell)
        if parts and parts[-1][0] == style:
            parts[-1] = (style, parts[-1][1] + cell.data)
        else:
            parts.append((style, cell.data))
    texts = [(style, html.escape(text)) for style, text in parts]
    return "".join(f'<span style="{style}">{text}</span>' if style else text for style, text in texts)


def _style(cell: Any) -> str:
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 and cell.fg != "default" else "")
    return (f"color:{colour};" if colour else "") + ("font-weight:bold;" if cell.bold else "")


def picture(browser: "Browser", screen: Screen, *, blank_end: bool = False) -> bytes:
    """A screen as PNG.

    Args:
        browser: Draws it.
        screen: What is drawn.
        blank_end: Keep the empty lines at its end, so that all pictures of a terminal are equally high.
    """
    lines = list(screen.lines)
    while not blank_end and lines and not lines[-1].strip():
        lines.pop()
    page = browser.new_page(device_scale_factor=1)
    page.set_content(_PAGE.format("\n".join(lines)))
    taken = page.locator("pre").screenshot()
    page.close()
    return taken


def moving(browser: "Browser", screens: Sequence[Screen], *, most: int = 60) -> bytes:
    """Screens as a GIF that shows long waits shortened, at most `most` of them."""
    from PIL import Image

    step = max(1, -(-len(screens) // most))
    chosen = [*screens[:-1:step], screens[-1]]
    images = [
        Image.open(io.BytesIO(picture(browser, one, blank_end=True))).convert(
            "P", palette=Image.Palette.ADAPTIVE, colors=32
        )
        for one in chosen
    ]
    waits = [min(after.at - one.at, LONGEST_WAIT) for one, after in itertools.pairwise(chosen)] + [LAST_SCREEN]
    found = io.BytesIO()
    images[0].save(
        found,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=[round(1000 * wait) for wait in waits],
        loop=0,
        optimize=True,
    )
    return found.getvalue()
