"""`run --null` on real training: signal, noise, kill -9, and a study that has grown since."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

STUDY = """
name = "{name}"
seed = 5
[data]
source = "{name}.npz"
[validation]
folds = 2
[model]
family = "mlp"
layers = 1
[space]
learning_rate = {{ low = 0.005, high = 0.05, log = true }}
units = 8
dropout = 0.0
optimizer = "adam"
batch_size = 32
epochs = 4
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
algorithm = "random"
trials = 3
[resources]
executor = "inline"
[tracking]
uri = "http://127.0.0.1:1"
"""

RUN = """
import os, signal, sys
from hpsearch.search.observer import Observer
from hpsearch.controls import run_null

class Deadly(Observer):
    name = ""
    def open(self, record):
        self.name = record.name
        print("search", record.name, len(record.trials))
    def trial_finished(self, trial):
        if self.name == sys.argv[3] and trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)

study = run_null(sys.argv[1], searches=int(sys.argv[2]), observer=Deadly())
print(len(study.trials), *study.record.facts.null.scores)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with two studies: of labels that the inputs tell, and of coin flips."""
    folder = tmp_path_factory.mktemp("null")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 4))
    np.savez(folder / "signal.npz", x=x, y=(x[:, 0] > 0).astype(int))
    np.savez(folder / "noise.npz", x=x, y=rng.integers(0, 2, 80))
    for name in ("signal", "noise"):
        (folder / f"{name}.toml").write_text(STUDY.format(name=name))
    return folder


def run_null(folder: Path, name: str, count: int, deadly: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", RUN, f"{name}.toml", str(count), deadly]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)


def hpsearch(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "hpsearch", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_signal_beats_every_null_search_and_kill_9_loses_nothing(folder: Path) -> None:
    killed = run_null(folder, "signal", 3, deadly="signal.null1")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run_null(folder, "signal", 3)
    assert done.returncode == 0, done.stderr
    # The study and the first null search were complete; the second goes on with the trials that it had.
    begun = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("search signal.")]
    assert [name for name, _ in begun] == ["signal.null1", "signal.null2"]
    assert int(begun[0][1]) >= 2
    verdict = json.loads(hpsearch(folder, "show", "signal", "--json"))["verdict"]
    assert verdict["null"]["p"] == 1 / 4
    assert verdict["null"]["reached"] == 0
    assert max(verdict["null"]["scores"]) < verdict["score"]
    assert any("None of 3 searches" in sentence for sentence in verdict["sentences"])
    report = (folder / "mlruns" / "studies" / "signal" / "report.html").read_text()
    assert "Best scores with permuted targets" in report
    # Without refit, report or place in the list.
    null = folder / "mlruns" / "studies" / "signal.null0"
    assert not [path for path in null.iterdir() if path.name != "driver.lock"]
    assert "signal.null" not in hpsearch(folder, "list")
    assert json.loads(hpsearch(folder, "show", "signal.null0", "--json"))["verdict"]["state"] == "finished"


def test_coin_flips_lie_among_the_null_searches_and_more_can_be_added(folder: Path) -> None:
    first = run_null(folder, "noise", 2)
    assert first.returncode == 0, first.stderr
    more = run_null(folder, "noise", 6)
    assert more.returncode == 0, more.stderr
    assert "search noise.null1" not in more.stdout
    assert more.stdout.splitlines()[-1].startswith(first.stdout.splitlines()[-1])
    verdict = json.loads(hpsearch(folder, "show", "noise", "--json"))["verdict"]
    scores = verdict["null"]["scores"]
    assert len(scores) == 6
    assert min(scores) <= verdict["score"] <= max(scores)
    assert verdict["null"]["p"] == (1 + sum(score >= verdict["score"] for score in scores)) / 7


def test_null_searches_grow_with_their_study_and_go_with_it(folder: Path) -> None:
    before = json.loads(hpsearch(folder, "show", "noise", "--json"))["verdict"]["null"]["scores"]
    hpsearch(folder, "resume", "noise", "--trials", "5")
    verdict = json.loads(hpsearch(folder, "show", "noise", "--json"))["verdict"]
    assert any("3 trials each" in sentence for sentence in verdict["sentences"])
    done = run_null(folder, "noise", 1)
    assert done.returncode == 0, done.stderr
    trials, score = done.stdout.splitlines()[-1].split()
    assert int(trials) == 5
    assert float(score) >= min(before)
    studies = {row["study"]: row for row in json.loads(hpsearch(folder, "list", "--json"))}
    assert (studies["noise.null0"]["trials"], studies["noise.null1"]["trials"]) == (5, 3)
    hpsearch(folder, "delete", "noise", "--yes")
    assert not [row for row in json.loads(hpsearch(folder, "list", "--json")) if row["study"].startswith("noise")]
