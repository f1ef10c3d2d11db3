"""What this machine has."""

import os
from pathlib import Path

import pytest

from hpsearch.core import hardware


def test_the_processor_has_a_name_and_memory_is_plausible() -> None:
    assert hardware.processor()
    assert 2**28 < hardware.memory_bytes() < 2**50


def test_what_the_system_does_not_tell_is_left_open(monkeypatch) -> None:
    def unknown(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert hardware.memory_bytes() is None


def test_cores_are_those_that_affinity_and_the_control_group_leave(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(hardware, "group_cores", lambda: None)
    assert hardware.usable_cores() == 6
    monkeypatch.setattr(hardware, "group_cores", lambda: 2.5)
    assert hardware.usable_cores() == 2
    monkeypatch.setattr(hardware, "group_cores", lambda: 0.5)
    assert hardware.usable_cores() == 1


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({"cpu.max": "250000 100000\n", "memory.max": "1073741824\n"}, 2.5, 1 << 30),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        (
            {
                "cpu/cpu.cfs_quota_us": "50000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "4096\n",
            },
            0.5,
            4096,
        ),
        (
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
            },
            None,
            None,
        ),
        ({}, None, None),
    ],
)
def test_limits_of_a_control_group_of_either_version(tmp_path: Path, files, cores, memory) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert hardware.group_cores(tmp_path) == cores
    assert hardware.group_memory_bytes(tmp_path) == memory
