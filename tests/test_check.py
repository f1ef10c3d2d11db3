"""Output of ``hpsearch check``. (The command itself: tests/test_commands.py.)"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.analysis import provenance_info
from hpsearch.cli.check import render
from hpsearch.cli.show import render_study
from hpsearch.core.facts import Column, StudyFacts
from hpsearch.core.space import Choice, Space
from hpsearch.core.transfer import Transferred
from hpsearch.search.forecast import Forecast
from hpsearch.search.preparation import PreparedStudy
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.study import Study
from hpsearch.testing.factories import make_record
from hpsearch.testing.searched import make_searched
from hpsearch.testing.synthetic import SyntheticExecutor

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


COST = Forecast(10, 10, 44.9, 3.0, 700 << 20, "an estimate: …", {"units": Choice((32, 128, 512))}, 3)


def shown(spec: StudySpec, facts: StudyFacts, *, as_json: bool, space: Space | None = None) -> None:
    space = make_record().space if space is None else space
    render(PreparedStudy(SyntheticExecutor.__new__(SyntheticExecutor), spec, space, facts), COST, as_json=as_json)


def output(spec: StudySpec, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    facts = make_record().facts
    facts = replace(facts, data=replace(facts.data, columns=(Column("horsepower", "number"),)))
    shown(spec, facts, as_json=as_json)
    return " ".join(capsys.readouterr().out.split())


def test_gaps_that_a_build_function_must_fill_are_counted(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    own = parse_spec(STUDY.format(source="cars.csv", model='build = "my_models:build"'), folder=tmp_path)
    assert "empty cells in number columns: horsepower 6. my_models:build receives them as NaN" in output(own, capsys)
    assert json.loads(output(own, capsys, as_json=True))["gaps"] == {"horsepower": 6}
    family = parse_spec(STUDY.format(source="cars.csv", model='family = "mlp"'), folder=tmp_path)
    assert "empty cells" not in output(family, capsys)


def test_a_source_that_prints_does_not_spoil_the_json(tmp_path: Path, capsys) -> None:
    (tmp_path / "chatty_source.py").write_text(
        "import io\nimport pandas as pd\n"
        f"def load():\n    print('loading')\n    return pd.read_csv(io.StringIO({ROWS!r}))\n"
    )
    own = parse_spec(STUDY.format(source="chatty_source:load", model='build = "my_models:build"'), folder=tmp_path)
    assert json.loads(output(own, capsys, as_json=True))["gaps"] == {"horsepower": 6}


def test_the_method_that_a_column_asks_for_is_shown(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    spec = parse_spec(STUDY.format(source='cars.csv"\ngroup = "origin', model='family = "mlp"'), folder=tmp_path)
    assert "validation rows), group" in output(spec, capsys)


def test_the_first_rows_are_shown_as_they_are_read(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    family = parse_spec(STUDY.format(source="cars.csv", model='family = "mlp"'), folder=tmp_path)
    told = output(family, capsys)
    assert "horsepower │ number │ (empty) │ 1 │ 2 │" in told
    assert "origin │ category │ a │ b │ a │" in told


def test_classes_are_counted_by_name(capsys) -> None:
    facts = make_record().facts
    facts = replace(facts, data=replace(facts.data, classes=("cat", "cat "), class_counts=(30, 1_234)))
    shown(parse_spec(STUDY.format(source="x.npz", model='family = "mlp"')), facts, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "│ cat │ 30 │ │ 'cat ' │ 1,234 │" in text


def test_the_keys_of_the_json_stay(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    spec = parse_spec(STUDY.format(source="cars.csv", model='family = "mlp"'), folder=tmp_path)
    printed = json.loads(output(spec, capsys, as_json=True))
    facts = make_record().facts
    assert list(printed) == [
        *("study", "space", "space_size", "grid_size", "gaps", "data", "baseline"),
        *("undefined", "plan", "backend", "device", "versions", "from", "cost", "warnings"),
    ]
    assert printed["cost"] == {
        "trials": 10,
        "programs": 10,
        "compile_seconds": 44.9,
        "train_seconds": 3.0,
        "memory_bytes": 700 << 20,
        "basis": "an estimate: …",
        "instead": {"units": "[32, 128, 512]"},
        "programs_then": 3,
    }
    told = output(spec, capsys)
    assert "programs about 10 to compile for 10 trials time about 45 s to compile, 3 s to train" in told
    assert "memory 700 MB in the worker an estimate: …" in told
    assert printed["data"] == {
        "source": facts.data.source,
        "rows": 1438,
        "test_rows": 359,
        "fingerprint": facts.data.fingerprint,
        "task": "multiclass",
        "classes": [str(digit) for digit in range(10)],
        "class_counts": {},
        "columns": [{"name": "horsepower", "kind": "number"}],
        "input": [8, 8],
        "folds": [[1150, 288]] * 5,
        "extra": {},
        "warnings": [],
        "equal_rows": None,
    }
    assert printed["plan"] == {
        "engine": facts.plan.engine,
        "reason": facts.plan.reason,
        "lifted": [],
        "trials_per_bundle": facts.plan.trials_per_bundle,
        "startup": facts.schedule.startup,
        "batch": facts.schedule.batch,
        "lag": facts.schedule.lag,
        "backend": facts.backend,
    }
    assert printed["backend"] == facts.machine.backend
    assert printed["device"] == facts.machine.device
    assert printed["versions"] == facts.machine.versions


TAKEN = Transferred(
    "trucks",
    "val_mae",
    "minimize",
    12,
    configs=({"units": 64},),
    dropped=("layers",),
    opened=("units",),
    moved=("units 90 to 64",),
)


def test_what_another_study_gives_is_shown(tmp_path: Path, capsys) -> None:
    (tmp_path / "cars.csv").write_text(ROWS)
    spec = parse_spec(
        STUDY.format(source="cars.csv", model='family = "mlp"') + '[search]\nfrom = "trucks"\n', folder=tmp_path
    )
    record = make_record()
    facts = replace(record.facts, taken=TAKEN)
    shown(spec, facts, as_json=False)
    text = (
        "study trucks, 12 complete trials by val_mae: its best config is trained first; not searched here: layers; not "
        "searched there: units; moved: units 90 to 64"
    )
    assert f"from {text}" in " ".join(capsys.readouterr().out.split())
    shown(spec, facts, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["study"]["search"]["from"], told["from"]["configs"]) == ("trucks", [{"units": 64}])
    record = replace(make_searched(12), facts=replace(make_searched(12).facts, taken=TAKEN))
    study = Study(record, f"sqlite:///{tmp_path}/ledger.db")
    render_study(study, top=3, as_json=False)
    assert f"from {text}" in " ".join(capsys.readouterr().out.split())
    render_study(study, top=3, as_json=True)
    assert json.loads(capsys.readouterr().out)["from"] == told["from"]
    assert provenance_info(record).search["from"] == text
    assert provenance_info(make_searched(12)).search.get("from") is None
