"""The benchmark of scale, on small numbers: what it measures is there, and the page is written from it."""

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale_study import Case, create, drive


def test_slots_that_wait_for_nothing_are_busy(tmp_path: Path):
    case = Case("random", 12, folds=2, epochs=2, slots=4, seconds=0.2)
    create(tmp_path, case)
    found = drive(tmp_path, case, every=4)
    assert 0.3 < found.busy <= 1.0
    assert [one.trials for one in found.readings] == [0, 4, 8, 12]
    assert found.per_second(caught_up=False) > 0


def test_a_long_study_is_measured_at_its_beginning_and_at_its_end(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = scale._long(tmp_path, Case("random", 20, folds=1, epochs=2), 5)
    assert found["first"] > 0
    assert found["last"] > 0
    assert [at for at, _ in found["curve"]] == [5, 10, 15, 20]


def test_a_suggestion_of_the_default_algorithm_is_measured():
    assert list(scale._suggestions((12, 20))) == ["12", "20"]


def test_the_page_says_what_was_promised_and_what_was_measured(tmp_path: Path):
    found = {
        "busy tpe with MLflow": {"busy": 0.973},
        "rate 5 x 20 with MLflow": {"per second": 36.4, "cpu": 0.026},
        "long random": {
            "first": 0.005,
            "last": 0.006,
            "peak": 345.0,
            "folds": 5,
            "epochs": 20,
            "curve": [(100, 5.0), (200, 6.0)],
        },
        "tracked 1 x 3": {"peak": 321.0, "per second": 60.0},
        "suggestions": {"300": 0.1, "9900": 0.103, "commit": "abc"},
        "open": {"hpsearch show": {"wall": 6.5, "cpu": 6.0}, "commit": "abc"},
    }
    page = "\n".join(scale.table(found))
    for text in (
        "97.3%",
        "| ≥ 30 | 36 (26.0 ms of CPU each)",
        "1.20 (5.0 → 6.0 ms)",
        "345 MB",
        "321 MB",
        "6.5 s",
        "103 ms after 9,900",
    ):
        assert text in page
    assert "abc" not in page
    scale.plot(found, tmp_path / "scale.svg")
    assert "<svg" in (tmp_path / "scale.svg").read_text()


def test_cases_can_be_sent_to_a_process_of_their_own():
    assert scale.alone(asdict, Case("tpe"))["algorithm"] == "tpe"


@pytest.mark.parametrize("name", scale.PARTS)
def test_every_part_has_a_line_for_its_help(name):
    assert scale.PARTS[name].__doc__
