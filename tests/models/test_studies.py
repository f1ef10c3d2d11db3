"""The study files: all are legal, and each holds the documented config in its space."""

from pathlib import Path

import pytest

from benchmarks.documented import STUDIES, documented_config, write_table
from hpsearch.spec import load_spec, make_space

FOLDER = Path(__file__).parent.parent.parent / "studies"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_file_holds_the_documented_config(path):
    spec, text = load_spec(path)
    assert spec.name == path.stem
    assert text.startswith("#")  # says what it is before it starts
    space = make_space(spec)
    assert space.contains(documented_config(spec.name))
    assert space.searched()


def test_table_of_results_shows_what_was_measured_and_what_was_not(tmp_path):
    measured = {
        "imdb": {"documented": {"test accuracy": 0.881, "seconds": 9.6}, "search": {}},
        "machine": "2 CPU cores",
    }
    measured["line"] = {"search": {"largest error": 0.2, "trials": 3, "engine": "fit", "seconds": 1.0}}
    write_table(measured, tmp_path / "results.md")
    rows = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("| `")]
    assert rows == [
        "| `line` | 11, 12, 13 within 1 % after tuning | – | – | largest error 0.2000 | 3 | fit | 1 | no |",
        "| `imdb` | test accuracy ≥ 0.87 | test accuracy 0.8810 | 10 | – | – | – | – | yes |",
    ]
    assert next(iter(STUDIES)) == "line"
