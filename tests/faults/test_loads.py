"""Some hundred files of ``python -m tests.faults.loads``, and the worst of its lines at their worst sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .loads import judge_data, judge_study
from .loads_data import DataFile, data_files
from .loads_studies import BOMBS, TEXTS, study_files

quick = settings(
    max_examples=150, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@quick
@given(study_files())
def test_a_study_file_is_valid_or_refused(tmp_path: Path, data: bytes) -> None:
    found = judge_study(tmp_path, data)
    assert not found.fault, found


@quick
@given(data_files)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_data_file_is_valid_or_refused(tmp_path: Path, file: DataFile) -> None:
    found = judge_data(tmp_path, file)
    assert not found.fault, found


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("size", [3_000, 300_000])
def test_no_line_costs_more_than_its_length(tmp_path: Path, bomb: Callable[[int], str], size: int) -> None:
    for text in (f"{bomb(size)}\n{TEXTS[0]}", f"{TEXTS[0]}\n{bomb(size)}", bomb(size)):
        found = judge_study(tmp_path, text.encode())
        assert not found.fault, found


def test_the_strategies_make_valid_files_too(tmp_path: Path) -> None:
    """Mutations that break everything at once would never get beyond the first check."""
    codes: list[str] = []

    @settings(quick, max_examples=100)
    @given(st.one_of(study_files(), data_files))
    def collect(case: bytes | DataFile) -> None:
        judged = judge_data(tmp_path, case) if isinstance(case, DataFile) else judge_study(tmp_path, case)
        codes.append(judged.code)

    collect()
    assert codes.count("valid") >= 5
    assert len(set(codes)) >= 8
