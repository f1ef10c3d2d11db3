"""Several drivers on one study: real processes on a real PostgreSQL; only the training is synthetic."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from hpsearch.core.facts import Stopped
from hpsearch.core.trial import Trial, TrialState
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.ledger.workspace import driving
from hpsearch.search.joining import taking_a_seat
from hpsearch.search.observer import Observer
from hpsearch.testing.synthetic import make_record, make_spec
from tests.raising import raises

pytestmark = pytest.mark.slow

FOLDS = 3


class Crew:
    """Drivers of one study."""

    def __init__(self, uri: str, folder: Path, **options: Any) -> None:
        self.uri, self.folder = uri, folder
        self.options: dict[str, Any] = {"pause": 0.02, "lease": 2.0, "trials": 20, **options}
        self.drivers: list[subprocess.Popen[bytes]] = []

    def add(self, **changes: Any) -> subprocess.Popen[bytes]:
        options = json.dumps(self.options | changes)
        command = [sys.executable, "-m", "tests.search.joined", self.uri, str(self.folder), options]
        path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path}
        self.drivers.append(subprocess.Popen(command, cwd=self.folder, env=environment))
        return self.drivers[-1]

    def end(self) -> StudyRecord:
        """Wait for those that live; the study."""
        codes = [driver.wait(60) for driver in self.drivers if driver.poll() is None]
        assert not any(codes), codes
        return Ledger(self.uri).load("synthetic")

    def trained(self) -> list[tuple[int, int, int]]:
        """Trial, fold and process of each lane that was trained."""
        path = self.folder / "trained"
        lines = path.read_text().splitlines() if path.exists() else ()
        return [(int(trial), int(fold), int(process)) for trial, fold, process in map(str.split, lines)]

    def refits(self) -> list[int]:
        """The processes that have begun to make the champion."""
        path = self.folder / "refits"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def told(self, driver: subprocess.Popen[bytes]) -> str:
        path = self.folder / f"told.{driver.pid}"
        return path.read_text() if path.exists() else ""

    def running(self) -> list[Trial]:
        return [one for one in Ledger(self.uri).load("synthetic").trials if not one.state.finished]

    def suspended(self, driver: subprocess.Popen[bytes]) -> list[int]:
        """Suspend the only driver in an epoch; its trials."""
        mark = self.folder / f"epoch.{driver.pid}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.until(lambda: bool(self.trained() and mark.exists()))
            os.kill(driver.pid, signal.SIGSTOP)
            os.waitpid(driver.pid, os.WUNTRACED)
            if mark.exists():  # else the epoch has just ended, and it may hold a lock of the database
                return [one.number for one in self.running()]
            os.kill(driver.pid, signal.SIGCONT)
        raise AssertionError("it was never met in an epoch")

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def check_complete(record: StudyRecord, trials: int) -> None:
    assert [trial.number for trial in record.trials] == list(range(trials))
    assert {trial.state for trial in record.trials} == {TrialState.COMPLETE}
    assert all([fold.fold for fold in trial.folds] == list(range(FOLDS)) for trial in record.trials)


def test_three_drivers_train_every_fold_once_and_no_config_twice(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    crew = Crew(database("three"), tmp_path, crew=3, pause=0.05)
    for slots in (1, 2, 1):
        crew.add(slots=slots)
    record = crew.end()
    check_complete(record, 20)
    lanes = Counter((trial, fold) for trial, fold, _ in crew.trained())
    assert lanes == dict.fromkeys([(trial, fold) for trial in range(20) for fold in range(FOLDS)], 1)
    assert len({process for _, _, process in crew.trained()}) > 1
    assert len({json.dumps(dict(trial.config), sort_keys=True) for trial in record.trials}) == 20


def test_the_trials_of_a_killed_driver_are_taken_over_and_its_folds_kept(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    # With a rule for folds, they train one after the other: some of a trial are finished, others are not.
    crew = Crew(database("killed"), tmp_path, crew=2, fold_rule="forgiving", pause=0.15)
    victim, other = crew.add(), crew.add()
    crew.until(lambda: len({process for *_, process in crew.trained()}) == 2)
    own = lambda: {trial for trial, _, process in crew.trained() if process == victim.pid}  # noqa: E731
    crew.until(lambda: any(one.folds and one.number in own() for one in crew.running()))
    victim.kill()
    victim.wait()
    left = crew.running()
    kept = {(one.number, fold.fold) for one in left for fold in one.folds}
    assert kept
    record = crew.end()
    assert [trial.number for trial in record.trials] == list(range(20))
    assert all(trial.state.finished for trial in record.trials)
    lanes = Counter((trial, fold) for trial, fold, _ in crew.trained())
    assert all(lanes[lane] == 1 for lane in kept), "a finished fold was trained again"
    told = crew.told(other)
    assert re.search(rf"trial \d+ is taken over: driver \S+:{victim.pid}:\w+ has not been heard of for 2 s", told)


def test_a_driver_that_was_suspended_enters_nothing_of_a_trial_that_it_has_lost(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    crew = Crew(database("suspended"), tmp_path, trials=6, pause=0.1, lease=1.0)
    sleeper = crew.add(pause=0.5)
    mine = crew.suspended(sleeper)
    crew.add()
    crew.until(lambda: all(one.state.finished for one in Ledger(crew.uri).load("synthetic").trials[: mine[-1] + 1]))
    before = Ledger(crew.uri).load("synthetic").trials[: mine[-1] + 1]
    os.kill(sleeper.pid, signal.SIGCONT)
    record = crew.end()
    check_complete(record, 6)
    assert record.trials[: mine[-1] + 1] == before
    assert f"trial {mine[0]}: another driver has taken it over" in crew.told(sleeper)


def test_ctrl_c_gives_trials_back_at_once(database: Callable[[str], str], tmp_path: Path) -> None:
    crew = Crew(database("stopped"), tmp_path, crew=2, pause=0.05, lease=600.0)
    first, _ = crew.add(), crew.add()
    crew.until(lambda: len({process for *_, process in crew.trained()}) == 2)
    first.send_signal(signal.SIGINT)
    first.wait(30)
    check_complete(crew.end(), 20)


def test_enqueued_trials_are_trained_once(database: Callable[[str], str], tmp_path: Path) -> None:
    uri = database("enqueued")
    Ledger(uri).create(make_record(make_spec(uri, trials=8)))
    given = [{"learning_rate": rate, "units": 32} for rate in (0.003, 0.004, 0.005)]
    study = optuna.load_study(study_name="synthetic", storage=uri)
    for config in given:
        study.enqueue_trial(config)
    crew = Crew(uri, tmp_path, trials=8, pause=0.1)
    crew.add()
    crew.add()
    record = crew.end()
    check_complete(record, 8)
    assert [{name: trial.config[name] for name in given[0]} for trial in record.trials[:3]] == given
    lanes = Counter((trial, fold) for trial, fold, _ in crew.trained())
    assert set(lanes.values()) == {1}


def test_a_search_that_is_enough_for_one_driver_ends_for_all(database: Callable[[str], str], tmp_path: Path) -> None:
    crew = Crew(
        database("enough"), tmp_path, crew=2, trials=4000, search='stop = "auto"', algorithm="random", pause=0.02
    )
    crew.add()
    crew.add()
    crew.until(lambda: len({process for *_, process in crew.trained()}) == 2)
    ledger = Ledger(crew.uri)
    ledger.change_facts("synthetic", lambda facts: replace(facts, stopped=Stopped(12, 4000, 0.01, 0.1)))
    record = crew.end()
    assert len(record.trials) < 4000
    assert {trial.state for trial in record.trials} == {TrialState.COMPLETE}
    assert Stopped(12, 4000, 0.01, 0.1).text in record.notes


NOWHERE = "http://127.0.0.1:1"
"""Nothing listens there: MLflow is out of reach."""


def test_one_of_three_drivers_makes_the_champion(database: Callable[[str], str], tmp_path: Path) -> None:
    crew = Crew(database("champion"), tmp_path, crew=3, trials=6, refit=3.0, lease=3.0, mlflow=NOWHERE)
    drivers = [crew.add() for _ in range(3)]
    record = crew.end()
    check_complete(record, 6)
    (maker,) = crew.refits()
    assert record.state is StudyState.FINISHED
    assert record.champion is not None
    told = "the search is over; another driver makes the champion"
    assert {one.pid for one in drivers if told in crew.told(one)} == {one.pid for one in drivers} - {maker}


def test_a_champion_whose_driver_was_killed_is_made_by_the_next_one(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    crew = Crew(database("orphan"), tmp_path, trials=2, refit=120.0, mlflow=NOWHERE)
    crew.add()
    crew.until(lambda: len(crew.refits()) == 1)
    crew.drivers.pop().kill()
    crew.until(lambda: workspace.read(Ledger(crew.uri), "synthetic").state is StudyState.INTERRUPTED)
    crew.add(refit=0.0)
    record = crew.end()
    assert len(crew.refits()) == 2
    assert record.state is StudyState.FINISHED
    assert record.champion is not None
    assert len(crew.trained()) == 2 * FOLDS


def test_a_driver_that_was_suspended_while_it_made_the_champion_enters_none(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    crew = Crew(database("sleeping_beauty"), tmp_path, trials=2, refit=2.0, lease=1.0, mlflow=NOWHERE)
    sleeper = crew.add()
    crew.until(lambda: len(crew.refits()) == 1)
    os.kill(sleeper.pid, signal.SIGSTOP)
    crew.add(refit=0.0)
    crew.until(lambda: Ledger(crew.uri).load("synthetic").champion is not None)
    champion = Ledger(crew.uri).load("synthetic").champion
    os.kill(sleeper.pid, signal.SIGCONT)
    assert sleeper.wait(60) != 0
    record = crew.end()
    assert record.champion == champion
    assert record.state is StudyState.FINISHED


def test_plain_and_joined_drivers_keep_each_other_out_and_say_what_to_do(database: Callable[[str], str]) -> None:
    uri = database("mixed")
    process = f"hpsearch process {os.getpid()} on "
    with taking_a_seat(uri, "synthetic", Observer()) as seat:
        seat.pass_on()
        with raises("ledger.study-taken") as taken, driving(uri, "synthetic"):
            pass
        assert process in taken.value.what
        assert "with --join" in taken.value.what
        assert taken.value.hint == "take part with --join, or wait for it; `hpsearch show` works in the meantime"
        with taking_a_seat(uri, "synthetic", Observer()) as another:
            assert seat.others == another.others == 1
        assert seat.others == 0
    with (
        driving(uri, "synthetic"),
        raises("ledger.study-not-shared") as kept_out,
        taking_a_seat(uri, "synthetic", Observer()),
    ):
        pass
    assert process in kept_out.value.what
    assert "without --join" in kept_out.value.what
    assert "start it again with --join" in kept_out.value.hint


def test_a_sqlite_ledger_has_one_driver(tmp_path: Path) -> None:
    with (
        raises("ledger.cannot-join") as caught,
        taking_a_seat(f"sqlite:///{tmp_path}/ledger.db", "synthetic", Observer()),
    ):
        pass
    assert caught.value.what == f"--join needs a PostgreSQL ledger, but sqlite:///{tmp_path}/ledger.db is a SQLite file"
    assert 'ledger = "postgresql+psycopg://user@host/name"' in caught.value.hint
    assert not (tmp_path / "ledger.db").exists()
