"""Permuted targets keep what targets share among themselves: groups, their sizes, and time."""

import numpy as np
import pytest

from hpsearch.data.dataset import Part
from hpsearch.data.permuted import permuted
from tests.raising import raises

N = 60
X = np.arange(N, dtype=np.float32).reshape(-1, 1)
RNG = np.random.default_rng(0)


def changed(y, index: int = 0, *, seed: int = 3, in_order: bool = False, **traits) -> tuple[np.ndarray, str]:
    part, how = permuted(Part(X[: len(y)], y, **traits), seed=seed, index=index, in_order=in_order)
    assert part.x is not None
    assert (part.x == X[: len(y)]).all()
    return part.y, how


@pytest.mark.parametrize("y", [np.arange(N) % 3, np.arange(N) / 7, np.eye(3)[np.arange(N) % 3], RNG.random((N, 4, 4))])
def test_rows_of_their_own_exchange_whole_targets_of_any_form(y) -> None:
    found, how = changed(y)
    assert how == ""
    assert found.shape == y.shape
    assert (found != y).any()
    order = np.lexsort(found.reshape(N, -1).T)
    assert (found[order] == y[np.lexsort(y.reshape(N, -1).T)]).all()


@pytest.mark.parametrize("traits", [{}, {"groups": np.arange(N) // 4}, {"time": np.arange(N)}])
def test_each_search_has_targets_of_its_own_and_the_same_every_time(traits: dict) -> None:
    y = RNG.random(N)
    first, again, other = changed(y, **traits)[0], changed(y, **traits)[0], changed(y, 1, **traits)[0]
    assert (first == again).all()
    assert (first != other).any()
    assert (first != changed(y, seed=4, **traits)[0]).any()


def test_groups_of_one_target_change_places_whatever_their_size() -> None:
    groups = RNG.permutation(np.repeat(np.arange(12), [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 5, 5]))
    y = (groups % 3).astype(np.int32)
    found, how = changed(y, groups=groups)
    assert how == "of whole groups"
    per_group = [set(found[groups == group]) for group in range(12)]
    assert all(len(one) == 1 for one in per_group)
    assert sorted(one.pop() for one in per_group) == sorted(np.arange(12) % 3)


def test_other_groups_exchange_their_targets_with_those_of_equal_size_and_within() -> None:
    sizes = [4, 4, 4, 4, 4, 10, 10, 20]
    groups = np.repeat(np.arange(8), sizes)
    y = groups + RNG.permutation(N) / 100  # the whole number says which group a target comes from
    came_from = set()
    for index in range(20):
        found, how = changed(y, index, groups=groups)
        assert "equal size" in how
        assert sorted(found) == sorted(y)
        for group, size in enumerate(sizes):
            (source,) = set(np.floor(found[groups == group]).astype(int))
            assert sizes[source] == size
            came_from.add((group, source))
        assert (found[groups == 7] != y[groups == 7]).any()  # the only one of its size: within
    assert len(came_from) == 5 * 5 + 2 * 2 + 1


def test_time_moves_on_by_whole_steps() -> None:
    steps = np.repeat(np.arange(15), 4)
    order = RNG.permutation(N)
    y = np.arange(N)
    shifts = set()
    for index in range(14):
        found, how = changed(y[order], index, time=steps[order])
        assert how == "shifted along time"
        # Rows of one step come in any order: what counts is which step a target comes from.
        sources = [set(found[steps[order] == step] // 4) for step in range(15)]
        assert all(len(one) == 1 for one in sources)
        starts = [one.pop() for one in sources]
        assert starts == list(np.roll(np.arange(15), 15 - starts[0]))
        shifts.add(starts[0])
    assert shifts == set(range(1, 15))
    with raises("data.too-few-shifts", steps=15, shifts=14) as caught:
        changed(y, 14, time=steps)
    assert "--null 14" in str(caught.value)


def test_rows_in_the_order_of_time_shift_too() -> None:
    found, how = changed(np.arange(N), in_order=True)
    assert how == "shifted along time"
    assert found.tolist() == np.roll(np.arange(N), -found[0]).tolist()
