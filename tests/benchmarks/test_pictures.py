"""The recording of a terminal in the README: how it is shortened and where it is put."""

import pytest

from benchmarks.pictures import COLUMNS, put, shorten


def test_a_recording_keeps_few_trials_and_fits_the_width():
    lines = [f"[{number}/9] ✓ t{number:03d} 0.9  " + "x" * 200 for number in range(1, 10)]
    shown = shorten("\n".join(["begin", *lines, "word " * 40, "end  "])).splitlines()
    cut = [line[: COLUMNS - 1] + "…" for line in lines]
    prose = ["word " * 23 + "word", "word " * 15 + "word"]
    assert shown == ["begin", cut[0], cut[1], "…", cut[8], *prose, "end"]


def test_a_recording_replaces_only_what_stands_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- recording -->\nold\n<!-- /recording -->\nafter\n")
    put(page, "recording", ["new", "lines"])
    assert page.read_text() == "before\n<!-- recording -->\nnew\nlines\n<!-- /recording -->\nafter\n"
    with pytest.raises(ValueError, match=r"page\.md has no <!-- studies -->"):
        put(page, "studies", ["new"])
