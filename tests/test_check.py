"""What ``hpsearch check`` says of the data beside what the workers found. (The command itself: tests/test_cli.py.)"""

import json
from pathlib import Path

import pytest

from hpsearch.cli.check import render
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.testing.factories import make_record

STUDY = """
name = "cars"
[data]
source = "{source}"
target = "mpg"
[model]
{model}
[objective]
metric = "val_mae"
direction = "minimize"
"""
ROWS = "mpg,horsepower,weight,origin\n" + "".join(f"{i}.5,{i if i % 4 else ''},{i},{'ab'[i % 2]}\n" for i in range(24))


def said(spec: StudySpec, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    facts = {"backend": "jax", "device": "cpu", "versions": {}, **make_record().facts}
    facts["data"] = {**facts["data"], "columns": [{"name": "horsepower", "kind": "number"}]}
    render(spec, make_record().space, facts, as_json=as_json)
    return " ".join(capsys.readouterr().out.split())


def test_gaps_that_a_build_function_must_fill_are_counted(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    own = parse_spec(STUDY.format(source="cars.csv", model='build = "my_models:build"'), folder=tmp_path)
    assert "empty cells in number columns: horsepower 6. my_models:build gets them as NaN" in said(own, capsys)
    assert json.loads(said(own, capsys, as_json=True))["gaps"] == {"horsepower": 6}
    family = parse_spec(STUDY.format(source="cars.csv", model='family = "mlp"'), folder=tmp_path)
    assert "empty cells" not in said(family, capsys)


def test_a_source_that_prints_does_not_spoil_the_json(tmp_path: Path, capsys) -> None:
    (tmp_path / "chatty_source.py").write_text(
        "import io\nimport pandas as pd\n"
        f"def load():\n    print('loading')\n    return pd.read_csv(io.StringIO({ROWS!r}))\n"
    )
    own = parse_spec(STUDY.format(source="chatty_source:load", model='build = "my_models:build"'), folder=tmp_path)
    assert json.loads(said(own, capsys, as_json=True))["gaps"] == {"horsepower": 6}


def test_the_method_that_a_column_asks_for_is_shown(capsys) -> None:
    spec = parse_spec(STUDY.format(source='cars.csv"\ngroup = "maker', model='family = "mlp"'))
    assert "validation rows), group" in said(spec, capsys)
