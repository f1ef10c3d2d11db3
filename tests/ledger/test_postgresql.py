"""The ledger on a real PostgreSQL server, made for these tests: its own data, a free port of this machine."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.core import locks
from hpsearch.core.addresses import Uri
from hpsearch.core.locks import is_study_held
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import TrialState
from hpsearch.errors import LedgerError
from hpsearch.ledger import Ledger, optuna_tables
from hpsearch.ledger.workspace import driving
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.ledger.optuna_twin import check_that_optuna_reads_its_own
from tests.postgresql import find_programs
from tests.raising import raises
from tests.search.drive import drive

pytestmark = pytest.mark.slow


def test_kill_9_and_resume_go_on_as_an_uninterrupted_study(database: Callable[[str], str], tmp_path: Path) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(slots=2), schedule=Schedule(startup=4, batch=2))
    ledger, trained = database("killed"), tmp_path / "trained.json"
    command = [sys.executable, "-m", "tests.search.drive", ledger, str(trained), "optuna", "tpe", "12", "22", "2"]
    assert subprocess.run(command, check=False).returncode == -9
    left = Ledger(ledger).load("synthetic")
    assert any(trial.state is TrialState.RUNNING for trial in left.trials)
    executor = SyntheticExecutor(slots=2)
    resumed = drive(ledger, executor, schedule=Schedule(startup=4, batch=2))
    assert [dict(trial.config) for trial in resumed.trials] == [dict(trial.config) for trial in whole.trials]
    assert [trial.score for trial in resumed.trials] == [trial.score for trial in whole.trials]
    assert [trial.folds for trial in resumed.trials] == [trial.folds for trial in whole.trials]
    before = {tuple(lane) for lane in json.loads(trained.read_text())}
    assert not before & set(executor.trained), "a finished fold was trained again"
    assert len(before) + len(executor.trained) == 3 * 12


@pytest.mark.parametrize("version", [optuna_tables.DATABASE_VERSION, "unknown"])
def test_optuna_reads_a_trial_as_if_it_had_written_it(
    database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    known = version == optuna_tables.DATABASE_VERSION
    monkeypatch.setattr(optuna_tables, "DATABASE_VERSION", version)
    ledger = Ledger(database(f"twins_{'fast' if known else 'public'}"))
    assert (ledger.remarks == ()) == known
    check_that_optuna_reads_its_own(ledger)


def test_mlflows_tables_are_those_that_mlflow_would_leave(database: Callable[[str], str]) -> None:
    from hpsearch.tracking.mlflow.address import Address
    from hpsearch.tracking.mlflow.client import connect, quiet
    from hpsearch.tracking.settings import mlflow_settings
    from tests.mlflow_twin import GOES, check_that_the_tables_are_those_of_mlflow

    with mlflow_settings(), quiet():
        client = connect(Address(Uri(database("mlflow")), "/nowhere", None, ""))
        for goes in GOES.values():
            check_that_the_tables_are_those_of_mlflow(client, goes)


def test_drivers_that_meet_an_empty_database_make_its_tables_once(database: Callable[[str], str]) -> None:
    uri = database("fresh")
    script = "import sys; from hpsearch.ledger import Ledger; print(Ledger(sys.argv[1]).names())"
    command = [sys.executable, "-c", script, uri]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in both] == ["[]\n"] * 4


def test_a_second_driver_is_refused_in_any_folder_until_the_first_has_gone(
    database: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("shared")
    script = (
        "import sys, time; from hpsearch.ledger.workspace import driving\n"
        "with driving(sys.argv[1], 'synthetic'):\n    print('driving', flush=True)\n    time.sleep(60)"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-c", script, uri]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path / "elsewhere")
    assert first.stdout is not None
    assert first.stdout.readline() == b"driving\n"
    with pytest.raises(LedgerError) as caught, driving(uri, "synthetic"):
        pass
    assert caught.value.code == "ledger.study-taken"
    assert str(caught.value.values["holder"]).startswith(f"hpsearch process {first.pid} on ")
    assert is_study_held(uri, "synthetic")
    assert not is_study_held(uri, "another")
    with driving(uri, "another"):
        pass
    first.kill()
    first.wait()
    deadline = time.monotonic() + 20
    while True:  # the server notices the end of a connection in its own time
        try:
            with driving(uri, "synthetic"):
                return
        except LedgerError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_second_maker_of_tables_does_not_wait_for_ever(
    database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_TABLES_WAIT_S", 0.3)
    uri = database("waiting")
    with locks.taking_turns(uri), raises("ledger.tables-taken") as caught, locks.taking_turns(uri):
        pass
    assert re.fullmatch(
        rf"hpsearch process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC", caught.value.values["holder"]
    )


def test_a_password_is_in_the_ledger_alone_and_in_no_record_that_is_read_back(
    database: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpsearch.report.content import gather
    from hpsearch.report.markdown import render_markdown
    from hpsearch.testing.factories import make_record, make_trials
    from hpsearch.tracking import sync

    monkeypatch.chdir(tmp_path)
    plain = {"ledger": database("kept"), "uri": database("shown")}
    section = {name: one.replace("hpsearch@", "hpsearch:hunter2@") for name, one in plain.items()}
    record = make_record(make_trials(3), tracking=section)
    assert "hunter2" in record.study_file
    ledger = Ledger(section["ledger"], create=True)
    ledger.create(record)
    read = ledger.load("digits")
    told = [repr(read), repr(read.spec), read.study_file, read.command("show"), render_markdown(gather(read))]
    assert "hunter2" not in " ".join(told)
    assert read.spec.tracking.resolved().ledger.reveal() == section["ledger"]
    sync(read)
    dumped = dump(plain["uri"])
    assert "hyperparameter" in dumped.lower()
    assert "hunter2" not in dumped
    assert "hunter2" not in " ".join(one.read_text() for one in (tmp_path / "mlruns").rglob("*.*") if one.is_file())


def dump(address: str) -> str:
    programs = find_programs()
    assert programs is not None
    command = [str(programs / "pg_dump"), address.replace("+psycopg", "")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
