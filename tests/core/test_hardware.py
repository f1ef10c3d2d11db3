"""What this machine has."""

import os

from hpsearch.core import hardware


def test_the_processor_has_a_name_and_memory_is_plausible() -> None:
    assert hardware.processor()
    assert 2**28 < hardware.memory_bytes() < 2**50


def test_what_the_system_does_not_tell_is_left_open(monkeypatch) -> None:
    def unknown(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert hardware.memory_bytes() is None
