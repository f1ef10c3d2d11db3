import numpy as np
import pytest

from hpsearch.errors import DataError
from hpsearch.folds import Fold, hold_out, make_folds

N = 60
LABELS = np.repeat([0, 1, 2], [30, 20, 10])
GROUPS = np.arange(N) // 4
TIME = np.random.default_rng(0).permutation(N)


def folds(method: str, **changes) -> tuple[Fold, ...]:
    options = {"n_rows": N, "folds": 5, "repeats": 1, "fraction": 0.3, "seed": 1}
    return make_folds(method, **{**options, **changes})


@pytest.mark.parametrize("method", ["kfold", "stratified", "group"])
def test_every_row_validates_once_and_never_in_its_own_training_part(method: str) -> None:
    made = folds(method, labels=LABELS, groups=GROUPS)
    assert sorted(np.concatenate([fold.validation for fold in made])) == list(range(N))
    for fold in made:
        assert not set(fold.train) & set(fold.validation)
        assert len(fold.train) + len(fold.validation) == N


def test_same_seed_same_folds_and_another_seed_others() -> None:
    first, again, other = folds("kfold"), folds("kfold"), folds("kfold", seed=2)
    assert all((a.validation == b.validation).all() for a, b in zip(first, again, strict=True))
    assert any((a.validation != b.validation).any() for a, b in zip(first, other, strict=True))


def test_stratified_keeps_class_shares() -> None:
    for fold in folds("stratified", labels=LABELS):
        assert np.bincount(LABELS[fold.validation]).tolist() == [6, 4, 2]


def test_groups_stay_whole() -> None:
    for fold in folds("group", groups=GROUPS):
        assert not set(GROUPS[fold.train]) & set(GROUPS[fold.validation])


def test_time_series_trains_on_the_past_only() -> None:
    for fold in folds("time-series", time=TIME):
        assert TIME[fold.train].max() < TIME[fold.validation].min()


def test_repeats_multiply_folds_with_new_splits() -> None:
    made = folds("kfold", repeats=3)
    assert len(made) == 15
    assert [fold.index for fold in made] == list(range(15))
    assert len({tuple(fold.validation) for fold in made}) == 15


def test_holdout_is_one_split_of_the_asked_share() -> None:
    (only,) = folds("holdout", labels=LABELS)
    assert len(only.validation) == 18
    assert np.bincount(LABELS[only.validation]).tolist() == [9, 6, 3]


def test_held_out_rows_keep_groups_whole_and_time_in_order() -> None:
    development, test = hold_out(n_rows=N, fraction=0.2, seed=1, groups=GROUPS)
    assert not set(GROUPS[development]) & set(GROUPS[test])
    development, test = hold_out(n_rows=N, fraction=0.2, seed=1, time=TIME)
    assert len(test) == 12
    assert TIME[development].max() < TIME[test].min()


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("kfold", {"n_rows": 3}, "3 rows cannot be split into 5 folds"),
        ("stratified", {}, "need class labels, but the task is regression"),
        (
            "stratified",
            {"labels": np.array([0] * 57 + [1] * 3)},
            "at least 5 rows of every class, but the rarest has 3",
        ),
        ("group", {}, "group folds need a group column"),
        ("group", {"groups": np.zeros(N)}, "1 groups cannot be split into 5 folds"),
        ("holdout", {"n_rows": 1}, "holdout needs at least 2 rows, but got 1"),
    ],
)
def test_impossible_folds_say_why_and_what_to_do(method: str, changes: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        folds(method, **changes)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_fraction_that_leaves_a_part_empty_is_refused() -> None:
    with pytest.raises(DataError, match=r"test_fraction = 0.01 of 10 rows leaves 10 for the search and 0 to test"):
        hold_out(n_rows=10, fraction=0.01, seed=0)
