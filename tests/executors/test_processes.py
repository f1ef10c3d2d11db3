"""Worker processes: real ones, with a real data set and Keras on JAX."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from hpsearch.core.events import (
    Bundle,
    BundleFinished,
    EpochFinished,
    Event,
    Lane,
    LaneFinished,
    LaneStopped,
    WorkerDied,
)
from hpsearch.errors import DataError, ExecutorError
from hpsearch.executors.messages import Stop, Train
from hpsearch.executors.processes import ProcessesExecutor
from hpsearch.executors.serve import listen
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol

pytestmark = pytest.mark.slow

STUDY = """
name = "processes"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
family = "mlp"
layers = 1
[space]
units = 8
dropout = 0.0
optimizer = "adam"
batch_size = 16
epochs = {epochs}
[objective]
metric = "val_accuracy"
direction = "maximize"
[resources]
engine = "fit"
"""
CONFIG = {"learning_rate": 0.01, "batch_size": 16, "optimizer": "adam", "layers": 1, "units": 8, "dropout": 0.0}
CONFIG |= {"activation": "relu", "batch_norm": False}


def spec(epochs: int = 2) -> StudySpec:
    return parse_spec(STUDY.format(epochs=epochs))


def bundle(epochs: int, folds: int = 2) -> Bundle:
    return Bundle(0, tuple(Lane(0, fold, {**CONFIG, "epochs": epochs}) for fold in range(folds)))


@pytest.fixture(scope="module")
def executor():
    made = ProcessesExecutor(spec(), [WorkerSettings("jax")])
    yield made
    made.close()


def collect(executor: ProcessesExecutor, until: type, limit_s: float = 120) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        events += executor.events(0.2)
        if any(isinstance(event, until) for event in events):
            return events
    raise AssertionError(f"no {until.__name__} within {limit_s} s, but {events}")


def test_a_bundle_trains_and_its_events_come_live_and_in_order(executor: ProcessesExecutor) -> None:
    executor.submit(bundle(epochs=2))
    assert executor.idle == 0
    events = collect(executor, BundleFinished)
    assert executor.idle == 1
    kinds = [type(event).__name__ for event in events if getattr(event, "fold", 0) == 0]
    assert kinds[:3] == ["BundleStarted", "EpochFinished", "EpochFinished"]
    results = [event.result for event in events if isinstance(event, LaneFinished)]
    assert [result.fold for result in results] == [0, 1]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= results[0].curves.keys()
    assert results[0].epochs == 2
    assert events[-1].rss_bytes > 50e6


def test_a_stop_ends_lanes_between_epochs(executor: ProcessesExecutor) -> None:
    executor.submit(bundle(epochs=5000))
    collect(executor, EpochFinished)
    executor.stop(frozenset({0}))
    events = collect(executor, BundleFinished)
    stopped = [event for event in events if isinstance(event, LaneStopped)]
    assert len(stopped) == 2
    assert stopped[0].result.epochs < 5000


def test_a_stop_on_the_heels_of_its_bundle_is_heeded() -> None:
    sent = iter([Stop(frozenset({7})), Train(bundle(1)), Stop(frozenset({0}))])
    requests: SimpleQueue = SimpleQueue()
    stopped: set[int] = set()
    with pytest.raises(StopIteration):
        listen(SimpleNamespace(recv=lambda: next(sent)), requests, stopped)
    assert requests.get() == Train(bundle(1))
    assert stopped == {0}, "of this bundle, and none of an earlier one"


def test_a_killed_worker_is_reported_and_the_next_bundle_gets_a_fresh_one(executor: ProcessesExecutor) -> None:
    executor.submit(bundle(epochs=5000))
    collect(executor, EpochFinished)
    pid = executor.pids[0]
    os.kill(pid, signal.SIGKILL)
    (died,) = [event for event in collect(executor, WorkerDied) if isinstance(event, WorkerDied)]
    assert died.bundle == bundle(epochs=5000)
    assert died.reason.startswith("worker process ended with signal 9 (SIGKILL: often the system was out of memory)")
    executor.submit(bundle(epochs=1, folds=1))
    assert any(isinstance(event, LaneFinished) for event in collect(executor, BundleFinished))
    assert executor.pids[0] != pid


def test_a_call_does_not_meet_a_worker_that_died_idle(executor: ProcessesExecutor) -> None:
    executor.call(WorkerProtocol.describe_data)
    pid = executor.pids[0]
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert executor.call(WorkerProtocol.describe_data).rows == 120
    assert executor.pids[0] != pid


def test_a_call_that_takes_too_long_ends_its_worker() -> None:
    impatient = ProcessesExecutor(spec(), [WorkerSettings("jax")])
    try:
        impatient.patience_s = 0.01  # no rehearsal is so fast
        with pytest.raises(
            ExecutorError, match=r"^the worker was ended after 0\.01 s during 'rehearse'\n.*trial_timeout"
        ):
            impatient.call(WorkerProtocol.rehearse, {**CONFIG, "epochs": 1})
        impatient.patience_s = math.inf
        assert impatient.call(WorkerProtocol.describe_data).rows
    finally:
        impatient.close()


def test_errors_of_a_worker_come_back_as_they_are() -> None:
    text = STUDY.format(epochs=1).replace("sklearn:iris", "sklearn:irs")
    executor = ProcessesExecutor(parse_spec(text), [WorkerSettings("jax")])
    try:
        with pytest.raises(DataError) as caught:
            executor.call(WorkerProtocol.describe_data)
        assert caught.value.code == "data.unknown-source"
        assert caught.value.values["source"] == "sklearn:irs"
        with pytest.raises(ExecutorError) as defect:
            executor.call(SimpleNamespace(__name__="no_such_method"))
        assert defect.value.code == "executor.call-failed"
        assert defect.value.values == {"method": "no_such_method", "error": "AttributeError"}
    finally:
        executor.close()


def test_workers_end_when_the_driver_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from hpsearch.executors.processes import ProcessesExecutor\n"
        "from hpsearch.training.environment import WorkerSettings\n"
        "from tests.executors.test_processes import spec, bundle\n"
        "executor = ProcessesExecutor(spec(), [WorkerSettings('jax')])\n"
        "executor.submit(bundle(epochs=100000))\n"
        "print(executor.pids[0], flush=True)\n"
        "time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(driver.stdout.readline())
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("the worker outlived its driver by 20 s")
