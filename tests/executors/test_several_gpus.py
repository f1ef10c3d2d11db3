"""Real workers on a machine that seems to have GPUs: what each of them sees, and what happens when a GPU leaves."""

import json
import os
import signal
from pathlib import Path

import pytest

from hpsearch.core.events import Bundle, BundleFinished, EpochFinished, Event, Lane, LaneFinished, WorkerDied
from hpsearch.errors import ExecutorError
from hpsearch.executors.devices import plan_slots
from hpsearch.executors.processes import ProcessesExecutor
from hpsearch.spec import ResourcesSection, StudySpec, load_spec
from tests.executors.fake_gpus import FIRST, PLAIN, SECOND, FakeGpus, install
from tests.executors.test_processes import STUDY, collect

pytestmark = pytest.mark.slow

CODE = """
import json, os
from pathlib import Path

NAMES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "XLA_PYTHON_CLIENT_MEM_FRACTION", "TF_FORCE_GPU_ALLOW_GROWTH")
seen = {name: os.environ.get(name) for name in NAMES}
Path(__file__).with_name(f"seen-{os.getpid()}").write_text(json.dumps(seen))

def build(config, data):
    import keras
    if config["sick"] and seen["CUDA_VISIBLE_DEVICES"].startswith("GPU-9d"):
        raise RuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch) -> FakeGpus:
    return install(tmp_path / "bin", monkeypatch)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    (tmp_path / "seen_by.py").write_text(CODE)
    head, _, rest = STUDY.format(epochs=2).partition("[model]")
    rest = rest[rest.index("[objective]") :]
    space = '[model]\nbuild = "seen_by:build"\n[space]\nsick = [false, true]\nbatch_size = 16\nepochs = 2\n'
    (tmp_path / "study.toml").write_text(head + space + rest)
    return load_spec(tmp_path / "study.toml")[0]


def bundle(number: int, *, epochs: int = 2, sick: bool = False) -> Bundle:
    return Bundle(number, (Lane(number, 0, {"sick": sick, "batch_size": 16, "epochs": epochs}),))


def open_workers(spec: StudySpec, **resources: object) -> ProcessesExecutor:
    return ProcessesExecutor(spec, plan_slots(ResourcesSection(**resources), backend="jax", cache=None))


def until_idle(executor: ProcessesExecutor) -> list[Event]:
    events: list[Event] = []
    while executor.idle < executor.slots:
        events += collect(executor, BundleFinished | WorkerDied)
    return events


def test_each_worker_sees_one_gpu_and_its_part_of_the_memory(gpus: FakeGpus, spec: StudySpec, tmp_path: Path) -> None:
    executor = open_workers(spec, gpu_share=2, threads=1)
    try:
        for number in range(4):
            executor.submit(bundle(number))
        events = until_idle(executor)
        assert sum(isinstance(event, LaneFinished) for event in events) == 4, events
        seen = [json.loads((tmp_path / f"seen-{pid}").read_text()) for pid in executor.pids]
    finally:
        executor.close()
    assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == [SECOND, FIRST, SECOND, FIRST]
    assert {one["XLA_PYTHON_CLIENT_MEM_FRACTION"] for one in seen} == {"0.3750"}
    assert {one["TF_FORCE_GPU_ALLOW_GROWTH"] for one in seen} == {"true"}
    assert {one["CUDA_DEVICE_ORDER"] for one in seen} == {"PCI_BUS_ID"}


def test_a_gpu_that_leaves_takes_its_slot_with_it(gpus: FakeGpus, spec: StudySpec) -> None:
    executor = open_workers(spec)
    try:
        executor.submit(bundle(0, epochs=100_000))
        collect(executor, EpochFinished)
        gpus.show(PLAIN.splitlines(keepends=True)[0])
        os.kill(executor.pids[0], signal.SIGKILL)
        (died,) = [event for event in collect(executor, WorkerDied) if isinstance(event, WorkerDied)]
        assert died.reason.endswith(f"; GPU {SECOND} is gone, which leaves 1 worker")
        assert died.bundle.id == 0
        assert (executor.slots, executor.idle) == (1, 1)
        executor.submit(bundle(0))
        assert any(isinstance(event, LaneFinished) for event in until_idle(executor)), "the other GPU trains it"
        executor.submit(bundle(1, epochs=100_000))
        collect(executor, EpochFinished)
        gpus.show("")
        os.kill(executor.pids[1], signal.SIGKILL)
        with pytest.raises(
            ExecutorError, match=r"is gone, and it was the last one of the study\n.*nvidia-smi"
        ) as caught:
            collect(executor, WorkerDied)
        assert caught.value.code == "executor.no-device-left"
    finally:
        executor.close()


def test_a_device_that_fails_is_no_failure_of_the_trial(gpus: FakeGpus, spec: StudySpec) -> None:
    executor = open_workers(spec)
    try:
        executor.submit(bundle(0, sick=True))
        (died,) = [event for event in collect(executor, WorkerDied) if isinstance(event, WorkerDied)]
        assert died.reason.startswith("its device failed: ")
        assert "CUDA_ERROR_LAUNCH_FAILED" in died.reason
        assert executor.slots == 2, "the GPU is still there"
    finally:
        executor.close()
