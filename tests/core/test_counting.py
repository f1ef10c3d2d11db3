"""Configs are counted without being listed: the same numbers, in the same order."""

import random
import time

import pytest

from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space, Value, config_key
from hpsearch.core.values import Steps, place_in, place_near
from hpsearch.tuners.enumeration import Enumeration


def random_space(seed: int) -> Space:
    rng = random.Random(seed)
    kinds: list[Parameter] = [
        Int(0, 4),
        Int(1, 9, step=3),
        Choice(("a", 1, True)),
        Constant(2),
        Float(0.0, 0.4, step=0.1),
        Choice((0.5, 2)),
    ]
    found: dict[str, Parameter] = {}
    for place in range(rng.randint(1, 6)):
        parameter, when = rng.choice(kinds), dict[str, tuple[Value, ...]]()
        for other in rng.sample(list(found), min(len(found), rng.choice([0, 0, 1, 2]))):
            values = list(found[other].values() or ())
            when[other] = tuple(rng.sample(values, rng.randint(1, len(values))))
        fields = {name: getattr(parameter, name) for name in parameter.__dataclass_fields__}
        found[f"h{place}"] = type(parameter)(**{**fields, "when": when})
    return Space(dict(rng.sample(list(found.items()), len(found))))


@pytest.mark.parametrize("seed", range(60))
def test_the_count_and_the_order_are_those_of_the_grid(seed: int) -> None:
    space = random_space(seed)
    every = list(space.grid(99))
    enumeration = Enumeration(space)
    assert enumeration.size == space.size() == space.grid_size(99) == len(every)
    assert [enumeration.config(index) for index in range(len(every))] == every
    assert len({config_key(config) for config in every}) == len(every)
    assert all(space.contains(config) for config in every)


def test_a_config_of_billions_is_found_at_once() -> None:
    space = Space(
        {
            "x": Int(1, 2**40),
            "y": Float(0.0, 1.0, step=1e-8),
            "z": Choice(("a", "b", "c"), when={"x": (7, 2**39), "y": (0.12345678,)}),
        }
    )
    begun = time.process_time()
    enumeration = Enumeration(space)
    assert enumeration.size == 2**40 * (10**8 + 1) + 2 * 2
    index = 6 * (10**8 + 1) + 12_345_678 + 2
    assert enumeration.config(index) == {"x": 7, "y": 0.12345678, "z": "c"}
    assert enumeration.config(enumeration.size - 1) == {"x": 2**40, "y": 1.0}
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0.1, 0.3, 0.1), (0.0, 1.0, 0.05), (-1.0, 1.0, 0.3), (1e-12, 1e-11, 1e-13), (2.0, 2.0, 5.0)],
)
def test_a_stepped_range_is_the_list_that_it_stands_for(low: float, high: float, step: float) -> None:
    values = Steps(low, high, step)
    every = [values[place] for place in range(len(values))]
    assert list(values) == every == sorted(set(every))
    assert every[0] == low
    assert every[-1] <= high < every[-1] + step
    assert [place_in(values, one) for one in every] == list(range(len(every)))
    assert all(one in values for one in every)
    assert (low + step / 3) not in values or len(every) == 1
    assert values[1:3] == tuple(every[1:3])


def test_the_nearest_place_is_the_first_of_two() -> None:
    assert [place_near(range(0, 100, 10), number) for number in (-5, 4, 5, 6, 95.1, 10**300)] == [0, 0, 0, 1, 9, 9]
    assert place_in(range(0, 100, 10), 5) is None
    assert place_in(("a", 1, True), True) == 2
