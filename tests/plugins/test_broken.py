"""A package that is broken says so, and stops nothing that does not use it."""

import json
from pathlib import Path

import pytest

from .conftest import Run, install

POINTS = {
    "hpsearch.tuners": {"gone": "broken_plugin.no_such_module:Tuners"},
    "hpsearch.pruners": {"raises": "broken_plugin.raising:Pruner", "median": "broken_plugin.fine:PATH"},
    "hpsearch.executors": {"other": "pathlib:Path"},
    "hpsearch.families": {"alien": "pathlib:Path"},
    "hpsearch.sources": {"broken:rows": "broken_plugin.raising:SOURCE"},
}
STUDY = """
name = "s"
data = { source = "sklearn:iris" }
model = { family = "mlp" }
objective = { metric = "val_accuracy", direction = "maximize" }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("broken")
    install(target, "broken-plugin", "2.0", POINTS)
    package = target / "broken_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "raising.py").write_text("raise RuntimeError('needs libfoo')\n")
    return target


def test_doctor_says_what_is_broken_and_why(hpsearch: Run, site: Path, tmp_path: Path) -> None:
    done = hpsearch("doctor", "--json", "--no-measure", folder=tmp_path, site=site)
    assert done.returncode == 2, done.stderr
    found = {(group, one["name"]): one for group, section in json.loads(done.stdout).items() for one in section}
    for group, name in (
        ("hpsearch.tuners", "gone"),
        ("hpsearch.pruners", "raises"),
        ("hpsearch.executors", "other"),
        ("hpsearch.families", "alien"),
        ("hpsearch.sources", "broken:rows"),
    ):
        one = found[group, name]
        assert (one["health"], one["detail"]) == ("broken", "broken-plugin 2.0")
        assert one["code"] == "study-file.broken-plugin"
    assert "RuntimeError: needs libfoo" in found["hpsearch.pruners", "raises"]["reason"]
    assert "hpsearch.executors.base.Executor" in found["hpsearch.executors", "other"]["reason"]
    healthy = [one for one in found.values() if one["detail"] == "hpsearch"]
    assert {one["health"] for one in healthy} <= {"ok", "skipped"}


def test_doctor_shows_a_plugin_whose_name_is_built_in(hpsearch: Run, site: Path, tmp_path: Path) -> None:
    done = hpsearch("doctor", "--json", "--no-measure", folder=tmp_path, site=site)
    medians = [one for one in json.loads(done.stdout)["hpsearch.pruners"] if one["name"] == "median"]
    assert [(one["health"], one["detail"]) for one in medians] == [("ok", "hpsearch"), ("hidden", "broken-plugin 2.0")]


@pytest.mark.parametrize(
    "change",
    [
        'search = { tuner = "gone" }',
        'pruning = { method = "raises" }',
        'resources = { executor = "other" }',
        'model = { family = "alien" }',
    ],
)
@pytest.mark.slow
def test_a_study_that_uses_it_is_refused(hpsearch: Run, site: Path, tmp_path: Path, change: str) -> None:
    key = change.partition(" ")[0]
    kept = [line for line in STUDY.splitlines() if not line.startswith(f"{key} ")]
    (tmp_path / "s.toml").write_text("\n".join([*kept, change]))
    done = hpsearch("run", "s.toml", folder=tmp_path, site=site)
    assert done.returncode == 2, done.stderr
    assert "error[study-file.broken-plugin]" in done.stderr
    assert "broken-plugin 2.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.db")), "nothing is written before all is checked"


@pytest.mark.slow
def test_a_source_that_is_broken_is_refused_by_check(hpsearch: Run, site: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY.replace("sklearn:iris", "broken:rows"))
    done = hpsearch("check", "s.toml", folder=tmp_path, site=site)
    assert done.returncode == 2, done.stderr
    assert "error[study-file.broken-plugin]" in done.stderr


def test_other_commands_go_on(hpsearch: Run, site: Path, tmp_path: Path) -> None:
    models = hpsearch("models", "--json", folder=tmp_path, site=site)
    assert models.returncode == 0
    families = {row["family"] for row in json.loads(models.stdout)}
    assert "mlp" in families
    assert "alien" not in families
    assert "left out: model family 'alien' of broken-plugin 2.0" in models.stderr
    data = hpsearch("data", folder=tmp_path, site=site)
    assert data.returncode == 0
    assert "sklearn:digits" in data.stdout
    assert "left out: data source 'broken:rows'" in data.stderr
    assert hpsearch("schema", folder=tmp_path, site=site).returncode == 0
    assert hpsearch("init", "mine.toml", folder=tmp_path, site=site).returncode == 0
