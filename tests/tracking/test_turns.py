"""The driver goes first: MLflow's thread takes the time that the driver leaves, and does not stand still."""

import threading
import time

from hpsearch.tracking.mlflow import turns
from hpsearch.tracking.mlflow.turns import Turns


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def waits(taken: Turns) -> threading.Thread:
    """A thread that waits for its turn."""

    def run() -> None:
        with taken.take():
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_who_has_used_up_its_time_waits_until_the_driver_leaves_some(monkeypatch):
    monkeypatch.setattr(turns, "_SAVED_S", 0.02)
    monkeypatch.setattr(turns, "_PATIENCE_S", 60.0)
    taken = Turns()
    with taken.take():
        burn(0.05)
    thread = waits(taken)
    taken.leave(0.01)
    thread.join(0.3)
    assert thread.is_alive(), "more was used than was left"
    taken.leave(0.05)
    thread.join(10)
    assert not thread.is_alive()


def test_nobody_waits_while_the_driver_waits_for_mlflow_or_for_ever(monkeypatch):
    monkeypatch.setattr(turns, "_SAVED_S", 0.0)
    monkeypatch.setattr(turns, "_PATIENCE_S", 60.0)
    taken = Turns()
    with taken.hurry():
        thread = waits(taken)
        thread.join(10)
        assert not thread.is_alive()
    thread = waits(taken)
    thread.join(0.3)
    assert thread.is_alive()
    with taken.hurry():
        thread.join(10)
        assert not thread.is_alive()
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.01)
    thread = waits(taken)
    thread.join(10)
    assert not thread.is_alive()
