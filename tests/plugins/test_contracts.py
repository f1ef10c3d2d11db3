"""What comes with hpsearch keeps the contracts that other packages are checked by; broken contracts are noticed."""

import os
import subprocess
import sys
from typing import Self

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from hpsearch.core.registries import ENGINES, EXECUTORS
from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source
from hpsearch.data.sources import SOURCES
from hpsearch.executors.base import Executor
from hpsearch.pruning.base import Pruner
from hpsearch.spec.families import FAMILIES
from hpsearch.testing.contracts import (
    check_engine,
    check_family,
    check_pruner,
    check_source,
    check_tuner,
)
from hpsearch.training.engines.base import Engine
from hpsearch.tuners.base import Tuner, TunerProvider

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).integers(0, 255, (32, 8, 8)).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES.names())
def test_engines(name: str) -> None:
    check_engine(ENGINES.load_class(name, Engine), name)


CHECK_EXECUTOR = """
import sys
from hpsearch.core.registries import EXECUTORS
from hpsearch.executors.base import Executor
from hpsearch.testing.contracts import check_executor
check_executor(EXECUTORS.load_class(sys.argv[1], Executor))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in EXECUTORS.names() if EXECUTORS.load_class(one, Executor).local])
def test_executors(name: str) -> None:
    # In a process of its own: an executor may set the process up for Keras.
    command = [sys.executable, "-c", CHECK_EXECUTOR, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "x"), [("mlp", None), ("cnn", IMAGES)])
def test_families(name: str, x) -> None:
    check_family(FAMILIES[name], x=x)


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("sklearn:")])
def test_sources(name: str) -> None:
    check_source(SOURCES[name])


class Forgetful(TunerProvider):
    """Suggests one config for ever."""

    algorithms = ("always",)

    def make(self, algorithm, settings) -> Tuner:
        class Always(Tuner):
            def suggest(self, history):
                return next(iter(settings.space.grid(2)))

        return Always()


class Hasty(Pruner):
    """Stops every trial at once."""

    @classmethod
    def from_section(cls, section, objective, *, validation_ratio) -> Self:
        return cls(objective)

    def stop_reason(self, trial, others):
        return "it was slow"


def test_a_tuner_that_repeats_itself_is_noticed() -> None:
    with pytest.raises(AssertionError, match="must end in None"):
        check_tuner(Forgetful, "always")
    with pytest.raises(AssertionError, match="algorithms must list 'never'"):
        check_tuner(Forgetful, "never")


def test_a_pruner_that_does_not_wait_is_noticed() -> None:
    with pytest.raises(AssertionError, match="min_epochs = 4 must hold"):
        check_pruner(Hasty)


def test_a_source_that_returns_other_rows_each_time_is_noticed() -> None:
    rng = np.random.default_rng(0)
    source = Source("x:noise", "noise", lambda rows=9: Loaded(rng.normal(size=(rows, 2)), np.arange(rows)), ("rows",))
    with pytest.raises(AssertionError, match="same rows in the same order"):
        check_source(source)
    with pytest.raises(AssertionError, match="options must list 'columns'"):
        check_source(source, columns=3)
