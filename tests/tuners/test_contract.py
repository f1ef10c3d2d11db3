"""What is true of every tuner and algorithm."""

import statistics
from collections.abc import Callable

import pytest

from hpsearch.core.space import Choice, Float, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts import TUNER_RULES, TunerCase
from hpsearch.testing.contracts.simulation import MIXED, simulate
from hpsearch.tuners.keras_tuner import OracleProcess

from .support import PAIRS, SQUARE, Pair, asks, best, build, case


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("rule", TUNER_RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Callable[[TunerCase], None], pair: Pair, child: OracleProcess) -> None:
    rule(case(pair, child))


@pytest.mark.parametrize("pair", PAIRS)
def test_another_seed_gives_another_sequence(pair: Pair, child: OracleProcess) -> None:
    first, other = (simulate(build(pair, child, MIXED, seed=seed).suggest, asks(pair, 8, 4)) for seed in (0, 1))
    # KerasTuner's grid has one order.
    assert (first != other) is (pair != ("keras-tuner", "grid"))


@pytest.mark.parametrize("pair", PAIRS)
def test_neither_warnings_nor_log_lines(pair: Pair, child: OracleProcess, capfd: pytest.CaptureFixture[str]) -> None:
    simulate(build(pair, child, MIXED, direction="maximize").suggest, asks(pair, 12, 6))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pair", PAIRS)
def test_a_large_finite_space_is_not_listed(pair: Pair, child: OracleProcess) -> None:
    space = Space({name: Choice(tuple(range(8))) for name in "abcdefghij"})  # 8^10, about 1e9
    suggested = simulate(build(pair, child, space).suggest, 4)  # listing a billion configs would take an hour
    assert all(config is not None and space.contains(config) for config in suggested)
    assert len(suggested) == 4


@pytest.mark.parametrize(
    "pair", [pair for pair in PAIRS if pair.id.split("-")[-1] in ("tpe", "gp", "cmaes", "bayesian")]
)
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_model_based_algorithms_use_what_they_are_told(pair: Pair, child: OracleProcess, direction: str) -> None:
    """The best of as many trials is far better than random search's; seeds are fixed, so this never fails by chance."""
    count, seeds = asks(pair, 40, 12), range(asks(pair, 3, 1))
    sign = 1.0 if direction == "minimize" else -1.0
    found = [best(build(pair, child, SQUARE, seed, direction), count, sign) for seed in seeds]
    blind = [best(build(("optuna", "random"), child, SQUARE, seed, direction), count, sign) for seed in range(30)]
    assert statistics.median(found) < 0.5 * statistics.median(blind)


def test_diverged_regions_are_avoided(child: OracleProcess) -> None:
    """TPE, told that the left half diverges, suggests it less than random search would (24 of 30 on the right are far
    from chance: below 1e-3 for a fair coin; the seed is fixed)."""
    space = Space({"x": Float(0.0, 1.0)})
    tuner = build(("optuna", "tpe"), child, space, startup_trials=10)
    history: list[Trial] = []
    for number in range(40):
        config = tuner.suggest(history)
        assert config is not None
        if float(config["x"]) < 0.5:
            history.append(Trial(number, config, TrialState.DIVERGED))
        else:
            history.append(Trial(number, config, TrialState.COMPLETE, score=0.3, epoch=0))
    assert sum(trial.state is TrialState.COMPLETE for trial in history[10:]) >= 24
