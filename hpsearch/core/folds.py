"""Which rows train and which validate: scikit-learn's splitters behind one function, the same folds for every trial."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.seeds import derive
from hpsearch.errors import DataError

Rows = NDArray[np.intp]
PerRow = NDArray[np.generic]
Method = Literal["kfold", "stratified", "group", "time-series", "holdout"]


@dataclass(frozen=True, slots=True)
class RowTraits:
    """What splitting needs to know about the rows.

    Attributes:
        count: Number of rows.
        labels: Class number of each row; None without classes.
        groups: Group of each row; a group is never split.
        time: Time of each row; rows of one time step are never separated.
        equal: Number of each row, which rows that stay together share; not with time. They are split like one row, by
            every method.
        what: What rows are called in messages, and groups in turn.
        class_: What a class is called there.
    """

    count: int
    labels: PerRow | None = None
    groups: PerRow | None = None
    time: PerRow | None = None
    equal: PerRow | None = None
    what: tuple[str, str] = ("rows", "groups")
    class_: str = "class"


@dataclass(frozen=True, slots=True)
class Fold:
    """Row numbers of one fold: ``train`` and ``validation`` share no row."""

    index: int
    train: Rows
    validation: Rows


def make_folds(
    method: Method, rows: RowTraits, *, folds: int, repeats: int, fraction: float, seed: int
) -> tuple[Fold, ...]:
    """Split rows 0 … ``rows.count - 1`` into folds.

    Args:
        method: ``kfold``; ``stratified`` keeps class shares; ``group`` keeps groups whole; ``time-series`` trains on
            the past of each validation part; ``holdout`` makes one split, in the same way as :func:`hold_out`.
        rows: The rows. ``stratified`` needs labels and ``group`` needs groups. Without a time, ``time-series`` takes
            the rows in their order.
        folds: Number of folds per repeat; ``holdout`` ignores it.
        repeats: Number of different splits (kfold and stratified).
        fraction: Share of rows that ``holdout`` validates on.
        seed: The study's seed.

    Raises:
        DataError: There are fewer rows, groups, time steps or rows of a class than folds, or a required column is
            missing.
    """
    if rows.equal is not None:
        kept = _Kept.of(rows.equal)
        made = make_folds(method, kept.traits(rows), folds=folds, repeats=repeats, fraction=fraction, seed=seed)
        return tuple(Fold(fold.index, kept.members(fold.train), kept.members(fold.validation)) for fold in made)
    state = derive(seed, "folds")
    if method == "holdout":
        part = _Part("[validation] fraction", fraction, math.ceil(rows.count * fraction))
        train, validation = _split_off(part, rows, state)
        return (Fold(0, train, validation),)
    _check(method, rows, folds)
    if method == "time-series":
        return _time_series(np.arange(rows.count) if rows.time is None else rows.time, folds)
    pairs = _shuffled_pairs(method, rows, folds=folds, repeats=repeats, state=state)
    return tuple(Fold(i, train, validation) for i, (train, validation) in enumerate(pairs))


def hold_out(rows: RowTraits, *, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Split off the test part: (development rows, test rows), each ascending.

    Groups stay whole. With a time, the latest rows are the test part, cut between the two time steps that come nearest
    to `fraction`. Class shares are kept if every class has at least two rows.

    Raises:
        DataError: A part would be empty.
    """
    if rows.equal is not None:
        kept = _Kept.of(rows.equal)
        rest, taken = hold_out(kept.traits(rows), fraction=fraction, seed=seed)
        return kept.members(rest), kept.members(taken)
    part = _Part("[data] test_fraction", fraction, round(rows.count * fraction))
    return _split_off(part, rows, derive(seed, "test-part"))


@dataclass(frozen=True, slots=True)
class _Kept:
    """Sets of rows that stay together. The first row of a set is split in the place of all.

    Attributes:
        firsts: The first row of each set, ascending.
        place: The set of each row.
    """

    firsts: Rows
    place: Rows

    @classmethod
    def of(cls, equal: PerRow) -> "_Kept":
        _, firsts, place = np.unique(equal, return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(firsts[order], rank[place])

    def traits(self, rows: RowTraits) -> RowTraits:
        """The first rows, each with the commonest class of its set."""
        labels = None
        if rows.labels is not None:
            pairs, counts = np.unique(np.stack([self.place, rows.labels]), axis=1, return_counts=True)
            order = np.lexsort((-counts, pairs[0]))
            labels = pairs[1, order[np.flatnonzero(np.diff(pairs[0, order], prepend=-1))]]
        groups = None if rows.groups is None else rows.groups[self.firsts]
        what = ("different rows", rows.what[1])
        return RowTraits(len(self.firsts), labels, groups, what=what, class_=rows.class_)

    def members(self, sets: Rows) -> Rows:
        """All rows of some sets, ascending."""
        return np.flatnonzero(np.isin(self.place, sets))


@dataclass(frozen=True, slots=True)
class _Part:
    """The part to split off.

    Attributes:
        key: Where the study file sets its share, for messages.
        fraction: Its share, of the rows or of the groups.
        n_rows: Its share as a number of rows.
    """

    key: str
    fraction: float
    n_rows: int

    def empty(self, count: int, taken: int, unit: str) -> DataError:
        """The error if one of two parts would be empty."""
        return DataError(
            f"{self.key} = {self.fraction} splits {count} {unit} into {count - taken} and {taken}",
            code="empty-part",
            hint=f"use a fraction that leaves {unit} in both parts, or more data",
            key=self.key,
            fraction=self.fraction,
            unit=unit,
            parts=(count - taken, taken),
        )


def _split_off(part: _Part, rows: RowTraits, state: int) -> tuple[Rows, Rows]:
    """(the rest, the part), each ascending."""
    if not 0 < part.n_rows < rows.count:
        raise part.empty(rows.count, part.n_rows, rows.what[0])
    if rows.time is not None:
        return _split_by_time(part, rows.time)
    if rows.groups is not None:
        return _split_by_group(part, rows, rows.groups, state)
    from sklearn import model_selection as ms

    stratify = rows.labels if _can_keep_shares(rows.labels, min(part.n_rows, rows.count - part.n_rows)) else None
    rest, taken = ms.train_test_split(
        np.arange(rows.count), test_size=part.n_rows, random_state=state, stratify=stratify
    )
    return np.sort(rest), np.sort(taken)


def _split_by_time(part: _Part, time: PerRow) -> tuple[Rows, Rows]:
    """The latest rows are the part. The cut is between two time steps."""
    order = np.argsort(time, kind="stable")
    steps = np.flatnonzero(time[order][1:] != time[order][:-1]) + 1
    if len(steps) == 0:
        raise DataError(
            f"all {len(time)} rows have the same time, so {part.key} = {part.fraction} has no later rows to take",
            code="one-time-step",
            hint="check [data] time: the column needs at least two different values",
            key=part.key,
            rows=len(time),
        )
    cut = steps[np.abs(steps - (len(time) - part.n_rows)).argmin()]
    return np.sort(order[:cut]), np.sort(order[cut:])


def _split_by_group(part: _Part, rows: RowTraits, groups: PerRow, state: int) -> tuple[Rows, Rows]:
    """The fraction counts groups, which stay whole."""
    from sklearn import model_selection as ms

    n_groups = len(np.unique(groups))
    n_taken = math.ceil(n_groups * part.fraction)
    if n_taken >= n_groups:
        raise part.empty(n_groups, n_taken, rows.what[1])
    splitter = ms.GroupShuffleSplit(n_splits=1, test_size=n_taken, random_state=state)
    rest, taken = next(splitter.split(np.arange(len(groups)), groups=groups))
    return np.sort(rest), np.sort(taken)


def _can_keep_shares(labels: PerRow | None, smaller_part: int) -> bool:
    return labels is not None and _smallest(labels) >= 2 and smaller_part >= len(np.unique(labels))


def _shuffled_pairs(
    method: Method, rows: RowTraits, *, folds: int, repeats: int, state: int
) -> Iterable[tuple[Rows, Rows]]:
    from sklearn import model_selection as ms  # costs half a second: not at import time

    numbers = np.arange(rows.count)
    if method == "group":
        splitter = ms.GroupKFold(n_splits=folds, shuffle=True, random_state=state)
    elif method == "stratified":
        splitter = ms.RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=state)
    else:
        splitter = ms.RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=state)
    pairs: Iterable[tuple[Rows, Rows]] = splitter.split(
        numbers, rows.labels if method == "stratified" else None, rows.groups if method == "group" else None
    )
    return pairs


def _time_series(time: PerRow, folds: int) -> tuple[Fold, ...]:
    """Every validation part has the same number of time steps, and all earlier steps train."""
    from sklearn import model_selection as ms

    order = np.argsort(time, kind="stable")
    begins = np.flatnonzero(np.append(True, time[order][1:] != time[order][:-1]))
    if len(begins) <= folds:
        raise DataError(
            f"{len(begins)} time steps cannot be split into {folds} folds that each train on earlier steps",
            code="too-few-time-steps",
            hint=f"lower [validation] folds to {len(begins) - 1}"
            if len(begins) > 2
            else "use data with more time steps",
            steps=len(begins),
            folds=folds,
        )
    ends = np.append(begins[1:], len(time))
    made = []
    for i, (_, validation) in enumerate(ms.TimeSeriesSplit(n_splits=folds).split(begins)):
        cut = begins[validation[0]]
        made.append(Fold(i, order[:cut], order[cut : ends[validation[-1]]]))
    return tuple(made)


def _smallest(labels: PerRow) -> int:
    return int(np.unique(labels, return_counts=True)[1].min())


def _check(method: Method, rows: RowTraits, folds: int) -> None:
    if rows.count < folds:
        raise DataError(
            f"{rows.count} {rows.what[0]} cannot be split into {folds} folds",
            code="too-few-rows",
            hint="lower [validation] folds",
            rows=rows.count,
            folds=folds,
        )
    if method == "stratified":
        if rows.labels is None:
            raise DataError(
                "stratified folds need one class for each row, and the targets have none",
                code="no-classes",
                hint='use method = "kfold"',
            )
        if (smallest := _smallest(rows.labels)) < folds:
            raise DataError(
                f"stratified folds need at least {folds} {rows.what[0]} of every {rows.class_}, but the rarest "
                f"{rows.class_} has {smallest}",
                code="rare-class",
                hint='lower [validation] folds; with method = "kfold", some folds validate on no such row, and '
                "metrics such as AUC, recall and F1 have no value there",
                rows=smallest,
                folds=folds,
            )
    if method == "group":
        if rows.groups is None:
            raise DataError(
                "group folds need a group column", code="no-group-column", hint='name it: [data] group = "…"'
            )
        if (n_groups := len(np.unique(rows.groups))) < folds:
            what = rows.what[1] if n_groups != 1 else rows.what[1].replace("groups", "group", 1)
            raise DataError(
                f"the rows to search on have {n_groups} {what}, which cannot be split into {folds} folds",
                code="too-few-groups",
                hint="lower [validation] folds, or [data] test_fraction, which keeps whole groups for the test; or use "
                "data with more groups",
                groups=n_groups,
                folds=folds,
            )
