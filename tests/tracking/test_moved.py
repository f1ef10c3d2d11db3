"""MLflow's record in a folder that was moved or copied leads to the artifacts there."""

import hashlib
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hpsearch.errors import TrackingError
from hpsearch.spec import TrackingSection
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow import moved
from hpsearch.tracking.mlflow.address import resolve_address

SECTION = {"uri": "sqlite:///mlflow.db", "artifacts": "artifacts", "ledger": "sqlite:///ledger.db"}


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".db-wal", ".db-shm")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def locations() -> list[str]:
    client = MlflowClient(tracking_uri=resolve_address(TrackingSection(**SECTION)).uri.reveal())
    experiment = client.get_experiment_by_name("digits")
    runs = client.search_runs([experiment.experiment_id])
    return [experiment.artifact_location, *(run.info.artifact_uri for run in runs)]


@pytest.fixture
def synced(migrated: Path, tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "it is%2F #A"
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    sync(make_record(make_trials(2), tracking=SECTION))
    return folder


def test_a_copy_writes_into_itself_and_the_original_stays_as_it_is(synced: Path, monkeypatch) -> None:
    assert [one.name for one in synced.parent.iterdir()] == [synced.name]
    copy = synced.parent / "B?"
    shutil.copytree(synced, copy)
    before = digests(synced)
    monkeypatch.chdir(copy)
    report = sync(make_record(make_trials(3), tracking=SECTION))
    assert "moved here" in report.notes[0]
    assert digests(synced) == before
    assert len(locations()) == 5
    assert all(one.startswith(f"{copy.as_uri()}/artifacts/digits") for one in locations())
    assert sync(make_record(make_trials(3), tracking=SECTION)).notes == ()
    shutil.rmtree(synced)
    copy.rename(synced.parent / "C")
    monkeypatch.chdir(synced.parent / "C")
    sync(make_record(make_trials(4), tracking=SECTION))
    assert sorted(one.name for one in synced.parent.iterdir()) == ["C"]


def test_tables_that_are_not_known_are_left_alone_and_nothing_is_written(synced: Path, monkeypatch) -> None:
    copy = synced.parent / "B"
    shutil.copytree(synced, copy)
    before = digests(synced)
    monkeypatch.chdir(copy)
    monkeypatch.setattr(moved, "unrecognised", lambda client: "the columns of table 'runs': one more")
    with pytest.raises(TrackingError) as caught:
        sync(make_record(make_trials(3), tracking=SECTION))
    assert caught.value.code == "tracking.moved-record"
    assert caught.value.values["before"] == str(synced / "artifacts" / "digits")
    assert digests(synced) == before


def test_artifacts_that_were_wanted_elsewhere_stay_there(synced: Path, tmp_path: Path) -> None:
    other = {**SECTION, "artifacts": str(tmp_path / "other" / "artifacts")}
    assert sync(make_record(make_trials(3), tracking=other)).notes == ()
    assert all(one.startswith(f"{synced.as_uri()}/artifacts/digits") for one in locations())
    assert not (tmp_path / "other").exists()
