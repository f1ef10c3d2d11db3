"""Which GPUs there are, and how slots share the machine."""

import os
from pathlib import Path

import pytest

from hpsearch.core.hardware import usable_cores
from hpsearch.errors import SpecError
from hpsearch.executors.devices import no_slot_left, plan_slots, why_closed
from hpsearch.executors.gpus import is_gone, list_gpus
from hpsearch.spec import ResourcesSection, parse_spec
from hpsearch.training.environment import WorkerSettings
from tests.executors.fake_gpus import DIVIDED, FIRST, PARTS, SECOND, FakeGpus, install

SMALL = 'name = "s"\n[data]\nsource = "sklearn:iris"\n[model]\nfamily = "mlp"\n[objective]\nmetric = "val_loss"\n'


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch) -> FakeGpus:
    return install(tmp_path / "bin", monkeypatch)


@pytest.fixture
def no_gpus(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def slots(**resources: object) -> list[WorkerSettings]:
    return plan_slots(ResourcesSection(**resources), backend="jax", cache=None)


@pytest.mark.usefixtures("no_gpus")
def test_slots_are_one_per_gpu_else_one_for_the_cpu(monkeypatch) -> None:
    """Without nvidia-smi, the variable is believed."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert [gpu.name for gpu in list_gpus()] == ["0", "2"]
    assert [slot.gpu for slot in slots()] == ["0", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    (only,) = slots()
    assert (only.gpu, only.threads) == (None, None)
    assert [slot.threads for slot in slots(workers=2)] == [max(1, usable_cores() // 2)] * 2


@pytest.mark.usefixtures("no_gpus")
def test_a_gpu_that_is_not_there_is_an_error(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(SpecError) as caught:
        slots(gpus=[3])
    assert caught.value.code == "study-file.no-such-gpu"
    assert caught.value.values == {"gpu": "3", "found": ("0",)}


def test_gpus_are_called_by_their_uuids_and_the_one_with_the_most_memory_comes_first(gpus: FakeGpus) -> None:
    assert [(gpu.number, gpu.model, (gpu.memory_bytes or 0) >> 30) for gpu in list_gpus()] == [
        ("0", "NVIDIA A100-SXM4-40GB", 40),
        ("1", "NVIDIA H200", 140),
    ]
    assert [slot.gpu for slot in slots()] == [SECOND, FIRST]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ([0], [FIRST]),
        ([SECOND], [SECOND]),
        (["GPU-5c"], [FIRST]),
        ([1, "GPU-5c5b"], [SECOND, FIRST]),
        ([], [None]),
    ],
)
def test_a_gpu_has_a_number_and_a_uuid_whose_beginning_is_enough(gpus: FakeGpus, asked, chosen) -> None:
    assert [slot.gpu for slot in slots(gpus=asked)] == chosen


@pytest.mark.parametrize("name", [2, "GPU-77", "GPU-", "MIG-41b3", "GPU-5c5b0f1e-8a3c-4c0e-9a5e-0000000000012"])
def test_a_name_that_fits_no_gpu_or_several_is_an_error(gpus: FakeGpus, name) -> None:
    with pytest.raises(SpecError, match=f"there is no GPU {name}; this machine has 0, 1\n.*the CPU") as caught:
        slots(gpus=[name])
    assert caught.value.code == "study-file.no-such-gpu"


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", [SECOND]),
        (" 1 , 0 ", [SECOND, FIRST]),
        ("GPU-5c", [FIRST]),
        (f"{SECOND},0,GPU-9d", [SECOND, FIRST]),
        ("0,-1,1", [FIRST]),
        ("0,7,1", [FIRST]),
        ("NoDevFiles", []),
        ("", []),
        ("-1", []),
    ],
)
def test_what_cuda_hides_is_not_there(gpus: FakeGpus, monkeypatch, visible, names) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in list_gpus()] == names


def test_a_hidden_gpu_cannot_be_asked_for(gpus: FakeGpus, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SECOND)
    with pytest.raises(SpecError, match="there is no GPU 0; this machine has 1"):
        slots(gpus=[0])
    assert [slot.gpu for slot in slots(gpus=[1])] == [SECOND]


def test_numbers_in_an_order_of_cudas_own_are_left_to_cuda(gpus: FakeGpus, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    assert [slot.gpu for slot in slots()] == ["1"]


def test_the_parts_of_a_divided_gpu_are_the_slots(gpus: FakeGpus, monkeypatch) -> None:
    gpus.show(DIVIDED)
    assert [slot.gpu for slot in slots()] == [SECOND, *PARTS]
    assert [(gpu.memory_bytes or 0) >> 30 for gpu in list_gpus()] == [20, 10, 140]
    assert [slot.gpu for slot in slots(gpus=[0])] == list(PARTS)
    assert [slot.gpu for slot in slots(gpus=[FIRST])] == list(PARTS)
    assert [slot.gpu for slot in slots(gpus=["MIG-fbb8"])] == [PARTS[1]]
    with pytest.raises(SpecError, match="there is no GPU MIG-; this machine has MIG-41b"):
        slots(gpus=["MIG-"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PARTS[1])
    assert [slot.gpu for slot in slots()] == [PARTS[1]]


def test_mig_devices_in_the_words_of_older_drivers(gpus: FakeGpus) -> None:
    old = f"MIG-{FIRST}/1/0"
    gpus.show(f"GPU 0: A100 (UUID: {FIRST})\n  MIG 1g.5gb Device 0: (UUID: {old})\n")
    assert [slot.gpu for slot in slots(gpus=[old])] == [old]


def test_a_shared_gpu_has_several_slots_and_each_knows_how_many(gpus: FakeGpus) -> None:
    shared = slots(gpu_share=2)
    assert [slot.gpu for slot in shared] == [SECOND, FIRST, SECOND, FIRST], "one after another on different GPUs"
    assert [slot.gpu_workers for slot in shared] == [2] * 4
    assert [slot.place for slot in shared] == [0, 1, 2, 3]
    assert [slot.gpu_workers for slot in slots(workers=3)] == [2, 1, 2]
    assert [slot.gpu_workers for slot in slots()] == [1, 1]


@pytest.mark.usefixtures("no_gpus")
def test_there_must_be_a_gpu_to_share(monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(SpecError, match=r"3 workers are to share a GPU, but there is none.*\n.*leave gpu_share out"):
        slots(gpu_share=3)


def test_a_slot_is_closed_once_its_gpu_has_left(gpus: FakeGpus) -> None:
    first, second = (WorkerSettings("jax", gpu) for gpu in (FIRST, SECOND))
    assert (why_closed(first), why_closed(second)) == ("", "")
    gpus.show(
        "".join(line for line in DIVIDED.splitlines(keepends=True) if PARTS[0] not in line and "GPU 1" not in line)
    )
    assert why_closed(second) == f"GPU {SECOND} is gone"
    assert why_closed(first) == ""
    assert is_gone(PARTS[0])
    assert not is_gone(PARTS[1])
    assert why_closed(WorkerSettings("jax")) == "", "a slot of the CPU"
    assert no_slot_left("GPU 1 is gone").code == "executor.no-device-left"


@pytest.mark.usefixtures("no_gpus")
def test_where_nobody_can_tell_a_gpu_is_not_gone() -> None:
    assert not is_gone(FIRST)
    assert os.environ["PATH"] == "/nonexistent"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('gpus = ["0"]', "a GPU is a number, or a UUID such as"),
        ("gpus = [-1]", "GPUs are counted from 0, so none is -1"),
        ("workers = 4\ngpu_share = 2", "workers = 4 and gpu_share = 2 both say how many workers there are"),
        ("gpu_share = 0", "resources.gpu_share: must be greater than or equal to 1"),
    ],
)
def test_mistakes_about_gpus_are_told_with_the_value(lines: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{SMALL}[resources]\n{lines}\n")
    assert said in str(caught.value)
