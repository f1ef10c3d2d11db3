"""Which GPUs there are, and how slots share the machine."""

import os

import pytest

from hpsearch.errors import SpecError
from hpsearch.executors.devices import list_gpus, plan_slots
from hpsearch.spec import ResourcesSection


def test_slots_are_one_per_gpu_else_one_for_the_cpu(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert list_gpus() == ["0", "2"]
    slots = plan_slots(ResourcesSection(), backend="jax", cache=None)
    assert [slot.gpu for slot in slots] == ["0", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    (only,) = plan_slots(ResourcesSection(), backend="jax", cache=None)
    assert (only.gpu, only.threads) == (None, None)
    shared = plan_slots(ResourcesSection(workers=2), backend="jax", cache=None)
    assert [slot.threads for slot in shared] == [max(1, (os.cpu_count() or 1) // 2)] * 2


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(SpecError) as caught:
        plan_slots(ResourcesSection(gpus=[3]), backend="jax", cache=None)
    assert caught.value.code == "study-file.no-such-gpu"
    assert caught.value.values == {"gpu": "3", "found": ("0",)}
