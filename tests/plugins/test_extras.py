"""The example package and the page about it: hpsearch finds its plugins, and studies that use them run."""

import configparser
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .conftest import EXAMPLE, ROOT, Run

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "add-your-own.md").read_text(encoding="utf-8")
NAMES = {
    "hpsearch.tuners": "climb",
    "hpsearch.pruners": "patience",
    "hpsearch.engines": "timed",
    "hpsearch.executors": "logged",
    "hpsearch.families": "residual",
    "hpsearch.sources": "extras:moons",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


ENTRY_POINTS, STUDY = blocks("toml")
*SNIPPETS, TESTS = blocks("python")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.partition("\n")[0])
def test_the_page_shows_the_packages_code(snippet: str) -> None:
    head, _, code = snippet.partition("\n")
    assert code in (EXAMPLE / "src" / head.removeprefix("# ")).read_text(encoding="utf-8")


def test_the_page_shows_the_packages_entry_points_one_of_each_kind() -> None:
    assert ENTRY_POINTS in (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    shown = tomllib.loads(ENTRY_POINTS)["project"]["entry-points"]
    assert {group: list(names) for group, names in shown.items()} == {group: [name] for group, name in NAMES.items()}


def test_pip_installs_the_entry_points_that_these_tests_install_by_hand(extras: Path, tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("pip")
    copy = tmp_path / "copy"
    shutil.copytree(EXAMPLE, copy)  # building writes into the source folder
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(tmp_path / "site"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    by_hand, by_pip = (configparser.ConfigParser(delimiters=("=",)) for _ in range(2))
    for parser, site in ((by_hand, extras), (by_pip, tmp_path / "site")):
        (path,) = site.glob("hpsearch_extras-*.dist-info/entry_points.txt")
        parser.read(path)
    assert by_hand == by_pip
    modules = {path.name for path in (tmp_path / "site" / "hpsearch_extras").glob("*.py")}
    assert modules == {path.name for path in (extras / "hpsearch_extras").glob("*.py")}


def test_doctor_shows_each_plugin_with_its_package(extras: Path, hpsearch: Run, tmp_path: Path) -> None:
    done = hpsearch("doctor", "--json", "--no-measure", folder=tmp_path, site=extras)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for group, name in NAMES.items():
        (one,) = [entry for entry in found[group] if entry["name"] == name]
        assert one["detail"] == "hpsearch-extras 0.1.0"
        assert one["health"] == ("skipped" if group == "hpsearch.engines" else "ok")
    assert "hpsearch-extras 0.1.0" in hpsearch("doctor", "--no-measure", folder=tmp_path, site=extras).stdout


def test_the_json_schema_and_the_catalogs_offer_the_names(extras: Path, hpsearch: Run, tmp_path: Path) -> None:
    schema = json.loads(hpsearch("schema", folder=tmp_path, site=extras).stdout)["$defs"]
    for section, key, name in (
        ("SearchSection", "tuner", "climb"),
        ("PruningSection", "method", "patience"),
        ("ResourcesSection", "engine", "timed"),
        ("ResourcesSection", "executor", "logged"),
    ):
        assert name in schema[section]["properties"][key]["enum"]
    assert "residual" in schema["ModelSection"]["properties"]["family"]["anyOf"][0]["enum"]
    assert "extras:moons" in schema["DataSection"]["properties"]["source"]["examples"]
    families = json.loads(hpsearch("models", "--json", folder=tmp_path, site=extras).stdout)
    assert "residual" in [row["family"] for row in families]
    assert "extras:moons" in hpsearch("data", folder=tmp_path, site=extras).stdout


@pytest.fixture(scope="module")
def studied(extras: Path, hpsearch: Run, tmp_path_factory) -> Path:
    """A folder in which the page's study was searched."""
    folder = tmp_path_factory.mktemp("studied")
    (folder / "moons.toml").write_text(STUDY)
    done = hpsearch("run", "moons.toml", folder=folder, site=extras)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_check_takes_a_study_of_plugins(extras: Path, hpsearch: Run, tmp_path: Path) -> None:
    (tmp_path / "moons.toml").write_text(STUDY + 'executor = "logged"\n')
    done = hpsearch("check", "moons.toml", "--json", folder=tmp_path, site=extras)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["plan"]["engine"] == "timed"
    assert found["data"]["rows"] + found["data"]["test_rows"] == 300
    assert {"blocks", "units", "dropout"} <= set(found["space"])


@pytest.mark.slow
def test_a_study_of_plugins_runs_to_its_end(extras: Path, hpsearch: Run, studied: Path) -> None:
    shown = json.loads(hpsearch("show", "moons", "--json", folder=studied, site=extras).stdout)
    rows = shown["leaderboard"]["rows"]
    assert 1 <= len(rows) <= 4
    assert any("took longest" in note for note in shown["notes"]), "the engine's notes reach the ledger"
    (row,) = json.loads(hpsearch("list", "--json", folder=studied, site=extras).stdout)
    assert (row["state"], row["trials"]) == ("finished", 4)
    assert (studied / "mlruns" / "studies" / "moons" / "champion.keras").exists()


@pytest.mark.slow
def test_a_study_can_be_looked_at_without_the_package_but_not_resumed(hpsearch: Run, studied: Path) -> None:
    assert "moons" in hpsearch("list", folder=studied, site=None).stdout
    shown = hpsearch("show", "moons", folder=studied, site=None)
    assert shown.returncode == 0, shown.stderr
    done = hpsearch("resume", "moons", "--trials", "5", folder=studied, site=None)
    assert done.returncode == 3, done.stderr
    assert "error[data.no-module]" in done.stderr, "the data are asked for first"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_pages_tests_pass(extras: Path, tmp_path: Path) -> None:
    (tmp_path / "test_extras.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_extras.py"]
    environment = {"PATH": "", "PYTHONPATH": f"{extras}:{ROOT}", "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
