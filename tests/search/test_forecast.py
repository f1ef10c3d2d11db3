"""What a study will cost: programs counted in its space, seconds measured on its real programs."""

from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

from hpsearch.core.draws import draw, expected_programs
from hpsearch.core.events import EpochFinished
from hpsearch.core.folds import Fold
from hpsearch.core.measured import Measured
from hpsearch.core.space import Choice, Constant, Float, Int, Space
from hpsearch.proposal.budget import affordable
from hpsearch.search.forecast import forecast, trial_seconds, warning_of
from hpsearch.search.preparation import prepare_study
from hpsearch.spec import parse_spec
from hpsearch.training import measuring

STUDY = """
name = "costly"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
family = "mlp"
layers = 1
[space]
units = {units}
batch_size = 32
optimizer = "adam"
learning_rate = {{ low = 0.001, high = 0.01, log = true }}
dropout = 0.1
epochs = 2
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
trials = 10
[resources]
executor = "inline"
backend = "jax"
engine = "fused"
"""


def test_programs_are_the_different_values_of_what_is_no_input() -> None:
    rate, units = Float(0.01, 0.1, log=True), Int(32, 512, log=True)
    assert expected_programs(Space({"rate": rate, "units": units}), {"rate"}, 10) > 9
    assert expected_programs(Space({"rate": rate}), {"rate"}, 10) == 1
    assert expected_programs(Space({"rate": rate}), set(), 10) == 10
    few = Space({"rate": rate, "units": Choice((32, 512)), "optimizer": Choice(("sgd", "adam"))})
    assert 3 < expected_programs(few, {"rate"}, 12) <= 4


def test_drawn_configs_are_of_the_space() -> None:
    space = Space(
        {
            "optimizer": Choice(("sgd", "adam")),
            "momentum": Float(0.0, 0.9, when={"optimizer": ("sgd",)}),
            "dropout": Float(0.0, 0.5, step=0.1),
            "units": Int(8, 65, step=8),
            "wide": Int(1, 1000, log=True),
            "layers": Constant(2),
        }
    )
    rng = np.random.default_rng(0)
    drawn = [draw(space, rng) for _ in range(200)]
    assert all(space.contains(config) for config in drawn)
    assert {config.get("momentum") is None for config in drawn} == {True, False}


@pytest.mark.slow
def test_a_space_that_defeats_sharing_is_named_with_what_to_write_instead(monkeypatch) -> None:
    monkeypatch.setattr("hpsearch.search.forecast._WORTH_SAYING", 0.1)
    with ExitStack() as stack:
        wide = prepare_study(parse_spec(STUDY.format(units="{ low = 8, high = 64, log = true }")), stack)
        found = forecast(wide)
        counted = forecast(wide, measure=False)
    assert (found.trials, found.programs, counted.programs) == (10, 9, 9)
    assert (counted.compile_seconds, counted.train_seconds, counted.basis) == (None, None, "not measured")
    assert found.measured is not None
    first, other = found.measured.configs
    assert (first.config["units"], other.config["units"], first.programs) == (64, 8, 1)
    assert found.compile_seconds is not None
    assert found.train_seconds is not None
    assert found.compile_seconds > found.train_seconds > 0
    assert found.memory_bytes is not None
    assert found.memory_bytes > 50 << 20
    assert found.basis.startswith("an estimate: ")
    assert found.instead == {"units": Choice((8, 23, 64))}
    warning = warning_of(found)
    assert warning is not None
    assert warning.startswith("space: units costs most of the time: 10 trials need about 9 compiled programs")
    assert "With units = [8, 23, 64], about 3 (" in warning


@pytest.mark.parametrize("lockstep", [True, False])
def test_folds_of_different_sizes_take_as_long_as_their_own_steps(monkeypatch, lockstep: bool) -> None:
    """Each fold of a time series has more rows than the one before; only 1,024 of each are measured."""
    sizes, batch, second = (2_000, 4_000, 6_000, 8_000), 32, 0.001
    monkeypatch.setattr("hpsearch.training.measuring._ROWS", 500)

    class Steady:
        """Takes a second per step on a clock of its own."""

        def train(self, bundle, _stopped):
            few = [len(fold.train) // batch + (len(fold.train) % batch > 0) for fold in small]
            for epoch in range(4) if lockstep else [None]:
                clock[0] += max(few) * second if lockstep else 0
                for lane, steps in zip(bundle.lanes, few, strict=True):
                    for own in [epoch] if lockstep else range(4):
                        clock[0] += 0 if lockstep else steps * second
                        yield EpochFinished(0, lane.fold, own, {})

        def take_compile_seconds(self):
            return 1.0 if lockstep else 0.0

    clock = [0.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    small = [measuring._few(Fold(n, np.arange(size), np.arange(10))) for n, size in enumerate(sizes)]
    config = {"batch_size": batch, "epochs": 10}
    found = measuring._measured(Steady(), SimpleNamespace(folds=small), config, 0)
    data = SimpleNamespace(folds=[SimpleNamespace(train=size) for size in sizes])
    space = Space({"batch_size": Constant(batch), "epochs": Constant(10)})
    prepared = SimpleNamespace(facts=SimpleNamespace(data=data), space=space)
    steps = max(sizes) / batch if lockstep else sum(-(-size // batch) for size in sizes)
    assert trial_seconds(prepared, Measured((found,), 500, 0)) == pytest.approx(10 * steps * second)


@pytest.mark.parametrize(
    ("seconds", "epoch", "compiling", "trials", "epochs"),
    [
        (600, 0.1, 5.0, 100, 50),
        (600, 0.3, 5.0, 37, 50),
        (600, 1.0, 5.0, 22, 25),
        (600, 5.0, 5.0, 9, 12),
        (600, 50.0, 5.0, 2, 5),
        (10, 50.0, 5.0, 5, 5),
    ],
)
def test_a_time_is_spent_on_trials_first_and_then_on_their_epochs(seconds, epoch, compiling, trials, epochs) -> None:
    found = affordable(seconds, epochs=50, epoch_seconds=epoch, compiling=lambda n: min(n, 6) * compiling)
    assert (found.trials, found.epochs) == (trials, epochs)
    assert found.seconds <= seconds or (trials, epochs) == (5, 5)
