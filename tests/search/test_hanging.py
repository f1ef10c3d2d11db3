"""User code that hangs, in real worker processes: limits of time, Ctrl-C, and nothing left running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hpsearch
from hpsearch.core.trial import FailureKind, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from tests.raising import raises

pytestmark = pytest.mark.slow

BUILD = """
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import keras


def build(config, data):
    with open("workers", "a") as file:
        file.write(f"{os.getpid()}\\n")
    kind, place = config["kind"], os.environ.get("HANG", "")
    is_refit = len(data.x) > 100
    if place == "rehearsal" or (place == "refit" and is_refit) or (place == kind == "asleep"):
        Path("hangs").touch()
        time.sleep(1000)
    if kind == "starved" and (place == "always" or not Path("starved").exists()):
        Path("starved").touch()
        raise RuntimeError("can't start new thread")  # as Python says it; no memory limit can be timed to come here
    if place == "limits" and kind == "asleep":
        time.sleep(1000)
    if place == "limits" and kind == "busy":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass
    if place in ("limits", "c") and kind == "c":
        Path("hangs").touch()
        ctypes.PyDLL(None).sleep(1000)  # which keeps the GIL
    if place == "limits" and kind == "child":
        child = subprocess.Popen(["sleep", "1000"])
        with open("workers", "a") as file:
            file.write(f"{child.pid}\\n")
        child.wait()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""
STUDY = """
name = "hanging"
[data]
source = "sklearn:iris"
[validation]
method = "holdout"
fraction = 0.3
[model]
build = "hanging_model:build"
[space]
kind = [{kinds}]
epochs = {epochs}
batch_size = 32
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
tuner = "optuna"
algorithm = "grid"
max_failures = 10
[[search.try]]
kind = "{first}"
[resources]
engine = "fit"
backend = "jax"
{resources}
[tracking]
system_metrics = false
"""
COMMAND = (
    "import hpsearch.search.watchdog, hpsearch.search.signals\n"
    "hpsearch.search.watchdog.PATIENCE_S = 1.0\n"
    "hpsearch.search.signals._MARGIN_S = 1.0\n"
    "from hpsearch.cli.main import main\n"
    "main()\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hanging_model.py").write_text(BUILD)
    return tmp_path


def write_study(*kinds: str, first: str = "fine", epochs: int = 2, resources: str = "") -> None:
    listed = ", ".join(f'"{kind}"' for kind in kinds)
    Path("study.toml").write_text(STUDY.format(kinds=listed, first=first, epochs=epochs, resources=resources))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(what: Callable[[], bool], limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.1)


def workers() -> set[int]:
    return {int(line) for line in Path("workers").read_text().split()}


def no_worker_is_left() -> bool:
    return not any(map(alive, workers()))


def started(hang: str, *arguments: str) -> subprocess.Popen:
    """A study that hangs by now."""
    environment = {**os.environ, "HANG": hang}
    driver = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: Path("hangs").exists() or driver.poll() is not None)
    assert driver.poll() is None, driver.stderr.read()
    time.sleep(0.5)
    return driver


def record() -> StudyRecord:
    return hpsearch.load("hanging").record


def test_trials_that_hang_fail_with_the_limit_and_the_place_and_leave_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_study("fine", "asleep", "busy", "c", "child", resources="epoch_timeout = 8")
    monkeypatch.setenv("HANG", "limits")
    found = hpsearch.run("study.toml", verbose=0).record
    assert found.state is StudyState.FINISHED
    assert found.champion.trial == 0
    ended = {str(trial.config["kind"]): trial for trial in found.trials}
    assert ended.pop("fine").state is TrialState.COMPLETE
    assert len(ended) == 4
    for trial in ended.values():
        assert trial.state is TrialState.FAILED
        assert trial.failure.kind is FailureKind.TIMEOUT
        assert trial.failure.message.startswith("no epoch has ended for ")
        assert trial.failure.message.endswith("; [resources] epoch_timeout = 8")
        assert 'hanging_model.py", line' in trial.failure.traceback
        assert "in build" in trial.failure.traceback
    assert no_worker_is_left()


def test_a_trial_has_its_limit_and_the_study_file_may_add_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write_study("fine", first="fine", epochs=100_000)
    monkeypatch.setenv("HANG", "nowhere")
    write_study("fine", epochs=100_000, resources="trial_timeout = 4")
    with raises("study.no-complete-trial"):
        hpsearch.run("study.toml", verbose=0)
    (trial,) = record().trials
    assert trial.failure.kind is FailureKind.TIMEOUT
    assert trial.failure.message.startswith("it has trained for ")
    assert trial.failure.message.endswith("; [resources] trial_timeout = 4")
    write_study("fine", epochs=100_000, resources="trial_timeout = 5\nepoch_timeout = 60")
    with raises("study.no-complete-trial"):  # and not that the study file has changed
        hpsearch.run("study.toml", verbose=0)
    assert no_worker_is_left()


def test_a_refit_that_hangs_has_its_limit_and_resume_refits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write_study("fine", resources="trial_timeout = 15")
    monkeypatch.setenv("HANG", "refit")
    with raises("executor.worker-died", method="refit") as error:
        hpsearch.run("study.toml", verbose=0)
    assert str(error.value).startswith("the worker was ended after 15 s during 'refit'\n")
    assert "raise [resources] trial_timeout" in str(error.value)
    assert record().state is StudyState.FAILED
    assert [trial.state for trial in record().trials] == [TrialState.COMPLETE]
    assert no_worker_is_left()
    monkeypatch.delenv("HANG")
    assert hpsearch.resume("hanging").record.champion.trial == 0


def test_a_trial_out_of_memory_gets_a_fresh_worker_and_fails_only_after_its_retries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_study("fine", "starved", resources="max_retries = 1")
    before = hpsearch.run("study.toml", verbose=0).record
    assert [trial.state for trial in before.trials] == [TrialState.COMPLETE, TrialState.COMPLETE]
    said = "out of memory: ModelError: hanging_model:build: build raised RuntimeError: can't start new thread"
    (retried,) = [note for note in before.notes if note.startswith(said)]
    assert retried.endswith("; trial 1: trained again, 1 times at most")
    assert len(workers()) == 2
    Path("study.toml").write_text(Path("study.toml").read_text().replace("hanging", "always", 1))
    monkeypatch.setenv("HANG", "always")
    _, failed = hpsearch.run("study.toml", verbose=0).record.trials
    assert failed.state is TrialState.FAILED
    assert failed.failure.kind is FailureKind.WORKER
    assert failed.failure.message.startswith(said)
    assert failed.failure.message.endswith(" (2 times; max_retries = 1)")
    assert "in build" in failed.failure.traceback


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_ctrl_c_ends_a_search_whose_worker_hangs_and_resume_trains_the_trial(number: signal.Signals) -> None:
    write_study("fine", "asleep")
    driver = started("asleep", "run", "study.toml")
    driver.send_signal(number)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert "stopping: waiting for the running epochs of trial 1 to end, " in said
    assert "Ctrl-C again stops at once" in said
    assert "error[interrupted]: study 'hanging' was stopped; finished folds are kept" in said
    assert "Traceback" not in said
    assert no_worker_is_left()
    assert record().state is StudyState.INTERRUPTED
    assert [trial.state for trial in record().trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    if number == signal.SIGINT:
        done = hpsearch.resume("hanging").record
        assert [trial.state for trial in done.trials] == [TrialState.COMPLETE, TrialState.COMPLETE]


@pytest.mark.parametrize("hang", ["rehearsal", "refit"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_one_ctrl_c_ends_a_call_that_hangs(hang: str, command: str) -> None:
    if (hang, command) == ("refit", "check"):
        pytest.skip("check refits nothing")
    write_study("fine")
    driver = started(hang, command, "study.toml")
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert "Traceback" not in said
    assert no_worker_is_left()
    if hang == "refit":
        assert record().state is StudyState.INTERRUPTED
        assert record().champion is None
    else:
        assert not Path("mlruns/ledger.db").exists()


def test_one_ctrl_c_ends_what_hangs_in_the_drivers_own_process() -> None:
    write_study("fine", "asleep", resources='executor = "inline"')
    driver = started("asleep", "run", "study.toml")
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=90)
    assert driver.returncode == 130, said
    assert "error[interrupted]: study 'hanging' was stopped at once" in said
    assert record().state is StudyState.INTERRUPTED


@pytest.mark.parametrize("limit", ["epoch_timeout", "trial_timeout"])
def test_an_executor_that_ends_no_workers_takes_no_limits(limit: str) -> None:
    write_study("fine", resources=f'executor = "inline"\n{limit} = 5')
    with raises("study-file.cannot-end-workers", key=f"resources.{limit}", executor="inline"):
        hpsearch.run("study.toml", verbose=0)


@pytest.mark.skipif(sys.platform != "linux", reason="the system must tell a worker of the driver's death")
def test_no_worker_outlives_a_driver_that_is_killed_even_in_c_code() -> None:
    write_study("fine", "c")
    driver = started("c", "run", "study.toml")
    driver.kill()
    driver.wait()
    wait_for(no_worker_is_left, 10)
