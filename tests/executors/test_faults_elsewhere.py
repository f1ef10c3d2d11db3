"""Machines that go down under a study: its ledger and MLflow equal those of the same study that nobody disturbed."""

import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import FoldResult, Trial
from hpsearch.ledger.store import Ledger
from hpsearch.search.observer import Observer
from hpsearch.spec import load_spec
from hpsearch.study import run
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol
from tests.executors.elsewhere import WORKER, placed
from tests.faults.outcome import Outcome, differences, outcome_of

pytestmark = pytest.mark.slow

STUDY = """
name = "elsewhere"
seed = 3
[data]
source = "table.csv"
target = "species"
[validation]
folds = 2
[model]
build = "model:build"
[space]
units = [8, 16, 32]
learning_rate = { low = 0.01, high = 0.04 }
batch_size = 16
epochs = 30
[objective]
metric = "val_accuracy"
[search]
algorithm = "random"
trials = 5
[resources]
executor = "EXECUTOR"
workers = 2
threads = 1
trials_per_bundle = 1
"""

MODEL = """
import helper

def build(config, data):
    return helper.network(config, data)
"""

HELPER = """
import keras
from hpsearch.models.inputs import encode

def network(config, data):
    inputs, x = encode(data)
    x = keras.layers.Dense(config["units"], activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(data.n_classes, activation="softmax")(x))
    adam = keras.optimizers.Adam(config["learning_rate"])
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


class World(ABC):
    """Where workers run."""

    executor: ClassVar[str]

    @property
    @abstractmethod
    def sections(self) -> str:
        """What the study file says of it, after [resources]."""

    @property
    @abstractmethod
    def roots(self) -> list[int]:
        """The processes below which workers run."""

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Have two workers, or places for them."""

    @abstractmethod
    def kill_place(self) -> None:
        """Kill a machine that trains, and give the study another one."""

    def kill_process(self) -> None:
        """Kill a worker process, and leave its place."""
        _kill(_busiest(self.roots))

    @abstractmethod
    def close(self) -> None:
        """After all, or after a study that shall leave nothing."""


def _busiest(roots: Iterable[int]) -> psutil.Process:
    """Of the worker processes below some others, the one that works most at the moment."""
    below = [one for root in roots for one in psutil.Process(root).children(recursive=True)]
    found = [one for one in below if "hpsearch.executors.serve" in one.cmdline()]
    assert found, "no worker process runs"
    for one in found:
        one.cpu_percent()
    time.sleep(0.05)
    return max(found, key=lambda one: one.cpu_percent())


def _kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


class Remote(World):
    """Processes of ``hpsearch worker``."""

    executor = "remote"

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._folder = Path()

    @property
    def sections(self) -> str:
        return f'[resources.remote]\nbind = "127.0.0.1:{PORT}"\n'

    def open(self, folder: Path) -> None:
        self._folder = folder / "away"
        self._folder.mkdir()
        for _ in range(2):
            self._start()

    @property
    def roots(self) -> list[int]:
        return [one.pid for one in self._started if one.poll() is None]

    def _start(self) -> None:
        command = [*WORKER, "--connect", f"127.0.0.1:{PORT}", "--wait", "60"]
        env = {**os.environ, "XDG_CACHE_HOME": str(self._folder / "cache")}
        output = (self._folder / f"{len(self._started)}.out").open("wb")
        self._started.append(subprocess.Popen(command, cwd=self._folder, env=env, stdout=output, stderr=output))

    def kill_place(self) -> None:
        busy = _busiest(self.roots).parent()
        assert busy is not None
        _kill(busy)
        self._start()

    def close(self) -> None:
        for one in self._started:
            one.kill()
            one.wait()


PORT = 20_000 + os.getpid() % 10_000  # below those that systems give out by themselves


class Ray(World):
    """A cluster of nodes on this machine: a head without CPUs, and three nodes with one each."""

    executor = "ray"

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self._nodes: list[Any] = []

    @property
    def sections(self) -> str:
        return f'[resources.ray]\naddress = "{self._cluster.address}"\n'

    @property
    def roots(self) -> list[int]:
        return [one.all_processes["raylet"][0].process.pid for one in self._nodes]

    def open(self, folder: Path, nodes: int = 3) -> None:  # one to spare
        while len(self._nodes) < nodes:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def kill_place(self) -> None:
        busy = {one.pid for one in _busiest(self.roots).parents()}
        node = next(one for one in self._nodes if one.all_processes["raylet"][0].process.pid in busy)
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_actor(self) -> None:
        """Kill what Ray has started, and leave its node."""
        actor = _busiest(self.roots).parent()
        assert actor is not None
        _kill(actor)

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="module", params=[Remote, Ray])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param is Ray:
        pytest.importorskip("ray", reason="Ray has no wheel for this Python and machine")
    made: World = request.param()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_worker_is_left(world: World) -> Iterator[None]:
    """The next test has its own."""
    yield
    if isinstance(world, Remote):
        world.close()


class Disturbing(Observer):
    """Does something once, when a trial is at some moment."""

    def __init__(self, moment: str, act: Callable[[], None]) -> None:
        self._moment, self._act = moment, act
        self.notes: list[str] = []
        self._acting = self.acted = False

    def _now(self) -> None:
        if not self._acting:
            self._acting = True
            self._act()
            self.acted = True

    def trial_started(self, trial: Trial) -> None:
        if self._moment == "compiling" and trial.number == 2:
            threading.Timer(0.7, self._now).start()

    def epoch_finished(self, event: EpochFinished) -> None:
        if self._moment == "in an epoch" and event.trial >= 1 and event.epoch == 5:
            self._now()

    def refit_started(self, trial: Trial) -> None:
        if self._moment == "refitting":
            threading.Timer(0.7, self._now).start()

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        if self._moment == "after the last fold" and trial.number >= 1 and result.fold == 1:
            self._now()

    def note(self, text: str) -> None:
        self.notes.append(text)


def _written(folder: Path, executor: str, sections: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(STUDY.replace("EXECUTOR", executor) + sections)
    (folder / "model.py").write_text(MODEL)
    (folder / "helper.py").write_text(HELPER)
    rows = [f"{i % 7},{i * 37 % 11},{'abc'[(i % 7 + i * 37 % 11) % 3]}" for i in range(90)]
    (folder / "table.csv").write_text("\n".join(["one,two,species", *rows]))
    return folder / "study.toml"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("undisturbed") / "home"
    _run(_written(folder, "processes"))
    return outcome_of(folder, "elsewhere", folder / "mlruns" / "mlflow.db")


def _run(file: Path, observer: Observer | None = None) -> None:
    before = Path.cwd()
    os.chdir(file.parent)
    try:
        run(file, observer=observer or Observer())
    finally:
        os.chdir(before)


@pytest.mark.parametrize("moment", ["compiling", "in an epoch", "after the last fold", "refitting"])
def test_a_machine_goes_down(world: World, moment: str, undisturbed: Outcome, tmp_path: Path) -> None:
    file = _written(tmp_path / "home", world.executor, world.sections)
    world.open(tmp_path)
    observer = Disturbing(moment, world.kill_place)
    _run(file, observer)
    assert observer.acted
    again = "asked again" if moment == "refitting" else "trained again"
    if moment != "after the last fold":
        assert any("lost" in note and again in note for note in observer.notes), observer.notes
    _compare(file.parent, undisturbed)


@pytest.mark.parametrize("victim", ["kill_process", "kill_actor"])
def test_a_process_dies(world: World, victim: str, undisturbed: Outcome, tmp_path: Path) -> None:
    if not hasattr(world, victim):
        pytest.skip("only Ray has actors")
    file = _written(tmp_path / "home", world.executor, world.sections)
    world.open(tmp_path)
    observer = Disturbing("in an epoch", getattr(world, victim))
    _run(file, observer)
    assert observer.acted
    _compare(file.parent, undisturbed)


def test_the_driver_dies_and_goes_on(world: World, undisturbed: Outcome, tmp_path: Path) -> None:
    file = _written(tmp_path / "home", world.executor, world.sections)
    world.open(tmp_path)
    driver = subprocess.Popen([sys.executable, "-m", "hpsearch", "run", file.name], cwd=file.parent)
    try:
        until = time.monotonic() + 120
        while not _has_trials(file.parent, 2):
            assert time.monotonic() < until, "two trials must end"
            time.sleep(0.05)
    finally:
        driver.kill()
        driver.wait()
    if isinstance(world, Ray):  # on another cluster
        world.close()
        world.__init__()  # type: ignore[misc]
        world.open(tmp_path)
        file = _written(file.parent, world.executor, world.sections)
    _run(file)
    _compare(file.parent, undisturbed)


def _has_trials(folder: Path, count: int) -> bool:
    path = folder / "mlruns" / "ledger.db"
    if not path.exists():
        return False
    ledger = Ledger(f"sqlite:///{path}")
    return ledger.has("elsewhere") and sum(one.state.finished for one in ledger.load("elsewhere").trials) >= count


def _compare(folder: Path, undisturbed: Outcome) -> None:
    found: Any = outcome_of(folder, "elsewhere", folder / "mlruns" / "mlflow.db")
    assert not differences(found, undisturbed, 1e-6)


def test_a_cluster_that_grows_is_used(world: World, tmp_path: Path) -> None:
    """Without a number of workers, there are as many as fit."""
    pytest.importorskip("ray", reason="Ray has no wheel for this Python and machine")
    from hpsearch.executors.ray_cluster import RayExecutor

    if isinstance(world, Remote):
        pytest.skip("only Ray has nodes")
    growing = Ray()
    try:
        growing.open(tmp_path, 1)
        spec, _ = load_spec(_written(tmp_path / "home", "ray", growing.sections))
        spec = placed(spec, "ray", workers="auto", ray={"cpus": 1.0})
        executor = RayExecutor(spec, [WorkerSettings("jax")])
        assert executor.width == 1
        assert executor.call(WorkerProtocol.describe_data).rows == 72
        growing.open(tmp_path, 2)
        until = time.monotonic() + 60
        while executor.slots < 2:
            assert time.monotonic() < until, "a worker on the new node must join"
            assert not executor.events(0.2)
        assert executor.idle == 2
        executor.close()
    finally:
        growing.close()
