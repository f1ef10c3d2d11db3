"""Which rows train and which validate: scikit-learn's splitters behind one function, the same folds for every trial."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.seeds import derive
from hpsearch.errors import DataError

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
            the past of each validation part; ``holdout`` is one split, made as :func:`hold_out` makes it.
        n_rows: Number of rows.
        folds: Number of folds per repeat; not used by ``holdout``.
        repeats: How often to split anew (kfold and stratified).
        fraction: Share of rows that ``holdout`` validates on.
        seed: The study's seed.
        labels: Class number of each row; needed by ``stratified``, used by ``holdout`` to keep class shares.
        groups: Group of each row; needed by ``group``, respected by ``holdout``.
        time: Time of each row, respected by ``time-series`` and ``holdout``; without it, ``time-series`` takes rows as
            ordered. Rows of one time step are never parted.

    Raises:
        DataError: There are fewer rows, groups, time steps or rows of a class than folds, or a needed column is
            missing.
    """
    state = derive(seed, "folds")
    if method == "holdout":
        train, validation = _cut(
            "[validation] fraction",
            fraction,
            n_rows,
            math.ceil(n_rows * fraction),
            state,
            labels=labels,
            groups=groups,
            time=time,
        )
        return (Fold(0, train, validation),)
    _check(method, n_rows=n_rows, folds=folds, labels=labels, groups=groups)
    if method == "time-series":
        return _time_series(np.arange(n_rows) if time is None else time, folds)
    from sklearn import model_selection as ms  # costs half a second: not at import time

    rows = np.arange(n_rows)
    if method == "group":
        pairs = ms.GroupKFold(n_splits=folds, shuffle=True, random_state=state).split(rows, groups=groups)
    elif method == "stratified":
        splitter = ms.RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=state)
        pairs = splitter.split(rows, labels)
    else:
        pairs = ms.RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=state).split(rows)
    return tuple(Fold(i, train, validation) for i, (train, validation) in enumerate(pairs))


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

    Groups stay whole; with ``time`` the latest rows are the test part, cut between two time steps where that is nearest
    to `fraction`; class shares are kept where every class has at least two rows.

    Raises:
        DataError: A part would be empty.
    """
    return _cut(
        "[data] test_fraction",
        fraction,
        n_rows,
        round(n_rows * fraction),
        derive(seed, "test-part"),
        labels=labels,
        groups=groups,
        time=time,
    )


def _cut(
    key: str,
    fraction: float,
    n_rows: int,
    n_part: int,
    state: int,
    *,
    labels: NDArray[np.generic] | None,
    groups: NDArray[np.generic] | None,
    time: NDArray[np.generic] | None,
) -> tuple[Rows, Rows]:
    """Take `n_part` rows, or the share `fraction` of the groups, from the rest: (rest, part), each ascending.

    Args:
        key: Where `fraction` stands in the study file, for messages.
        fraction: The share that was asked for.
        n_rows: Number of rows.
        n_part: The share as a number of rows; with `time`, the nearest that parts no time step.
        state: Random state.
        labels: As in :func:`make_folds`, as are the following.
        groups: These stay whole.
        time: The latest rows are taken.

    Raises:
        DataError: One of the two would be empty.
    """
    if not 0 < n_part < n_rows:
        raise DataError(
            f"{key} = {fraction} of {n_rows} rows makes parts of {n_rows - n_part} and {n_part} rows",
            hint="use a fraction that leaves rows in both parts, or more data",
        )
    if time is not None:
        order = np.argsort(time, kind="stable")
        steps = np.flatnonzero(time[order][1:] != time[order][:-1]) + 1
        if len(steps) == 0:
            raise DataError(
                f"all {n_rows} rows have the same time, so that {key} = {fraction} has no later part to take",
                hint="check [data] time: it must tell at least two time steps apart",
            )
        cut = steps[np.abs(steps - (n_rows - n_part)).argmin()]
        return np.sort(order[:cut]), np.sort(order[cut:])
    from sklearn import model_selection as ms

    rows = np.arange(n_rows)
    if groups is not None:
        n_groups = len(np.unique(groups))
        n_taken = math.ceil(n_groups * fraction)
        if n_taken >= n_groups:
            raise DataError(
                f"{key} = {fraction} of {n_groups} groups makes parts of {n_groups - n_taken} and {n_taken} groups",
                hint="use a smaller fraction, or data with more groups",
            )
        splitter = ms.GroupShuffleSplit(n_splits=1, test_size=n_taken, random_state=state)
        rest, part = next(splitter.split(rows, groups=groups))
    else:
        keep = labels is not None and _smallest(labels) >= 2 and min(n_part, n_rows - n_part) >= len(np.unique(labels))
        rest, part = ms.train_test_split(rows, test_size=n_part, random_state=state, stratify=labels if keep else None)
    return np.sort(rest), np.sort(part)


def _time_series(time: NDArray[np.generic], folds: int) -> tuple[Fold, ...]:
    """Equally many time steps in each validation part, and all earlier ones to train on."""
    from sklearn import model_selection as ms

    order = np.argsort(time, kind="stable")
    begins = np.flatnonzero(np.append(True, time[order][1:] != time[order][:-1]))
    if len(begins) <= folds:
        raise DataError(
            f"{len(begins)} time steps cannot be split into {folds} folds that each train on earlier steps",
            hint=f"lower [validation] folds to {len(begins) - 1}"
            if len(begins) > 2
            else "use data with more time steps",
        )
    ends = np.append(begins[1:], len(time))
    made = []
    for i, (_, validation) in enumerate(ms.TimeSeriesSplit(n_splits=folds).split(begins)):
        cut = begins[validation[0]]
        made.append(Fold(i, order[:cut], order[cut : ends[validation[-1]]]))
    return tuple(made)


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
    if n_rows < folds:
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
