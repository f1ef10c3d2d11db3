import hashlib

import numpy as np
import pytest

from hpsearch.core.folds import Fold, RowTraits, hold_out, make_folds
from hpsearch.errors import DataError

N = 60
LABELS = np.repeat([0, 1, 2], [30, 20, 10])
GROUPS = np.arange(N) // 4
TIME = np.random.default_rng(0).permutation(N)


def folds(method: str, *, seed: int = 1, repeats: int = 1, count: int = N, **traits) -> tuple[Fold, ...]:
    return make_folds(method, RowTraits(count, **traits), folds=5, repeats=repeats, fraction=0.3, seed=seed)


def digest(made: tuple[Fold, ...]) -> str:
    rows = [rows.astype(np.int64).tobytes() for fold in made for rows in (fold.train, fold.validation)]
    return hashlib.blake2b(b"".join(rows), digest_size=6).hexdigest()


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
    made.append(hold_out(RowTraits(N, time=steps), fraction=0.2, seed=1))
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
    development, test = hold_out(RowTraits(N, groups=GROUPS), fraction=0.2, seed=1)
    assert not set(GROUPS[development]) & set(GROUPS[test])
    development, test = hold_out(RowTraits(N, time=TIME), fraction=0.2, seed=1)
    assert len(test) == 12
    assert TIME[development].max() < TIME[test].min()


@pytest.mark.parametrize(
    ("method", "traits", "code", "values"),
    [
        ("kfold", {"count": 3}, "too-few-rows", {"rows": 3, "folds": 5}),
        ("stratified", {}, "no-classes", {}),
        ("stratified", {"labels": np.array([0] * 57 + [1] * 3)}, "rare-class", {"rows": 3, "folds": 5}),
        ("group", {}, "no-group-column", {}),
        ("group", {"groups": np.zeros(N)}, "too-few-groups", {"groups": 1, "folds": 5}),
        ("holdout", {"count": 1}, "empty-part", {"unit": "rows", "parts": (0, 1), "fraction": 0.3}),
        ("holdout", {"groups": np.zeros(N)}, "empty-part", {"unit": "groups", "parts": (0, 1), "fraction": 0.3}),
        ("holdout", {"time": np.zeros(N)}, "one-time-step", {"rows": N}),
        ("time-series", {"time": np.arange(N) // 12}, "too-few-time-steps", {"steps": 5, "folds": 5}),
    ],
)
def test_impossible_folds_say_why_and_what_to_do(method: str, traits: dict, code: str, values: dict) -> None:
    with pytest.raises(DataError) as caught:
        folds(method, **traits)
    assert caught.value.code == f"data.{code}"
    assert caught.value.values.items() >= values.items()
    assert caught.value.hint


def test_a_fraction_that_leaves_a_part_empty_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        hold_out(RowTraits(10), fraction=0.01, seed=0)
    assert caught.value.code == "data.empty-part"
    assert str(caught.value) == (
        "[data] test_fraction = 0.01 splits 10 rows into 10 and 0\n"
        "  hint: use a fraction that leaves rows in both parts, or more data"
    )


@pytest.mark.parametrize(
    ("method", "traits", "expected"),
    [
        ("kfold", {"repeats": 2}, "87bdf8c5691f"),
        ("stratified", {"labels": LABELS}, "b1b426e69cab"),
        ("group", {"groups": GROUPS}, "935a8e66489d"),
        ("time-series", {"time": TIME}, "5fb05d9c2932"),
        ("holdout", {}, "fdada575295b"),
        ("holdout", {"labels": LABELS}, "9b1393d12b30"),
        ("holdout", {"groups": GROUPS}, "d6ad836adebf"),
        ("holdout", {"time": TIME}, "fc580c0bec95"),
    ],
)
def test_folds_are_those_of_earlier_versions(method: str, traits: dict, expected: str) -> None:
    """A resumed study must get the folds that its first trials had."""
    assert digest(folds(method, **traits)) == expected


EQUAL = np.random.default_rng(1).permutation(np.concatenate([np.repeat(np.arange(10), 3), np.arange(10, 40)]))
"""Sixty rows: ten of them stand there three times."""


@pytest.mark.parametrize("method", ["kfold", "stratified", "holdout"])
@pytest.mark.parametrize("repeats", [1, 2])
def test_equal_rows_stay_together_in_every_way_to_split(method: str, repeats: int) -> None:
    made = folds(method, labels=LABELS, equal=EQUAL, repeats=1 if method == "holdout" else repeats)
    assert len(made) == (1 if method == "holdout" else 5 * repeats)
    for fold in made:
        assert not set(EQUAL[fold.train]) & set(EQUAL[fold.validation])
        assert sorted([*fold.train, *fold.validation]) == list(range(N))
    if method != "holdout":
        assert sorted(np.concatenate([fold.validation for fold in made])) == sorted([*range(N)] * repeats)


def test_the_test_part_keeps_equal_rows_together_and_class_shares() -> None:
    labels = EQUAL % 2
    development, test = hold_out(RowTraits(N, labels, equal=EQUAL), fraction=0.2, seed=1)
    assert not set(EQUAL[development]) & set(EQUAL[test])
    assert sorted([*development, *test]) == list(range(N))
    assert np.bincount(np.unique(EQUAL[test]) % 2).tolist() == [4, 4]  # a fifth of the 40 different rows


def test_different_rows_are_split_as_if_nobody_had_asked() -> None:
    for method in ("kfold", "stratified", "holdout"):
        plain = folds(method, labels=LABELS)
        assert digest(folds(method, labels=LABELS, equal=np.arange(N)[::-1])) == digest(plain)
    parts = [hold_out(RowTraits(N, LABELS, equal=equal), fraction=0.2, seed=1) for equal in (None, np.arange(N))]
    assert all((a == b).all() for a, b in zip(*parts, strict=True))


def test_equal_rows_of_several_classes_count_for_the_commonest() -> None:
    equal, labels = np.repeat(np.arange(20), 3), np.tile([1, 0, 1, 0, 0, 0], 10)  # sets 1 0 1 and 0 0 0
    for fold in folds("stratified", labels=labels, equal=equal):
        assert np.bincount(labels[fold.validation]).tolist() == [8, 4]


@pytest.mark.parametrize(
    ("method", "equal", "code", "values"),
    [
        ("kfold", np.arange(N) % 3, "too-few-rows", {"rows": 3}),
        ("stratified", np.repeat([0, 1, 2, 3], [30, 20, 5, 5]), "too-few-rows", {"rows": 4}),
        ("stratified", np.concatenate([np.arange(50), np.repeat([50, 51], 5)]), "rare-class", {"rows": 2}),
        ("holdout", np.zeros(N), "empty-part", {"unit": "different rows", "parts": (0, 1)}),
    ],
)
def test_too_few_different_rows_say_so(method: str, equal: np.ndarray, code: str, values: dict) -> None:
    with pytest.raises(DataError, match="different rows") as caught:
        folds(method, labels=LABELS, equal=equal)
    assert caught.value.code == f"data.{code}"
    assert caught.value.values.items() >= values.items()
