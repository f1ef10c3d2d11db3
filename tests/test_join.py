"""``hpsearch run FILE --join``: several drivers with workers of their own, on one PostgreSQL, as users start them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a joined driver of a study file. None is left behind."""
    started: list[subprocess.Popen[str]] = []

    def run(study: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "hpsearch", "run", study.name, "--join"]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=study.parent, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield run
    for driver in started:
        driver.kill()


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


def test_two_drivers_that_begin_a_study_at_once_share_its_trials_and_make_one_champion(
    study: Path, start: Start
) -> None:
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


def test_drivers_come_and_go_and_the_command_line_says_who_is_there(study: Path, start: Start) -> None:
    folder, uri = study.parent, ledger_of(study)
    study.write_text(study.read_text().replace("trials = 8", "trials = 60").replace("epochs = 3", "epochs = 40"))

    def state() -> StudyState:
        return workspace.read(Ledger(uri), "irises").state

    def listed() -> dict[str, object]:
        (row,) = json.loads(ok("list", "--ledger", uri, "--json", folder=folder))
        return {name: row[name] for name in ("state", "drivers")}

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    first, second = start(study), start(study)
    until(lambda: "irises" in Ledger(uri).names() and listed() == {"state": "running", "drivers": 2})
    plain = hpsearch("run", study.name, folder=folder)
    assert plain.returncode == 5
    assert plain.stderr.startswith("error[ledger.study-taken]: hpsearch process ")
    assert "is already running study 'irises' with --join" in plain.stderr
    assert "hint: take part with --join" in plain.stderr
    more = hpsearch("resume", "irises", "--trials", "70", "--join", "--ledger", uri, folder=folder)
    assert "other drivers run study 'irises' with other values of search.trials" in more.stderr
    until(lambda: len(Ledger(uri).load("irises").trials) >= 3)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert listed() == {"state": "running", "drivers": 1}
    begun = len(Ledger(uri).load("irises").trials)
    until(lambda: len(Ledger(uri).load("irises").trials) > begun)
    second.kill()
    second.wait()
    until(lambda: state() is StudyState.INTERRUPTED)
    begun = len(Ledger(uri).load("irises").trials)
    ok("resume", "irises", "--trials", str(begun), "--ledger", uri, folder=folder)
    record = workspace.read(Ledger(uri), "irises")
    assert record.state is StudyState.FINISHED
    assert {trial.state for trial in record.trials} == {TrialState.COMPLETE}
    runs = runs_of(folder)
    assert sorted(run["trial"] for run in runs) == sorted(["", *map(str, range(begun))])
    assert {run["status"] for run in runs} == {"FINISHED"}


def test_join_on_a_sqlite_ledger_or_with_a_control_is_an_error(tmp_path: Path) -> None:
    study = write_study(tmp_path, "irises")
    alone = hpsearch("run", study.name, "--join", folder=tmp_path)
    assert alone.returncode == 5
    assert alone.stderr.startswith("error[ledger.cannot-join]: --join needs a PostgreSQL ledger, but sqlite:///")
    assert not (tmp_path / "mlruns").exists()
    control = hpsearch("run", study.name, "--join", "--null", "3", folder=tmp_path)
    assert control.returncode == 2
    assert control.stderr.startswith("error[study-file.join-with-control]: --join cannot go with --null")
