"""Recordings of a terminal: what they keep, how they are shortened and where they are put."""

import sys

import pytest

from benchmarks.pictures import put, shorten
from benchmarks.recordings import Terminal


def test_a_recording_keeps_few_trials():
    lines = [f"✓ t{number:03d} 0.9  units=32" for number in range(1, 10)]
    shown = shorten("\n".join(["begin", *lines, "end  "])).splitlines()
    assert shown == ["begin", lines[0], lines[1], "…", lines[8], "end"]


def test_a_terminal_keeps_what_a_command_shows_as_it_goes_and_at_the_end(tmp_path):
    terminal = Terminal(tmp_path, columns=40, rows=6)
    program = (
        "import time; print('\\x1b[32mgreen\\x1b[0m <b>'); time.sleep(0.8); print('\\x1b[A\\x1b[2Klater', 7 * 'x' * 9)"
    )
    terminal.run([sys.executable, "-c", program], "python it.py")
    first, *_, last = terminal.screens
    assert first.text.splitlines()[0] == "$ python it.py"
    assert any("green <b>" in one.text for one in terminal.screens)
    assert any('color:#98c379;">green</span> &lt;b&gt;' in "".join(one.lines) for one in terminal.screens)
    assert last.text.splitlines()[1:3] == ["later " + "x" * 34, "x" * 29]
    with pytest.raises(RuntimeError, match=r"`python no.py` ended with 2"):
        terminal.run([sys.executable, "no.py"], "python no.py")


def test_long_output_is_shown_page_by_page(tmp_path):
    terminal = Terminal(tmp_path, columns=20, rows=8)
    terminal.run([sys.executable, "-c", "print('\\n'.join(map(str, range(30))))"], "count")
    seen = {line for one in terminal.screens for line in one.text.splitlines()}
    assert {str(number) for number in range(30)} <= seen


def test_a_recording_replaces_only_what_stands_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- recording -->\nold\n<!-- /recording -->\nafter\n")
    put(page, "recording", ["new", "lines"])
    assert page.read_text() == "before\n<!-- recording -->\nnew\nlines\n<!-- /recording -->\nafter\n"
    with pytest.raises(ValueError, match=r"page\.md has no <!-- studies -->"):
        put(page, "studies", ["new"])
