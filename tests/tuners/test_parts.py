"""The parts that tuners share: enumeration, dimensions, outcomes, and the choice of a tuner."""

import subprocess
import sys

import pytest

from hpsearch.core.space import Choice, Constant, Float, Int, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts.simulation import FINITE, MIXED
from hpsearch.tuners import TunerSettings, make_tuner
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.enumeration import Enumeration, shuffled_index
from hpsearch.tuners.outcome import has_diverged, penalty, score_of
from tests.raising import raises

from .support import ALGORITHMS

CHAIN = Space(
    {
        "a": Choice((True, 1, "x")),
        "b": Int(1, 3, when={"a": (1, "x")}),
        "c": Choice(("p", "q"), when={"b": (2,), "a": (1,)}),
        "d": Float(0.0, 1.0, step=0.5),
        "e": Constant(3, when={"c": ("q",)}),
        "f": Int(0, 1, when={"e": (3,)}),
    }
)
"""Conditions on conditions."""


class TestEnumeration:
    @pytest.mark.parametrize("space", [FINITE, CHAIN], ids=["finite", "chain"])
    def test_numbers_the_configs_in_the_order_of_the_grid(self, space: Space) -> None:
        configs = Enumeration(space)
        assert configs.size == space.size()
        assert [configs.config(index) for index in range(configs.size)] == list(space.grid(9))

    def test_takes_grid_points_from_continuous_ranges(self) -> None:
        grid = Enumeration(MIXED, points=3)
        assert grid.size == MIXED.grid_size(3)
        assert [grid.config(index) for index in range(grid.size)] == list(MIXED.grid(3))
        assert sorted(map(str, grid.shuffled(5))) == sorted(map(str, MIXED.grid(3)))

    def test_a_continuous_range_has_no_size(self) -> None:
        assert Enumeration(MIXED).size is None

    def test_counts_without_listing(self) -> None:
        space = Space({"seed": Int(0, 2**40), **{name: Int(1, 1000) for name in "abc"}})
        configs = Enumeration(space)
        assert configs.size == (2**40 + 1) * 10**9
        assert configs.config(configs.size - 1) == {"seed": 2**40, "a": 1000, "b": 1000, "c": 1000}

    @pytest.mark.parametrize("index", [-1, 8])
    def test_an_index_outside_is_refused(self, index: int) -> None:
        with pytest.raises(IndexError, match=rf"0 <= index < 8 must hold, but got {index}$"):
            Enumeration(FINITE).config(index)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100])
    def test_shuffling_is_a_permutation(self, size: int) -> None:
        orders = {tuple(shuffled_index(index, size, seed) for index in range(size)) for seed in range(20)}
        assert all(sorted(order) == list(range(size)) for order in orders)
        # Twenty orders of five or more: two alike in 1 of 1e6 sets for 17 and more; the seeds are fixed.
        assert len(orders) > min(size, 10) / 2


class TestDimensions:
    def test_every_value_comes_back_exactly(self) -> None:
        dimensions = Dimensions(CHAIN)
        for config in CHAIN.grid(9):
            numbers = dimensions.encode(config)
            assert numbers is not None
            assert all(type(number) is int for number in numbers.values())
            built = dimensions.build(lambda dimension, numbers=numbers: numbers[dimension.name])
            assert [(name, type(value), value) for name, value in built.items()] == [
                (name, type(value), value) for name, value in config.items()
            ]

    @pytest.mark.parametrize(
        ("parameter", "number", "value"),
        [
            (Float(0.1, 0.7, step=0.1), 2, 0.3),  # 0.1 + 2 * 0.1 would be 0.30000000000000004
            (Float(1.0, 2.0), 2.0000000001, 2.0),
            (Int(1, 512, log=True), 513, 512),  # KerasTuner answers so at the upper end
            (Int(3, 11, step=4), 8.9, 7),
            (Int(3, 10, step=4), 10, 7),
            (Choice((True, 1)), 0, True),
        ],
    )
    def test_numbers_are_put_on_the_nearest_allowed_value(
        self, parameter: Float | Int | Choice, number: float, value: object
    ) -> None:
        decoded = Dimensions(Space({"p": parameter}))["p"].decode(number)
        assert decoded == value
        assert type(decoded) is type(value)

    def test_configs_of_another_space_have_no_numbers(self) -> None:
        assert Dimensions(FINITE).encode({"optimizer": "adam"}) is None
        # In the space, but not on its grid:
        assert Dimensions(Space({"x": Float(0.0, 1.0)}), points=3).encode({"x": 0.3}) is None

    def test_random_configs_reach_both_ends_of_whole_numbers_alike(self) -> None:
        """Each end 200 of 2000 expected, standard deviation 13: outside 140 to 260 by chance in 1 of 1e5 seeds."""
        dimensions = Dimensions(Space({"n": Int(1, 10)}))
        drawn = [dimensions.uniform(seed)["n"] for seed in range(2000)]
        assert 140 < drawn.count(1) < 260
        assert 140 < drawn.count(10) < 260


class TestOutcome:
    @pytest.mark.parametrize(
        ("scores", "direction", "expected"),
        [
            ([0.2, 0.6], "minimize", 0.8),
            ([0.2, 0.6], "maximize", 0.0),
            ([100.0], "minimize", 105.0),
            ([0.0, 0.0], "maximize", -0.001),
            ([], "minimize", 0.0),
            ([1.7e308, -1.7e308], "minimize", 1.7e308),
        ],
    )
    def test_penalty_is_half_a_range_worse_than_the_worst(
        self, scores: list[float], direction: str, expected: float
    ) -> None:
        assert penalty(scores, direction) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("state", "score", "expected", "diverged"),
        [
            (TrialState.COMPLETE, 0.5, 0.5, False),
            (TrialState.COMPLETE, float("nan"), None, True),
            (TrialState.COMPLETE, float("inf"), None, True),
            (TrialState.PRUNED, 0.5, 0.5, False),
            (TrialState.PRUNED, None, None, False),
            (TrialState.DIVERGED, None, None, True),
            (TrialState.FAILED, None, None, False),
            (TrialState.RUNNING, None, None, False),
        ],
    )
    def test_what_counts_as_a_score(
        self, state: TrialState, score: float | None, expected: float | None, diverged: bool
    ) -> None:
        trial = Trial(0, {}, state, score=score)
        assert score_of(trial) == expected
        assert has_diverged(trial) is diverged


class TestMakeTuner:
    @pytest.mark.parametrize(
        ("tuner", "algorithm", "direction", "unknown"),
        [
            ("optna", "tpe", "minimize", "optna"),
            ("keras-tuner", "bayes", "minimize", "bayes"),
            ("optuna", "hyperband", "minimize", "hyperband"),
            ("optuna", "tpe", "min", "min"),
        ],
    )
    def test_unknown_names(self, tuner: str, algorithm: str, direction: str, unknown: str) -> None:
        with raises("study-file.unknown-name", name=unknown):
            make_tuner(tuner, algorithm, TunerSettings(FINITE, direction, 1))

    def test_gp_without_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with raises("study-file.missing-package", algorithm="gp", package="torch") as caught:
            make_tuner("optuna", "gp", TunerSettings(FINITE, "minimize", 1))
        assert "hpsearch[gp]" in caught.value.hint

    def test_importing_the_package_imports_no_library(self) -> None:
        code = "import sys, hpsearch.tuners; print({'optuna', 'keras_tuner', 'numpy'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"

    def test_every_algorithm_is_listed_once(self) -> None:
        assert all(len(set(algorithms)) == len(algorithms) for algorithms in ALGORITHMS.values())
