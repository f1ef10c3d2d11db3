"""Workers that come, leave, are refused or not found: what users are told."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from hpsearch.core.events import BundleFinished, EpochFinished, Event, WorkerDied
from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors import make_executor
from hpsearch.executors.channel import Connections
from hpsearch.executors.far_messages import End, FromPlace, Greeting, Open, Part, Ready, Refused, Wants
from hpsearch.executors.keys import worker_key
from hpsearch.executors.place import Place, greeting
from hpsearch.executors.remote import RemoteExecutor
from hpsearch.spec import StudySpec, parse_spec
from hpsearch.testing.contracts.lanes import make_bundle, make_spec
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol
from tests.executors.elsewhere import WORKER, placed, worker

SETTINGS = [WorkerSettings("jax")]


def remote(spec: StudySpec | None = None, **changes: object) -> RemoteExecutor:
    executor = RemoteExecutor(
        placed(spec or make_spec(), "remote", remote={"bind": "127.0.0.1:0", **changes}), SETTINGS
    )
    executor.notes = []  # type: ignore[attr-defined]
    executor.note = executor.notes.append  # type: ignore[attr-defined]
    return executor


def with_data_of_its_own(folder: Path) -> StudySpec:
    """A study whose code reads what differs from machine to machine: the environment variable ROWS."""
    (folder / "mine.py").write_text(
        "import os\nimport numpy as np\n\n\ndef load():\n"
        "    x = np.random.default_rng(int(os.environ.get('ROWS', 0))).normal(size=(90, 3))\n"
        "    return x, np.arange(90) % 3\n"
    )
    text = '[data]\nsource = "mine:load"\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'
    return parse_spec(f'name = "other"\n{text}').model_copy(update={"folder": str(folder)})


def until(executor: RemoteExecutor, what, limit_s: float = 60) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + limit_s
    while not what(events):
        assert time.monotonic() < end, (events, executor.notes)  # type: ignore[attr-defined]
        events += executor.events(0.1)
    return events


def test_the_user_is_told_how_workers_join() -> None:
    executor = remote()
    until(executor, lambda events: executor.notes, 10)  # type: ignore[attr-defined]
    (note,) = executor.notes  # type: ignore[attr-defined]
    assert note.startswith("waiting for workers: `")
    assert note.endswith(f"hpsearch worker --connect 127.0.0.1:{executor.port}`")
    assert (executor.slots, executor.idle, executor.width) == (0, 0, 4)
    executor.close()


@pytest.mark.slow
def test_workers_join_and_leave_while_a_study_runs() -> None:
    executor = remote()
    with ExitStack() as stack:
        first = stack.enter_context(worker(executor.port))
        assert executor.call(WorkerProtocol.describe_data).rows == 120
        executor.submit(make_bundle(epochs=5000, folds=(0,)))
        until(executor, lambda events: any(isinstance(one, EpochFinished) for one in events))
        stack.enter_context(worker(executor.port))
        until(executor, lambda events: executor.slots == 2)
        assert executor.idle == 1
        first.kill()
        events = until(executor, lambda events: any(isinstance(one, WorkerDied) for one in events))
        died = next(one for one in events if isinstance(one, WorkerDied))
        assert died.reason.startswith("the connection to the worker ")
        assert died.reason.endswith(" was lost")
        assert executor.slots == 1
        executor.submit(make_bundle(epochs=2, folds=(0,)))
        until(executor, lambda events: any(isinstance(one, BundleFinished) for one in events))
    executor.close()


@pytest.mark.slow
def test_a_worker_with_other_data_is_refused(tmp_path: Path) -> None:
    """Its folder has the study's code, but the code reads what differs from machine to machine."""
    spec = with_data_of_its_own(tmp_path)
    executor = remote(spec)
    with worker(executor.port), ExitStack() as stack:
        executor.call(WorkerProtocol.describe_data)
        other = stack.enter_context(worker(executor.port, env={"ROWS": "1"}))
        until(executor, lambda events: executor.notes)  # type: ignore[attr-defined]
        (note,) = executor.notes  # type: ignore[attr-defined]
        assert "is refused: it finds other data: their fingerprint is " in note
        said, _ = other.communicate(timeout=20)
        assert other.returncode == 7
        assert f"the driver at 127.0.0.1:{executor.port} refuses this worker: it finds other data" in said
        assert executor.slots == 1
    executor.close()


def test_a_worker_with_another_version_is_refused() -> None:
    executor = remote()
    with worker(executor.port, wait=1) as process:
        original = executor._greet

        def greet(seat, greeting: Greeting) -> None:
            original(seat, Greeting(greeting.name, greeting.version, {**greeting.packages, "hpsearch": "0.0.1"}))

        executor._greet = greet  # type: ignore[method-assign]
        until(executor, lambda events: any("refused" in one for one in executor.notes))  # type: ignore[attr-defined]
        note = next(one for one in executor.notes if "refused" in one)  # type: ignore[attr-defined]
        assert "it has hpsearch 0.0.1, the driver has " in note
        assert note.endswith(": install the same version on both")
        process.communicate(timeout=20)
    executor.close()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--connect", "127.0.0.1:99999"], 2, "--connect '127.0.0.1:99999' is no address"),
        (["--connect", "a..b:4733"], 7, "there is no driver of hpsearch at a..b:4733: the address is none"),
        (["--connect", "head"], 2, "error[study-file.bad-address]: --connect 'head' is no address"),
        (["--connect", "127.0.0.1:1", "--gpu", "7"], 2, "--gpu 7: there is no such GPU; this machine has none"),
        (["--connect", "127.0.0.1:1", "--wait", "0"], 7, "there is no driver at 127.0.0.1:1: "),
        (["--connect", "127.0.0.1:1", "--key-file", "none"], 2, "the key of the workers cannot be read: none"),
    ],
)
def test_what_a_worker_that_cannot_join_says(options: list[str], code: int, said: str) -> None:
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*WORKER, *options], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("executor", "remedy"),
    [("ray", "`[resources.ray] gpus = 1`"), ("remote", "`hpsearch worker --gpu 0`"), ("slurm", 'gres = "gpu:1"')],
)
def test_numbers_of_gpus_mean_nothing_elsewhere(executor: str, remedy: str) -> None:
    spec = placed(make_spec(), executor, gpus=[0, 1])
    with pytest.raises(SpecError, match=r"cannot take GPUs of this machine, but got \[0, 1\]") as raised:
        make_executor(spec, backend="jax", cache=None)
    assert remedy in raised.value.hint


@pytest.mark.slow
def test_a_study_that_goes_on_takes_only_workers_with_its_data(tmp_path: Path) -> None:
    """Also if the first one has others."""
    spec = with_data_of_its_own(tmp_path)
    first = remote(spec)
    with worker(first.port):
        fingerprint = first.call(WorkerProtocol.describe_data).fingerprint
    first.close()
    executor = remote(spec)
    executor.fingerprint = fingerprint
    with ExitStack() as stack:
        stack.enter_context(worker(executor.port, env={"ROWS": "1"}))
        until(executor, lambda events: any("is refused" in one for one in executor.notes))  # type: ignore[attr-defined]
        stack.enter_context(worker(executor.port))
        assert executor.call(WorkerProtocol.describe_data).fingerprint == fingerprint
        assert executor.slots == 1
    executor.close()


@pytest.mark.slow
def test_a_file_that_changes_after_the_driver_s_start(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,0\n2,1\n" * 20)
    text = '[data]\nsource = "rows.csv"\ntarget = "b"\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'
    executor = remote(parse_spec(f'name = "changed"\n{text}').model_copy(update={"folder": str(tmp_path)}))
    executor._open = replace(executor._open, spec=executor._open.spec.model_copy(update={"folder": "/no/such"}))
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,0\n2,1\n" * 30)
    with worker(executor.port, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}) as process:
        until(executor, lambda events: process.poll() is not None)
        said, _ = process.communicate()
    assert "rows.csv has changed since this driver was started: start it again" in said
    assert any("rows.csv has changed" in one for one in executor.notes)  # type: ignore[attr-defined]
    executor.close()


def test_the_end_of_a_process_that_has_ended_is_not_told_twice(tmp_path: Path) -> None:
    place = Place(gpu=None, threads=1, cache=tmp_path)
    place.tell(Open(make_spec(), "jax", None, False, ()))
    assert place.hear(1) == [Ready()]
    place.tell(End("too late"))
    assert place.hear(0.2) == []
    place.close()


@pytest.mark.parametrize(
    "message",
    [
        Wants(("/etc/passwd",)),
        Part("folder", "driver.lock", 0, b"x", True),
        Part("predictions", "../x", 0, b"x", True),
        Part("predictions", "", 0, b"x", True),
        Ready(),
        Greeting("again", 1, {}),
    ],
)
def test_a_worker_that_says_what_makes_no_sense_is_refused(message: FromPlace, tmp_path: Path) -> None:
    executor = remote()
    heard: SimpleQueue[object] = SimpleQueue()
    connections = Connections(worker_key(None), lambda peer, said: heard.put(said))
    peer = connections.connect("127.0.0.1", executor.port)
    peer.send(greeting())
    peer.send(Ready())
    until(executor, lambda events: executor.slots == 1)
    peer.send(message)
    until(executor, lambda events: executor.slots == 0)
    assert any("is refused: " in one for one in executor.notes)  # type: ignore[attr-defined]
    assert isinstance(heard.get(timeout=5), Open)
    assert isinstance(heard.get(timeout=5), Refused)
    connections.close()
    executor.close()


# Ray


def test_ray_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match="Ray is not installed") as raised:
        make_executor(placed(make_spec(), "ray"), backend="jax", cache=None)
    assert raised.value.hint == "`pip install 'hpsearch[ray]'`"


@pytest.mark.slow
def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray", reason="Ray has no wheel for this Python and machine")
    code = (
        "from hpsearch.executors import make_executor\n"
        "from hpsearch.testing.contracts.lanes import make_spec\n"
        "from tests.executors.elsewhere import placed\n"
        "make_executor(placed(make_spec(), 'ray', ray={'address': 'ADDRESS'}), backend='jax', cache=None)\n"
    )
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):  # "auto" would find the clusters of other tests
        command = [sys.executable, "-c", code.replace("ADDRESS", address)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert f"resources.ray.address: there is no Ray cluster at '{address}'" in done.stderr, done.stderr[-3000:]
        assert "`ray start --head` starts one here" in done.stderr


# Nothing is shared

RUN = """
import numpy as np
import hpsearch
import keras_layers

def build(config, data):
    return keras_layers.network(config, data)

if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")
    study = hpsearch.run(
        build, x, y, name="memory", space={"units": [4, 8], "epochs": 2}, folds=2, trials=2, metric="val_accuracy",
        resources={"executor": "remote", "remote": {"bind": "127.0.0.1:PORT"}}, verbose=0,
    )
    assert len(study.record.ranked) == 2
    print(sorted(path.name for path in study.folder.iterdir() if not path.name.startswith(".")))
    print(sorted(path.name for path in (study.folder / "predictions").rglob("*.npz")))
"""

LAYERS = """
import keras

def network(config, data):
    rows = keras.Input(data.input_shape)
    x = keras.layers.Dense(config["units"], activation="relu")(rows)
    model = keras.Model(rows, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
"""


def _hidden(folder: Path) -> list[str]:
    """What runs a command that cannot see a folder, as on another machine."""
    way = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh"]
    try:
        done = subprocess.run([*way, "true"], capture_output=True, check=False, timeout=10)
    except OSError:
        done = None
    if done is None or done.returncode:
        pytest.skip("no folder can be hidden from a process here: that needs root and mount namespaces of Linux")
    return way


@pytest.mark.slow
def test_data_and_code_in_memory_reach_a_machine_that_shares_nothing(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    hidden = _hidden(home)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    (home / "program.py").write_text(RUN.replace("PORT", str(port)))
    (home / "keras_layers.py").write_text(LAYERS)
    env = {**os.environ, "KERAS_BACKEND": "jax"}
    with ExitStack() as stack:
        pipe = subprocess.PIPE
        driver = subprocess.Popen(
            [sys.executable, "program.py"], cwd=home, env=env, text=True, stdout=pipe, stderr=pipe
        )
        stack.callback(driver.kill)
        command = [*hidden, *WORKER, "--connect", f"127.0.0.1:{port}", "--wait", "60"]
        log = stack.enter_context((away / "log").open("wb"))
        elsewhere = {**env, "XDG_CACHE_HOME": str(away / "cache")}
        worker = subprocess.Popen(command, cwd=away, env=elsewhere, stdout=log, stderr=log)
        stack.callback(worker.kill)
        shown, said = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    files, predictions = shown.splitlines()[-2:]
    for name in ("champion.json", "champion.keras", "mlflow_model", "predictions.npz", "report.html"):
        assert repr(name) in files
    assert predictions == "['0.npz', '0.npz', '1.npz', '1.npz']"
    assert list(away.glob("cache/hpsearch/studies/*/*.npy"))


def test_a_worker_that_cannot_keep_files(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,0\n2,1\n" * 20)
    text = '[data]\nsource = "rows.csv"\ntarget = "b"\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'
    executor = remote(parse_spec(f'name = "full"\n{text}').model_copy(update={"folder": str(tmp_path)}))
    executor._open = replace(executor._open, spec=executor._open.spec.model_copy(update={"folder": "/no/such"}))
    (tmp_path / "cache").write_text("no folder")
    with worker(executor.port, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}) as process:
        until(executor, lambda events: process.poll() is not None)
        said, _ = process.communicate()
    assert process.returncode == 7
    assert "a worker cannot keep its files: " in said
    assert "Not a directory" in said
    assert "XDG_CACHE_HOME" in said
    assert "Traceback" not in said
    executor.close()


@pytest.mark.slow
def test_a_check_awaits_nobody_and_submits_nothing(tmp_path: Path) -> None:
    text = '[data]\nsource = "sklearn:iris"\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'
    (tmp_path / "s.toml").write_text(f'name = "far"\n{text}[resources]\nexecutor = "slurm"\nworkers = 3\n')
    command = [sys.executable, "-m", "hpsearch", "check", "s.toml", "--no-measure"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "checked on this machine" in done.stderr
    (tmp_path / "s.toml").write_text((tmp_path / "s.toml").read_text() + 'files = ["*.npy"]\n')
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "resources.files: '*.npy' fits no file" in done.stderr
