"""A few faults of each sort; ``make faults`` does hundreds."""

from pathlib import Path

import pytest

from tests.faults import __main__ as faults
from tests.faults import kinds
from tests.faults.__main__ import Bed, main, run
from tests.faults.outcome import Outcome, differences

COUNTS = {
    "kill -9": 2,
    "kill -9 while the databases are made": 1,
    "SIGINT": 1,
    "two drivers at once": 1,
    "disk full": 1,
}


@pytest.mark.slow
def test_hurt_studies_end_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = list(run(COUNTS, tmp_path / "faults", workers=1))
    assert len(found) == sum(COUNTS.values())
    assert [one for one in found if not one.is_good] == []


def test_what_is_lost_doubled_or_otherwise_is_told() -> None:
    trial = ("complete", {"units": 8}, 0.5, 3, {0: {"loss": (0.5, 0.25)}}, "")
    runs = {"study": ("FINISHED", {}, {"score at 1": 0.5}), "0": ("FINISHED", {}, {"loss at 1": 0.5})}
    whole = Outcome({0: trial, 1: trial}, None, runs, None, ())
    assert differences(whole, whole) == []
    hurt = Outcome(
        {0: (*trial[:4], {0: {"loss": (0.5, 0.26)}}, ""), 2: trial},
        None,
        {**runs, "0": ("RUNNING", {}, {})},
        None,
        ("two runs of 0",),
    )
    assert differences(hurt, whole) == [
        "two runs of 0",
        "trials: 1 is lost",
        "trials: 2 is too many",
        "trials: 0 differs: 0: loss: 0.26 != 0.25",
        "runs: 0 differs: \"RUNNING\" != \"FINISHED\"",
    ]  # fmt: skip


def test_real_numbers_may_differ_by_the_tolerance_and_no_more() -> None:
    whole = Outcome({0: (0.5, float("nan"))}, None, {}, None, ())
    near = Outcome({0: (0.5 + 4e-6, float("nan"))}, None, {}, None, ())
    assert differences(near, whole, 1e-5) == []
    assert differences(near, whole) == ["trials: 0 differs: 0.500004 != 0.5"]


def _refused(_: kinds.Try) -> int:
    return 5


def test_a_study_that_is_not_as_the_undisturbed_one_ends_the_command_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(one: kinds.Try) -> None:
        (one.folder.parent / f"{one.folder.name}.log").write_text("error: it is gone")

    bed = Bed(tmp_path, Outcome({}, None, {}, None, ()), 0.0, 0.0, start=_refused)
    monkeypatch.setattr(faults, "_make_template", lambda _: None)
    monkeypatch.setattr(faults, "_synthetic_bed", lambda *_: bed)
    monkeypatch.setenv("XDG_STATE_HOME", "")  # put back at the end
    monkeypatch.setitem(kinds.KINDS, "two drivers at once", (say, 1))
    page = tmp_path / "page.md"
    page.write_text("<!-- faults -->\n<!-- /faults -->\n")
    assert main(["--only", "two drivers at once", "--workers", "1", "--write", str(page)]) == 1
    assert "| two drivers at once | 1 | no resume: 1 |" in page.read_text()
    said = capsys.readouterr().out
    assert "--- two drivers at once: no resume\nerror: it is gone" in said
    assert "1 faults in 0 minutes; 1 studies were not as the undisturbed one." in said
