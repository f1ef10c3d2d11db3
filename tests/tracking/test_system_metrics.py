"""Processor and memory, as MLflow samples them while a study is searched."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.testing.factories import make_record
from hpsearch.tracking.mlflow import system_metrics
from hpsearch.tracking.mlflow.tracker import MlflowTracker
from hpsearch.tracking.settings import mlflow_settings


def searched(record: StudyRecord, *, sampled: bool) -> None:
    """A part of a study, in which at least two more samples are taken."""
    tracking = record.spec.tracking.model_copy(update={"system_metrics": sampled})
    tracker = MlflowTracker(tracking)
    tracker.open(record)
    assert tracker.flush(60)
    if sampled:
        monitor = tracker._metrics._monitor
        wanted, deadline = monitor._logging_step + 2, time.monotonic() + 60
        while monitor._logging_step < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
    assert tracker.close(replace(record, state=StudyState.INTERRUPTED)).caught_up


def test_samples_go_on_where_those_of_an_earlier_part_end(
    folder: Path,
    snapshot: Callable[..., dict[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(system_metrics, "SECONDS", 0.2)
    record, counts = make_record((), folder=folder), []
    with mlflow_settings():
        for sampled in (True, True, False):
            searched(record, sampled=sampled)
            points = snapshot(record.spec.tracking.uri.reveal())["digits"]["points"]
            steps = [step for step, _, _ in points["system/cpu_utilization_percentage"]]
            assert steps == list(range(len(steps)))
            assert "system metrics" not in capfd.readouterr().err
            counts.append(len(steps))
    assert 0 < counts[0] < counts[1] == counts[2]
    assert "system/system_memory_usage_percentage" in points
