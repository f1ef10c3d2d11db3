import math
import pickle

import pytest

from hpsearch.core.rules import RuleError
from hpsearch.core.space import Choice, Constant, Float, Int, Space, config_key


def conditional() -> Space:
    return Space(
        {
            "momentum": Float(0.0, 0.9, step=0.3, when={"optimizer": ("sgd",)}),
            "optimizer": Choice(("sgd", "adam")),
            "units": Int(16, 64, step=16),
            "epochs": Constant(5),
        }
    )


def test_both_ends_are_inclusive_and_steps_are_exact() -> None:
    assert Float(0.1, 0.3, step=0.1).values() == (0.1, 0.2, 0.3)
    assert list(Int(16, 70, step=16).values()) == [16, 32, 48, 64]
    assert Float(0.01, 0.04).contains(0.01)
    assert Float(0.01, 0.04).contains(0.04)
    assert not Float(0.01, 0.04).contains(0.0401)


def test_grid_of_a_continuous_range_has_both_ends_and_the_asked_number_of_points() -> None:
    assert Float(0.01, 0.04).grid(4) == (0.01, 0.02, 0.03, 0.04)
    log = Float(0.001, 0.1, log=True).grid(3)
    assert log[0] == 0.001
    assert log[-1] == 0.1
    assert log[1] == pytest.approx(0.01)


def test_the_ends_of_a_real_range_are_real_however_they_are_written() -> None:
    written = Float(0, 1, step=0.5)
    assert [type(value) for value in (*written.values(), *Float(0, 1).grid(2))] == [float] * 5


def test_conditions_come_first_and_decide_what_is_active() -> None:
    space = conditional()
    assert list(space) == ["optimizer", "momentum", "units", "epochs"]
    assert space.contains({"optimizer": "adam", "units": 32, "epochs": 5})
    assert not space.contains({"optimizer": "sgd", "units": 32, "epochs": 5})
    assert not space.contains({"optimizer": "adam", "momentum": 0.3, "units": 32, "epochs": 5})


def test_size_counts_what_the_grid_lists() -> None:
    space = conditional()
    configs = list(space.grid(6))
    assert space.size() == len(configs) == 4 * 4 + 4
    assert len({config_key(config) for config in configs}) == len(configs)
    assert all(space.contains(config) for config in configs)


def test_size_of_a_huge_space_is_counted_without_listing_it() -> None:
    space = Space({f"p{i}": Int(1, 2**40) for i in range(8)})
    assert space.size() == 2**320
    assert len(space.searched()) == 8


def test_a_continuous_range_makes_the_space_infinite() -> None:
    assert Space({"rate": Float(0.0, 1.0)}).size() is None


def test_key_keeps_true_and_one_apart_and_ignores_order() -> None:
    assert config_key({"a": 1, "b": 2}) == config_key({"b": 2.0, "a": 1})
    assert config_key({"a": 1}) != config_key({"a": True})


@pytest.mark.parametrize(
    ("make", "code", "received"),
    [
        (lambda: Float(1.0, 0.0), "bad-range", (1.0, 0.0)),
        (lambda: Float(0.0, 1.0, log=True), "bad-range", 0.0),
        (lambda: Float(1.0, 2.0, log=True, step=0.5), "bad-range", 0.5),
        (lambda: Int(1, 9, step=0), "bad-range", 0),
        (lambda: Int(1, 9.5), "bad-range", 9.5),
        (lambda: Float(0.0, math.inf), "bad-range", math.inf),
        (lambda: Choice(()), "empty-choice", None),
        (lambda: Choice((1, 1)), "repeated-value", [1, 1]),
        (lambda: Space({"a": Float(0, 1, when={"b": (1,)})}), "unknown-condition", "b"),
        (
            lambda: Space({"o": Choice(("sgd",)), "m": Float(0, 1, when={"o": ("adam",)})}),
            "impossible-condition",
            "adam",
        ),
        (
            lambda: Space({"a": Int(1, 2, when={"b": (1,)}), "b": Int(1, 2, when={"a": (1,)})}),
            "circular-conditions",
            ("a", "b"),
        ),
    ],
)
def test_broken_rules_have_a_code_and_the_value(make, code: str, received: object) -> None:
    with pytest.raises(RuleError) as caught:
        make()
    assert (caught.value.code, caught.value.received) == (code, received)


def test_a_broken_rule_survives_the_way_to_another_process() -> None:
    error = RuleError("'when' names 'b'", "unknown-condition", received="b", closest="c", key="a")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "a: 'when' names 'b'"
    assert vars(copy) == vars(error)
