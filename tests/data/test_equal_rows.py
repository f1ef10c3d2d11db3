"""Rows that a model cannot tell apart: what is equal, what is counted, and what is said of it."""

import numpy as np
import pytest

from hpsearch.core.facts import EqualRows
from hpsearch.core.folds import Fold
from hpsearch.data.dataset import Part
from hpsearch.data.equal_rows import count_equal_rows, joined, number_rows, warnings_of

RNG = np.random.default_rng(0)


def numbers(x) -> list[int]:
    return number_rows(x)[0].tolist()


@pytest.mark.parametrize(
    "rows",
    [
        RNG.integers(0, 255, (3, 4, 4)).astype(np.uint8),
        RNG.normal(size=(3, 5)).astype(np.float32),
        np.array([[3, 7, 0, 0], [7, 3, 0, 0], [3, 7, 9, 0]], dtype=np.int32),  # word lists, filled with 0
        np.array([[1.5], [1.5000001], [-1.5]], dtype=np.float32),
    ],
)
def test_equal_rows_share_a_number_and_new_ones_count_up(rows) -> None:
    assert numbers(rows[[0, 1, 0, 2, 1]]) == [0, 1, 0, 2, 1]


def test_rows_of_a_table_are_equal_if_every_input_is_with_empty_cells_and_categories() -> None:
    payload = np.array([0x7FC00001], dtype=np.uint32).view(np.float32)[0]  # not a number either, with other bits
    x = {
        "age": np.array([1.0, np.nan, payload, 0.0, -0.0, 1.0], dtype=np.float32),
        "city": np.array([7, 7, 7, -1, -1, 8], dtype=np.int32),
    }
    assert numbers(x) == [0, 1, 1, 2, 2, 3]
    assert numbers(dict(reversed(x.items()))) == numbers(x)
    assert numbers({"numbers": np.stack([x["age"], x["age"]], axis=1), "city": x["city"]}) == numbers(x)


def test_rows_of_two_parts_are_compared_by_value_not_by_type() -> None:
    train, test = number_rows(np.array([[1, 2], [3, 4]], dtype=np.uint8), np.array([[3.0, 4.0], [3.5, 4.0]]))
    assert (train.tolist(), test.tolist()) == ([0, 1], [1, 2])


def test_many_rows_are_compared_across_chunks(monkeypatch) -> None:
    monkeypatch.setattr("hpsearch.data.equal_rows._CHUNK_BYTES", 100)
    rows = RNG.normal(size=(40, 3)).astype(np.float32)
    assert numbers(np.concatenate([rows, rows[::-1]])) == [*range(40), *reversed(range(40))]


def test_joined_groups_are_the_connected_components_of_both() -> None:
    #        a chain: 0-1 by group, 1-2 by equal rows, 2-3 by group; 4 and 5 stay alone
    groups, equal = np.array([5, 5, 2, 2, 9, 7]), np.array([0, 1, 1, 3, 4, 5])
    found = joined(groups, equal)
    assert len(set(found[:4])) == 1
    assert len(set(found)) == 3


def part(x: list[float], y: list[float]) -> Part:
    return Part(np.array(x, dtype=np.float32).reshape(-1, 1), np.array(y))


def test_only_rows_on_both_sides_of_a_split_count_and_targets_differ_only_across_it() -> None:
    #                  1 twice in one fold, 2 and 3 on both sides; 3 with another target
    train = part([1, 1, 2, 2, 3, 3, 4, 5], [0, 1, 0, 0, 0, 1, 0, 0])
    test = part([1, 4, 6, 4], [0, 1, 0, 0])
    folds = (Fold(0, np.array([3, 5, 6, 7]), np.array([0, 1, 2, 4])), Fold(1, np.array([0, 1, 2, 4]), np.array([3, 5])))
    assert count_equal_rows(train, test, folds) == EqualRows(4, 2, 3, 2)
    assert count_equal_rows(train, None, folds) == EqualRows(4, 2)
    assert count_equal_rows(train, None, (*folds, *folds)) == EqualRows(4, 2)  # repeats count a row once


def test_targets_of_any_form_are_compared() -> None:
    x, folds = np.zeros((2, 3), dtype=np.uint8), (Fold(0, np.array([0]), np.array([1])),)
    for y, differing in [
        (np.array([[0, 1], [1, 0]], dtype=np.float32), 1),  # one-hot
        (np.array([[0.5, 1], [0.5, 1]]), 0),  # two amounts
        (np.zeros((2, 4, 4)), 0),  # maps
        (np.array([0.1, 0.2], dtype=np.float32), 1),
    ]:
        assert count_equal_rows(Part(x, y), None, folds) == EqualRows(1, differing)


def said(found: EqualRows, **others) -> str:
    values = {"rows": 480, "test_rows": 120, "time": False, "own_test": False} | others
    return " | ".join(warnings_of(found, **values))


def test_what_is_said_has_count_share_differing_targets_and_a_cure() -> None:
    cure = (
        'If they are copies, a model that memorises looks better than it is: [data] duplicates = "group" keeps equal '
    )
    cure += "rows together"
    assert said(EqualRows()) == ""
    assert said(EqualRows(429, 12, 60, 0)) == (
        "429 of 480 development rows (89.4 %) are equal in all inputs to a row that trains while they validate, 12 of "
        "them to one with another target; 60 of 120 test rows (50 %) are equal in all inputs to a development row. "
        + cure
    )
    assert said(EqualRows(1, 1)).startswith(
        "1 of 480 development rows (0.208 %) is equal in all inputs to a row that trains while it validates, to one "
        "with another target. If"
    )
    assert said(EqualRows(5), time=True).endswith("looks better than it is: drop them")


def test_a_split_that_comes_with_the_source_is_counted_and_stays() -> None:
    own = "The test split is the source's own and stays as it is"
    assert said(EqualRows(0, 0, 60, 3), own_test=True) == (
        "60 of 120 test rows (50 %) are equal in all inputs to a development row, 3 of them to one with another "
        f"target. {own}"
    )
    both = said(EqualRows(5, 0, 60, 0), own_test=True)
    assert "keeps equal rows together" in both
    assert both.endswith(own)
