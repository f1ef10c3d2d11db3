"""Which rows train and which validate: scikit-learn's splitters behind one function, the same folds for every trial."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError
from hpsearch.seeds import derive

Rows = NDArray[np.intp]
Method = Literal["kfold", "stratified", "group", "time-series", "holdout"]


@dataclass(frozen=True, slots=True)
class Fold:
    """Row numbers of one fold: ``train`` and ``validation`` share no row."""

    index: int
    train: Rows
    validation: Rows


def make_folds(
    method: Method,
    *,
    n_rows: int,
    folds: int,
    repeats: int,
    fraction: float,
    seed: int,
    labels: NDArray[np.generic] | None = None,
    groups: NDArray[np.generic] | None = None,
    time: NDArray[np.generic] | None = None,
) -> tuple[Fold, ...]:
    """Split rows 0 … n_rows - 1 into folds.

    Args:
        method: ``kfold``; ``stratified`` keeps class shares; ``group`` keeps groups whole; ``time-series`` trains on
            the past of each validation part; ``holdout`` is one split.
        n_rows: Number of rows.
        folds: Number of folds per repeat; not used by ``holdout``.
        repeats: How often to split anew (kfold and stratified).
        fraction: Share of rows that ``holdout`` validates on.
        seed: The study's seed.
        labels: Class number of each row; needed by ``stratified``, used by ``holdout`` to keep class shares.
        groups: Group of each row; needed by ``group``.
        time: Time of each row; ``time-series`` sorts by it, or takes rows as ordered where it is None.

    Raises:
        DataError: There are fewer rows, groups or rows of a class than folds, or a needed column is missing.
    """
    _check(method, n_rows=n_rows, folds=folds, labels=labels, groups=groups)
    from sklearn import model_selection as ms  # costs half a second: not at import time

    state = derive(seed, "folds")
    rows = np.arange(n_rows)
    order = rows
    if method == "holdout":
        keep = labels if labels is not None and _smallest(labels) >= 2 else None
        train, validation = ms.train_test_split(rows, test_size=fraction, random_state=state, stratify=keep)
        return (Fold(0, np.sort(train), np.sort(validation)),)
    if method == "time-series":
        order = rows if time is None else np.argsort(time, kind="stable")
        pairs = ms.TimeSeriesSplit(n_splits=folds).split(rows)
    elif method == "group":
        pairs = ms.GroupKFold(n_splits=folds, shuffle=True, random_state=state).split(rows, groups=groups)
    elif method == "stratified":
        splitter = ms.RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=state)
        pairs = splitter.split(rows, labels)
    else:
        pairs = ms.RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=state).split(rows)
    return tuple(Fold(i, order[train], order[validation]) for i, (train, validation) in enumerate(pairs))


def hold_out(
    *,
    n_rows: int,
    fraction: float,
    seed: int,
    labels: NDArray[np.generic] | None = None,
    groups: NDArray[np.generic] | None = None,
    time: NDArray[np.generic] | None = None,
) -> tuple[Rows, Rows]:
    """Split off the test part: (development rows, test rows), each ascending.

    Groups stay whole; with ``time`` the latest rows are the test part; class shares are kept where every class has
    at least two rows.

    Raises:
        DataError: A part would be empty.
    """
    n_test = round(n_rows * fraction)
    if not 0 < n_test < n_rows:
        raise DataError(
            f"test_fraction = {fraction} of {n_rows} rows leaves {n_rows - n_test} for the search and {n_test} to test",
            hint="use a fraction that leaves rows in both parts, or more data",
        )
    rows = np.arange(n_rows)
    if time is not None:
        order = np.argsort(time, kind="stable")
        return np.sort(order[:-n_test]), np.sort(order[-n_test:])
    from sklearn import model_selection as ms

    state = derive(seed, "test-part")
    if groups is not None:
        splitter = ms.GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=state)
        development, test = next(splitter.split(rows, groups=groups))
    else:
        keep = labels if labels is not None and _smallest(labels) >= 2 and n_test >= len(np.unique(labels)) else None
        development, test = ms.train_test_split(rows, test_size=n_test, random_state=state, stratify=keep)
    return np.sort(development), np.sort(test)


def _smallest(labels: NDArray[np.generic]) -> int:
    return int(np.unique(labels, return_counts=True)[1].min())


def _check(
    method: Method,
    *,
    n_rows: int,
    folds: int,
    labels: NDArray[np.generic] | None,
    groups: NDArray[np.generic] | None,
) -> None:
    if method == "holdout":
        if n_rows < 2:
            raise DataError(f"holdout needs at least 2 rows, but got {n_rows}", hint="use more data")
        return
    if n_rows < folds + (method == "time-series"):
        raise DataError(f"{n_rows} rows cannot be split into {folds} folds", hint="lower [validation] folds")
    if method == "stratified":
        if labels is None:
            raise DataError(
                "stratified folds need class labels, but the task is regression", hint='use method = "kfold"'
            )
        if (smallest := _smallest(labels)) < folds:
            raise DataError(
                f"stratified folds need at least {folds} rows of every class, but the rarest has {smallest}",
                hint='lower [validation] folds, or use method = "kfold"',
            )
    if method == "group":
        if groups is None:
            raise DataError("group folds need a group column", hint='name it: [data] group = "…"')
        if (n_groups := len(np.unique(groups))) < folds:
            raise DataError(f"{n_groups} groups cannot be split into {folds} folds", hint="lower [validation] folds")
