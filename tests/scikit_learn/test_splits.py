"""Splitters of scikit-learn as a study's validation; what cannot be one is an error."""

import pytest
from sklearn import model_selection as ms

from hpsearch.scikit_learn.splits import validation_of
from tests.raising import raises


@pytest.mark.parametrize(
    ("cv", "section"),
    [
        (None, {}),
        (4, {"folds": 4}),
        (ms.KFold(3, shuffle=True, random_state=1), {"method": "kfold", "folds": 3}),
        (ms.StratifiedKFold(4, shuffle=True), {"method": "stratified", "folds": 4}),
        (ms.RepeatedKFold(n_splits=3, n_repeats=2), {"method": "kfold", "folds": 3, "repeats": 2}),
        (ms.RepeatedStratifiedKFold(n_splits=3), {"method": "stratified", "folds": 3, "repeats": 10}),
        (ms.TimeSeriesSplit(3), {"method": "time-series", "folds": 3}),
        (ms.ShuffleSplit(1, test_size=0.25), {"method": "holdout", "fraction": 0.25}),
    ],
)
def test_a_splitter_is_a_section(cv: object, section: dict[str, object]) -> None:
    assert validation_of(cv, grouped=False) == section


def test_groups_and_splitters_that_keep_them() -> None:
    assert validation_of(ms.GroupKFold(3), grouped=True) == {"method": "group", "folds": 3}
    assert validation_of(3, grouped=True) == {"folds": 3}
    found = validation_of(ms.GroupShuffleSplit(1, test_size=0.2), grouped=True)
    assert found == {"method": "holdout", "fraction": 0.2}
    with raises("study-file.no-groups"):
        validation_of(ms.GroupKFold(3), grouped=False)
    with raises("study-file.leaking-folds"):
        validation_of(ms.KFold(3, shuffle=True), grouped=True)


@pytest.mark.parametrize(
    "cv",
    [
        ms.KFold(3),  # consecutive rows
        ms.StratifiedKFold(3),
        ms.TimeSeriesSplit(3, gap=2),
        ms.TimeSeriesSplit(3, max_train_size=10),
        ms.ShuffleSplit(5, test_size=0.2),
        ms.ShuffleSplit(1),
        ms.LeaveOneOut(),
        ms.PredefinedSplit([0, 1, 0, 1]),
        [([0, 1], [2, 3])],
        True,
        "kfold",
    ],
)
def test_other_splits_are_errors(cv: object) -> None:
    with raises("study-file.unknown-splitter") as caught:
        validation_of(cv, grouped=False)
    assert "KFold(n, shuffle=True)" in caught.value.hint
    assert len(caught.value.what) < 200
