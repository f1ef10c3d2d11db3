"""All mistakes of a study file come in one round: text, space, data, columns and build function together."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hpsearch
from hpsearch.cli.main import app
from hpsearch.errors import HpsearchError
from hpsearch.search.mistakes import every_mistake
from hpsearch.spec import load_spec
from hpsearch.study import prepare

IF_99 = "[]\nmomentum = { low = 0.1, high = 0.2, when = { units = [99] } }"

GOOD = """
name = "rows"
[data]
source = "rows.csv"
target = "churn"
ignore = ["id", "note"]
[validation]
folds = 3
[model]
family = "mlp"
[space]
units = [8, 16]
[objective]
metric = "val_accuracy"
direction = "maximize"
[resources]
executor = "inline"
"""

Found = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch) -> Found:
    """Key and code of each mistake that `hpsearch check` finds in a changed study file."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"c{i},text {i},2024-01-{i % 28 + 1:02},{i % 7},{'yn'[i % 2]}\n" for i in range(60))
    (tmp_path / "rows.csv").write_text(f"id,note,day,size,churn\n{rows}")

    def of(*changes: tuple[str, str]) -> list[tuple[str, str]]:
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "rows.toml").write_text(text)
        with pytest.raises(HpsearchError) as caught, every_mistake():
            prepare(load_spec("rows.toml")[0])
        problems = caught.value.values.get("problems")
        if not isinstance(problems, tuple):
            return [("", caught.value.code)]
        assert str(caught.value).count("\n  - ") == len(problems)
        assert "draft" not in caught.value.values
        return [(one.key, one.code) for one in problems]

    return of


def test_text_space_and_data_come_together(found: Found) -> None:
    assert found(
        ('name = "rows"', 'name = "rows"\nsead = 3'),
        ("units = [8, 16]", "units = { low = 9, high = 3 }\nepochs = 0\ndroput = 0.1"),
        ('"note"]', '"note", "dya"]'),
        ('target = "churn"', 'target = "chrun"'),
        ('"maximize"', '"up"'),
    ) == [
        ("objective.direction", "not-one-of"),
        ("sead", "unknown-key"),
        ("space.units", "bad-range"),
        ("space.droput", "unknown-hyperparameter"),
        ("space.epochs", "illegal-value"),
        ("data.target", "data.unknown-column"),
        ("data.ignore", "data.unknown-column"),
    ]


def test_all_columns_that_no_model_can_take_come_together(found: Found) -> None:
    assert found(('ignore = ["id", "note"]', "")) == [
        ("data.source", "data.free-text"),
        ("data.source", "data.free-text"),
        ("data.source", "data.date-column"),
    ]
    assert found(('"note"]', '"note", "day"]'), ("folds = 3", "folds = 40")) == [("", "data.rare-class")]
    assert found(
        ('"note"]', '"note", "day"]'), ("units = [8, 16]", "units = [8, 16]\nlayers = -1"), ("folds = 3", "folds = 40")
    ) == [
        ("space.layers", "illegal-value"),
        ("validation.folds", "data.rare-class"),
    ]


def test_tries_are_checked_beside_the_data(found: Found) -> None:
    try_it = "[[search.try]]\nunits = 9\n[resources]"
    assert found(("[resources]", try_it), ("rows.csv", "row.csv")) == [
        ("data.source", "data.no-file"),
        ("search.try.0.units", "study-file.outside-space"),
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        # Without roles, nothing can be said about cells: `note` is free text only if it is no target.
        ([('ignore = ["id", "note"]', 'ignore = "id"')], [("data.ignore", "wrong-type")]),
        ([('target = "churn"', "target = 3")], [("data.target", "wrong-type")]),
        ([('source = "rows.csv"', "")], [("data.source", "missing")]),
        ([('family = "mlp"', 'family = "mpl"'), ("units", "anything")], [("model.family", "not-one-of")]),
        ([("[8, 16]", IF_99), ("folds = 3", 'folds = "x"')],
         [("validation.folds", "wrong-type"), ("space.units", "empty-choice")]),
    ],
)  # fmt: skip
def test_what_follows_from_another_mistake_is_not_said(found: Found, changes, wanted) -> None:
    ignored = ('"note"]', '"note", "day"]')
    extra = [ignored] if not any("note" in old for old, _ in changes) else []
    assert found(*extra, *changes) == wanted


@pytest.mark.slow
def test_a_build_function_is_looked_for_whatever_the_data_are(found: Found) -> None:
    own = ('family = "mlp"', 'build = "no_such_module:build"')
    no_module = ("model.build", "model.no-module")
    assert found(own, ("rows.csv", "row.csv")) == [("data.source", "data.no-file"), no_module]
    assert found(own, ('target = "churn"', 'target = "chrun"\ngruop = "id"')) == [
        ("data.gruop", "unknown-key"),
        ("data.target", "data.unknown-column"),
        no_module,
    ]


def test_the_same_mistakes_come_as_json_and_from_python(found: Found, tmp_path: Path) -> None:
    keys = [key for key, _ in found(("folds = 3", "folds = 1"), ('target = "churn"', 'target = "chrun"'))]
    assert keys == ["validation.folds", "data.target"]
    done = CliRunner().invoke(app, ["check", "rows.toml", "--json"])
    told = json.loads(done.stdout)
    assert (told["error"], told["exit_code"]) == ("study-file.broken-rules", 2)
    assert [one["key"] for one in told["problems"]] == keys
    assert told["problems"][1]["closest"] == "churn"
    with pytest.raises(HpsearchError) as caught:
        hpsearch.run("rows.toml", verbose=0)
    assert [one.key for one in caught.value.values["problems"]] == keys
    assert not list(tmp_path.rglob("*.db"))
