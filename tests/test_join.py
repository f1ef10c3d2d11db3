"""``hpsearch run FILE --join``: several drivers with workers of their own, on one PostgreSQL, as users start them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.core.trial import TrialState
from hpsearch.ledger import Ledger, workspace
from hpsearch.ledger.record import StudyState
from hpsearch.search.joining import JOINED_NOTE
from tests.command_line import hpsearch, ok, write_study

pytestmark = pytest.mark.slow


@pytest.fixture
def study(database: Callable[[str], str], tmp_path: Path) -> Path:
    """A study file whose ledger is a fresh database."""
    uri = database(f"join_{os.getpid()}_{time.time_ns()}")
    path = write_study(tmp_path, "irises", trials=8)
    path.write_text(path.read_text() + f'workers = 1\n[tracking]\nledger = "{uri}"\n')
    return path


def start(study: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "hpsearch", "run", study.name, "--join"]
    return subprocess.Popen(command, cwd=study.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ledger_of(study: Path) -> str:
    return study.read_text().rpartition('ledger = "')[2].strip().strip('"')


def runs_of(folder: Path) -> list[dict[str, str]]:
    """MLflow's runs of the study: which trial each is of, its status."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("irises")
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    return [{"trial": one.data.tags.get("hpsearch.trial", ""), "status": one.info.status} for one in found]


def test_two_drivers_that_begin_a_study_at_once_share_its_trials_and_make_one_champion(study: Path) -> None:
    folder = study.parent
    drivers = [start(study), start(study)]
    told = [driver.communicate(timeout=300)[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], told
    record = workspace.read(Ledger(ledger_of(study)), "irises")
    assert record.state is StudyState.FINISHED
    assert [trial.number for trial in record.trials] == list(range(8))
    assert {trial.state for trial in record.trials} == {TrialState.COMPLETE}
    assert JOINED_NOTE in record.notes
    assert record.champion is not None
    assert record.champion.trial == record.best.number  # type: ignore[union-attr]
    assert record.champion.model_uri == "models:/irises/1"
    assert sum("refitting trial" in one for one in told) == 1
    ended = [{line.split()[2] for line in one.splitlines() if line.startswith("[")} for one in told]
    assert ended[0].isdisjoint(ended[1])
    assert len(ended[0] | ended[1]) == 8
    runs = runs_of(folder)
    assert sorted(run["trial"] for run in runs) == sorted(["", *map(str, range(8))])
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert "finished" in ok("list", "--ledger", ledger_of(study), folder=folder)
    again = hpsearch("run", study.name, "--join", folder=folder)
    assert again.returncode == 0
    assert Ledger(ledger_of(study)).load("irises").champion == record.champion
