"""The documented studies: their files, their rows in the README, and the table of results."""

import re
from pathlib import Path

import pytest

from benchmarks.documented import STUDIES, documented_config, write_table
from hpsearch.spec import load_spec, make_space

ROOT = Path(__file__).parent.parent.parent
STUDY_FILES = sorted((ROOT / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.stem)
def test_every_study_file_can_reach_the_documented_config(path):
    spec, _ = load_spec(path)
    assert spec.name == path.stem
    space = make_space(spec)
    assert space.contains(documented_config(spec.name))
    assert space.searched()


def test_every_study_has_a_file_and_a_row_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = readme.partition("<!-- studies -->")[2].partition("<!-- /studies -->")[0]
    shown = re.findall(r"^\| \[`([\w-]+)`\]\(studies/\1\.toml\) \|.*\| ([^|]+) \|$", rows, re.MULTILINE)
    assert shown == [(name, study.reference) for name, study in STUDIES.items()]
    assert sorted(STUDIES) == [path.stem for path in STUDY_FILES]


def test_the_table_shows_measured_figures_and_dashes_for_missing_ones(tmp_path):
    measured = {
        "imdb": {"documented": {"test accuracy": 0.881, "seconds": 9.6}, "search": {}},
        "machine": "2 CPU cores",
    }
    measured["line"] = {"search": {"largest error": 0.2, "trials": 3, "engine": "fit", "seconds": 1.0}}
    write_table(measured, tmp_path / "results.md")
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("| `")]
    assert rows == [
        "| `line` | predicts 11, 12, 13 within 1 % after tuning | – | – | largest error 0.2000 | 3 | fit | 1 | no |",
        "| `imdb` | test accuracy ≥ 0.87 | test accuracy 0.8810 | 10 | – | – | – | – | yes |",
    ]
