"""What is specific to KerasTuner: its child process, and how spaces and histories reach its oracles."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.core.space import Choice, Float, Int, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts.simulation import MIXED, simulate
from hpsearch.tuners import TunerSettings, keras_tuner
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.keras_tuner import OracleProcess, describe, make
from tests.raising import raises

pytestmark = pytest.mark.slow

SETTINGS = TunerSettings(MIXED, "minimize", 7, grid_points=3)
SCRIPT = """
import os, sys, time
from hpsearch.core.space import Choice, Space
from hpsearch.tuners import TunerSettings, make_tuner
tuner = make_tuner("keras-tuner", "random", TunerSettings(Space({"a": Choice((1, 2, 3))}), "minimize", 1))
print(tuner.suggest([])["a"] in (1, 2, 3), tuner._algorithm._process.pid, flush=True)
print([name for name in ("keras", "keras_tuner", "tensorflow", "jax") if name in sys.modules], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def own() -> Iterator[OracleProcess]:
    process = OracleProcess()
    yield process
    process.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie, whose parent is gone or did not look, is dead too.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for_end(pid: int) -> bool:
    """Whether the process ends within 20 seconds."""
    for _ in range(200):
        if not is_alive(pid):
            return True
        time.sleep(0.1)
    return False


def test_any_parent_can_use_it_without_importing_keras_and_the_child_ends_with_it(tmp_path: Path) -> None:
    # Modules of the user's folder must not take the place of the libraries.
    (tmp_path / "keras_tuner.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "script.py").write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, "-P", "script.py"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    valid, pid = parent.stdout.readline().split()
    assert valid == "True"
    assert parent.stdout.readline() == "[]\n"
    assert is_alive(int(pid))
    parent.kill()
    assert wait_for_end(int(pid))
    parent.communicate()


def test_a_dead_child_is_replaced_without_loss(own: OracleProcess, child: OracleProcess) -> None:
    expected = simulate(make("random", SETTINGS, child).suggest, 3)
    tuner = make("random", SETTINGS, own)

    first = tuner.suggest([])
    assert own.pid is not None
    os.kill(own.pid, signal.SIGKILL)
    assert [first, *simulate(tuner.suggest, 3)[1:]] == expected


def test_an_interrupted_request_leaves_no_reply_behind(own: OracleProcess, child: OracleProcess) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    tuner = make("random", SETTINGS, own)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # importing KerasTuner takes longer
        with pytest.raises(KeyboardInterrupt):
            tuner.suggest([])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    history = [Trial(0, {"rate": 0.01}, TrialState.FAILED)]
    assert tuner.suggest(history) == make("random", SETTINGS, child).suggest(history)


def test_closing_ends_the_child(own: OracleProcess) -> None:
    tuner = make("grid", SETTINGS, own)
    tuner.suggest([])
    pid = own.pid
    assert pid is not None
    tuner.close()  # not the tuner's own: stays
    assert is_alive(pid)
    own.close()
    assert not is_alive(pid)
    own.close()


def test_a_child_that_cannot_start(own: OracleProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_tuner, "_MODULE", "hpsearch.tuners.no_such_module")
    with raises("executor.tuner-process-died", status=1) as caught:
        make("random", SETTINGS, own).suggest([])
    assert "No module named hpsearch.tuners.no_such_module" in str(caught.value.values["stderr"])
    assert str(caught.value.values["stderr"]) in caught.value.what


def test_keras_tuner_is_not_installed(own: OracleProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keras_tuner.py").write_text("raise ModuleNotFoundError(\"No module named 'keras_tuner'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with raises("executor.tuner-failed") as caught:
        make("random", SETTINGS, own).suggest([])
    assert str(caught.value) == (
        "KerasTuner failed: it cannot be imported: No module named 'keras_tuner'\n"
        "  hint: pip install keras-tuner scikit-learn"
    )


def test_an_oracle_that_raises_is_reported_and_asked_again(child: OracleProcess) -> None:
    with raises("executor.tuner-failed") as caught:
        child.ask({"algorithm": "random", "direction": "minimize", "space": [{"name": "a"}], "seed": 1})
    assert str(caught.value.values["reason"]).startswith("KeyError: 'low' (keras_tuner_oracle.py, line ")
    assert caught.value.hint
    assert make("random", SETTINGS, child).suggest([]) is not None


def test_the_grid_is_in_keras_tuners_order(child: OracleProcess) -> None:
    space = Space({name: MIXED[name] for name in ("optimizer", "momentum", "dropout", "depth", "epochs")})
    settings = TunerSettings(space, "minimize", 7, grid_points=3)
    expected = list(space.grid(3))
    assert simulate(make("grid", settings, child).suggest, len(expected) + 1) == [*expected, None]


def test_conditions_are_in_the_numbers_of_the_parents() -> None:
    described = {dimension["name"]: dimension for dimension in describe(Dimensions(MIXED))}
    assert described["momentum"]["when"] == {"optimizer": [1]}
    assert described["depth"]["when"] == {"optimizer": [0, 2], "dropout": [3, 6, 7, 8, 9, 10]}
    assert described["depth"] | {"when": {}} == {
        "name": "depth", "kind": "int", "low": 2, "high": 8, "log": False, "step": 3, "when": {},
    }  # fmt: skip


def test_a_condition_on_a_value_that_the_grid_leaves_out_is_never_met(child: OracleProcess) -> None:
    space = Space({"width": Int(1, 9), "extra": Choice((1, 2), when={"width": (2,)})})
    settings = TunerSettings(space, "minimize", 7, grid_points=3)
    assert simulate(make("grid", settings, child).suggest, 9) == [{"width": 1}, {"width": 5}, {"width": 9}, None]


def test_running_trials_do_not_draw_the_next_suggestion_to_them(child: OracleProcess) -> None:
    """With losses around 1000, a running trial guessed at 0 ± 1 (KerasTuner's guess before its first fit) would pass
    for the best by far: the suggestion would be 0.30."""
    space = Space({"x": Float(0.0, 1.0)})
    tuner = make("bayesian", TunerSettings(space, "minimize", 7, startup_trials=4), child)
    history = [
        Trial(number, {"x": x}, TrialState.COMPLETE, score=1000.0 + 100.0 * (x - 0.6) ** 2, epoch=0)
        for number, x in enumerate((0.0, 0.2, 0.8, 1.0))
    ]
    suggested = tuner.suggest([*history, Trial(4, {"x": 0.1})])
    assert suggested is not None
    assert float(suggested["x"]) == pytest.approx(0.6, abs=0.1)
