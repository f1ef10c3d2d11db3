"""What holds for every tuner and algorithm."""

import statistics
import time

import pytest

from hpsearch.core.space import Choice, Constant, Float, Int, Space, config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.keras_tuner import OracleProcess

from .support import FINITE, MIXED, PAIRS, SQUARE, Pair, asks, best, build, mixed, simulate

LATE = (0, 3, 1, 4, 0, 2)
"""Results come late and out of order."""


@pytest.mark.parametrize("pair", PAIRS)
def test_suggests_allowed_values_of_plain_types_in_the_order_of_the_space(pair: Pair, child: OracleProcess) -> None:
    tuner = build(pair, child, MIXED)
    for config in simulate(tuner.suggest, asks(pair, 40, 6)):
        assert config is not None
        assert MIXED.contains(config)
        assert list(config) == [name for name in MIXED if name in config]
        assert config["epochs"] == 20
        kinds = {name: type(value) for name, value in config.items()}
        assert kinds["rate"] is float
        assert kinds["units"] is int
        assert config["dropout"] in MIXED["dropout"].values()  # to the last digit
        assert any(config["optimizer"] is option for option in MIXED["optimizer"].values())


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("finite", [False, True], ids=["mixed", "finite"])
def test_a_tuner_rebuilt_for_every_suggestion_suggests_what_the_kept_one_does(
    pair: Pair, child: OracleProcess, finite: bool
) -> None:
    space = FINITE if finite else mixed(pair)
    count = asks(pair, 40, 8)
    kept = simulate(build(pair, child, space).suggest, count, LATE)
    rebuilt = simulate(lambda history: build(pair, child, space).suggest(history), count, LATE)
    assert kept == rebuilt


@pytest.mark.parametrize("pair", PAIRS)
def test_the_seed_decides_the_sequence(pair: Pair, child: OracleProcess) -> None:
    count = asks(pair, 8, 4)
    first, same, other = (simulate(build(pair, child, MIXED, seed=seed).suggest, count) for seed in (0, 0, 1))
    assert first == same
    # KerasTuner's grid has one order.
    assert (first != other) is (pair != ("keras-tuner", "grid"))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("delays", [(0,), (2, 0, 5)], ids=["one at a time", "several running"])
def test_a_finite_space_is_tried_completely_and_nothing_twice(
    pair: Pair, child: OracleProcess, delays: tuple[int, ...]
) -> None:
    suggested = simulate(build(pair, child, FINITE).suggest, 20, delays)
    assert suggested[-1] is None
    configs = [config_key(config) for config in suggested if config is not None]
    assert len(configs) == FINITE.size() == 8
    assert set(configs) == {config_key(config) for config in FINITE.grid(2)}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_kept_tuner_follows_a_history_that_does_not_continue_the_last(pair: Pair, child: OracleProcess) -> None:
    tuner, space = build(pair, child, mixed(pair)), mixed(pair)
    first = simulate(tuner.suggest, 4)
    other = simulate(build(pair, child, space, seed=8).suggest, 4)
    histories = [
        [
            Trial(number, config, TrialState.COMPLETE, score=1.0 / (number + 1), epoch=1)
            for number, config in enumerate(c)
        ]
        for configs in (other, first, first[:2])
        if (c := [config for config in configs if config is not None])
    ]
    for history in histories:
        assert tuner.suggest(history) == build(pair, child, space).suggest(history)


@pytest.mark.parametrize("pair", PAIRS)
def test_configs_from_elsewhere_in_the_history_do_no_harm(pair: Pair, child: OracleProcess) -> None:
    foreign = [{"rate": 0.5}, {}, {**simulate(build(pair, child, MIXED).suggest, 1)[0], "epochs": 30}]
    history = [Trial(n, config, TrialState.COMPLETE, score=1.0, epoch=1) for n, config in enumerate(foreign)]
    config = build(pair, child, MIXED).suggest(history)
    assert config is not None
    assert MIXED.contains(config)


@pytest.mark.parametrize("pair", PAIRS)
def test_all_trials_diverged_or_failed(pair: Pair, child: OracleProcess) -> None:
    space = mixed(pair)
    tuner = build(pair, child, space)
    history: list[Trial] = []
    for number in range(6):
        config = tuner.suggest(history)
        assert config is not None
        assert space.contains(config)
        assert config == tuner.suggest(history)
        history.append(Trial(number, config, TrialState.FAILED if number % 3 == 1 else TrialState.DIVERGED))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_space_without_anything_to_search_has_one_config(pair: Pair, child: OracleProcess) -> None:
    space = Space({"epochs": Constant(20), "optimizer": Choice(("sgd",)), "width": Int(3, 3)})
    suggested = simulate(build(pair, child, space).suggest, 3)
    assert suggested == [{"epochs": 20, "optimizer": "sgd", "width": 3}, None]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_space_of_choices_only(pair: Pair, child: OracleProcess, capfd: pytest.CaptureFixture[str]) -> None:
    space = Space({"a": Choice(("u", "v", "w")), "b": Choice((1, 2, 3)), "c": Choice((False, True, 0, 1))})
    suggested = simulate(build(pair, child, space, direction="maximize").suggest, asks(pair, 36, 6))
    assert len({config_key(config) for config in suggested if config is not None}) == len(suggested)
    assert capfd.readouterr() == ("", "")  # neither warnings nor log lines


@pytest.mark.parametrize("pair", PAIRS)
def test_the_finite_part_of_a_space_is_not_tried_twice(pair: Pair, child: OracleProcess) -> None:
    space = Space({"a": Choice(("one", "many")), "x": Float(0.0, 1.0, when={"a": ("many",)})})
    suggested = simulate(build(pair, child, space).suggest, 4 if pair[1] == "grid" else asks(pair, 15, 6))
    assert len({config_key(config) for config in suggested if config is not None}) == len(suggested)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_large_finite_space_is_not_listed(pair: Pair, child: OracleProcess) -> None:
    space = Space({name: Choice(tuple(range(8))) for name in "abcdefghij"})  # 8^10, about 1e9
    tuner = build(pair, child, space)
    begin = time.process_time()
    suggested = simulate(tuner.suggest, 4)
    assert time.process_time() - begin < 5  # listing a billion configs would take an hour
    assert all(config is not None and space.contains(config) for config in suggested)


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
