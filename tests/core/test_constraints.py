"""Limits on trials: margins, violations and words."""

import math

import pytest

from hpsearch.core.constraints import FARTHEST, Constraint, Constraints

LIMITS = Constraints.of({"parameters": 20_000, "latency_ms": 2.0}, {"val_recall": 0.9})


def test_a_margin_is_a_share_of_the_limit_and_is_kept_at_the_limit_itself() -> None:
    size, recall = LIMITS.each[0], LIMITS.each[2]
    assert (size.margin(20_000), size.margin(30_000), size.margin(10_000)) == (0.0, 0.5, -0.5)
    assert recall.margin(0.9) == 0.0
    assert recall.margin(0.45) == pytest.approx(0.5)
    assert Constraint("val_loss", "at_most", 0.0).margin(0.25) == 0.25


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_finite_number_keeps_no_upper_limit(value: float) -> None:
    assert Constraint("val_loss", "at_most", 0.5).margin(value) == FARTHEST


def test_violations_of_different_quantities_add_up_and_the_unknown_counts_as_kept() -> None:
    measured = {"parameters": 30_000.0, "latency_ms": 3.0, "val_recall": 0.99}
    assert LIMITS.violation(measured) == pytest.approx(1.0)
    assert LIMITS.violation({"parameters": 10.0}) == 0.0
    assert LIMITS.margins({"parameters": 10.0})[1:] == (0.0, 0.0)
    assert LIMITS.broken({"parameters": 20_000.0, "latency_ms": 2.0, "val_recall": 0.9}) == ""


def test_a_broken_limit_is_said_with_its_value_and_unit() -> None:
    measured = {"parameters": 31_000.0, "latency_ms": 2.345678, "val_recall": 0.85}
    assert LIMITS.broken(measured) == (
        "31,000 parameters, at most 20,000; 2.346 ms of latency, at most 2; val_recall 0.85, at least 0.9"
    )


def test_limits_of_models_are_those_that_are_known_before_training() -> None:
    assert [one.quantity for one in LIMITS.of_model.each] == ["parameters", "latency_ms"]
    assert LIMITS.curves == ("val_recall",)
    assert not Constraints()
