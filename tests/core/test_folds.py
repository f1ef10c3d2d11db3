import numpy as np
import pytest

from hpsearch.core.folds import Fold, hold_out, make_folds
from hpsearch.errors import DataError

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


def test_a_time_step_is_never_on_both_sides() -> None:
    steps = np.repeat(np.arange(12), [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 5, 5])[TIME]
    made = [(fold.train, fold.validation) for fold in folds("time-series", time=steps)]
    made += [(fold.train, fold.validation) for fold in folds("holdout", time=steps)]
    made.append(hold_out(n_rows=N, fraction=0.2, seed=1, time=steps))
    assert len(made) == 7
    for earlier, later in made:
        assert steps[earlier].max() < steps[later].min()
    # Each of the five folds validates on two of twelve steps; 18 and 12 rows were asked for, cut between steps.
    assert [sorted(set(steps[later])) for _, later in made[:5]] == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert [len(later) for _, later in made[5:]] == [20, 10]


def test_without_ties_a_part_has_the_rows_that_were_asked_for() -> None:
    assert [len(fold.validation) for fold in folds("time-series", time=TIME)] == [10] * 5
    (only,) = folds("holdout", time=TIME)
    assert sorted(TIME[only.validation]) == list(range(42, 60))


def test_holdout_keeps_groups_whole() -> None:
    (only,) = folds("holdout", groups=GROUPS)
    assert not set(GROUPS[only.train]) & set(GROUPS[only.validation])
    assert len(set(GROUPS[only.validation])) == 5
    assert len(only.train) + len(only.validation) == N


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
        ("holdout", {"n_rows": 1}, "[validation] fraction = 0.3 of 1 rows makes parts of 0 and 1 rows"),
        ("holdout", {"time": np.zeros(N)}, "all 60 rows have the same time"),
        ("holdout", {"groups": np.zeros(N)}, "[validation] fraction = 0.3 of 1 groups makes parts of 0 and 1 groups"),
        ("time-series", {"time": np.arange(N) // 12}, "5 time steps cannot be split into 5 folds"),
    ],
)
def test_impossible_folds_say_why_and_what_to_do(method: str, changes: dict, message: str) -> None:
    with pytest.raises(DataError) as caught:
        folds(method, **changes)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_fraction_that_leaves_a_part_empty_is_refused() -> None:
    with pytest.raises(DataError, match=r"test_fraction = 0.01 of 10 rows makes parts of 10 and 0 rows"):
        hold_out(n_rows=10, fraction=0.01, seed=0)
