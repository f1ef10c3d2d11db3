"""A workspace that was moved, copied or renamed: its ledger leads to what lies beside it now."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.core.addresses import sqlite_address, sqlite_path
from hpsearch.core.trial import Champion
from hpsearch.ledger import Ledger
from hpsearch.ledger.places import tracking_here
from hpsearch.spec import TrackingSection
from hpsearch.testing.synthetic import make_record, make_spec


def make_workspace(folder: Path) -> str:
    """A workspace with a study file, and a study in its ledger; returns the ledger's address."""
    (folder / "mlruns").mkdir(parents=True, exist_ok=True)
    uri = sqlite_address(folder / "mlruns" / "ledger.db")
    ledger = Ledger(uri, create=True)
    spec = make_spec("sqlite:///mlruns/ledger.db").model_copy(update={"folder": str(folder)})
    ledger.create(replace(make_record(spec), spec=spec))
    files = folder / "mlruns" / "studies" / "synthetic"
    champion = Champion(
        0, {}, 1, {}, {}, str(files / "champion.keras"), "sha", 1, 1, 0.1, mlflow_model=str(files / "mlflow_model")
    )
    ledger.set_champion("synthetic", champion)
    return uri


def test_a_copy_leads_to_its_own_files_and_a_study_elsewhere_stays_there(tmp_path: Path) -> None:
    uri = make_workspace(tmp_path / "A")
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    for folder in ("A", "B"):
        record = Ledger(uri.replace("/A/", f"/{folder}/")).load("synthetic")
        assert record.spec.folder == str(tmp_path / folder)
        assert record.champion is not None
        assert record.champion.path == str(tmp_path / folder / "mlruns/studies/synthetic/champion.keras")
        assert record.champion.mlflow_model == str(tmp_path / folder / "mlruns/studies/synthetic/mlflow_model")
    # Only the record was moved: the study file is where it was.
    (tmp_path / "C").mkdir()
    shutil.copytree(tmp_path / "A" / "mlruns", tmp_path / "C" / "deep" / "er" / "mlruns")
    moved = Ledger(f"sqlite:///{tmp_path}/C/deep/er/mlruns/ledger.db")
    (tmp_path / "C" / "deep" / "er").rename(tmp_path / "C" / "deep" / "other")
    assert moved.load  # the old address is gone
    found = Ledger(f"sqlite:///{tmp_path}/C/deep/other/mlruns/ledger.db").load("synthetic")
    assert found.spec.folder == str(tmp_path / "C" / "deep" / "other")


def test_a_ledger_that_does_not_say_where_it_was_leads_to_its_own_workspace(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hpsearch.ledger.places.home_of", lambda uri: "")
    uri = make_workspace(tmp_path / "A")
    assert Ledger(uri).load("synthetic").spec.folder == str(tmp_path / "A")
    (tmp_path / "A").rename(tmp_path / "B")
    assert Ledger(uri.replace("/A/", "/B/")).load("synthetic").spec.folder == str(tmp_path / "B")


@pytest.mark.parametrize("ledger_is", ["a link", "made one later"])
def test_the_ledgers_folder_may_be_a_link_to_another_disk(tmp_path: Path, ledger_is: str) -> None:
    (tmp_path / "disk").mkdir()
    project, store = tmp_path / "A", tmp_path / "disk" / "store"
    if ledger_is == "a link":
        store.mkdir()
        project.mkdir()
        (project / "mlruns").symlink_to(store)
        uri = make_workspace(project)
    else:
        uri = make_workspace(project)
        (project / "mlruns").rename(store)
        (project / "mlruns").symlink_to(store)
    assert Ledger(uri).load("synthetic").spec.folder == str(project)
    project.rename(tmp_path / "B")
    assert Ledger(uri.replace("/A/", "/B/")).load("synthetic").spec.folder == str(tmp_path / "B")


@pytest.mark.parametrize("name", ["feature%2Fnew", "what?", "a #1 b", 'it\'s "ü" & %41', "x?y=z"])
def test_folders_may_have_any_name(tmp_path: Path, monkeypatch, name: str) -> None:
    uri = make_workspace(tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    written = f"sqlite:///{tmp_path / name}/mlruns/ledger.db"
    for address in (uri, written):
        assert sqlite_path(address) == tmp_path / name / "mlruns" / "ledger.db"
        assert Ledger(address).load("synthetic").spec.folder == str(tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    assert Ledger("sqlite:///mlruns/ledger.db").names() == ["synthetic"]
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_settings_of_an_address_are_no_part_of_the_path(tmp_path: Path) -> None:
    assert sqlite_path(f"sqlite:///{tmp_path}/new.db?timeout=5") == tmp_path / "new.db"
    assert sqlite_path("sqlite:///:memory:") is sqlite_path("postgresql://host/db") is None
    assert Ledger(f"sqlite:///{tmp_path}/new.db?timeout=5", create=True).names() == []
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".db"] == ["new.db"]


def test_tracking_starts_from_the_ledgers_workspace_not_from_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    spec = make_spec("sqlite:///mlruns/ledger.db").model_copy(update={"tracking": TrackingSection()})
    uri = f"sqlite:///{tmp_path}/A/mlruns/ledger.db"
    found = tracking_here(spec, uri)
    assert found.uri == f"sqlite:///{tmp_path}/A/mlruns/mlflow.db"
    assert found.artifacts == f"{tmp_path}/A/mlruns/artifacts"
    (tmp_path / "A").mkdir()
    monkeypatch.chdir(tmp_path / "A")
    assert tracking_here(spec, uri) == spec.tracking
    server = spec.model_copy(update={"tracking": TrackingSection(uri="http://server:5000")})
    monkeypatch.chdir(tmp_path)
    assert tracking_here(server, uri).uri == "http://server:5000"
    assert tracking_here(server, uri).artifacts is None
