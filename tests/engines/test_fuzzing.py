"""A few random models, trained by both engines. ``make fuzz-engine`` trains more."""

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

CASES, FIRST_SEED = 12, 5000


def test_random_models_train_as_with_fit_or_are_refused():
    """In a process of its own, which compiles its many small programs quickly and badly."""
    command = [sys.executable, "-m", "tests.engines.fuzzing", "--cases", str(CASES), "--seed", str(FIRST_SEED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (\w[\w ]*) \(\d+%\)", done.stdout)}
    assert sum(counts.values()) == CASES, done.stdout
    assert counts["alike"] >= CASES // 2, done.stdout
