"""Targets that inputs tell nothing of: those of the rows, in another order."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.seeds import derive
from hpsearch.data.dataset import Array, Part
from hpsearch.data.equal_rows import number_rows
from hpsearch.errors import DataError

Rows = NDArray[np.intp]


def permuted(part: Part, *, seed: int, index: int, in_order: bool) -> tuple[Part, str]:
    """The same rows with permuted targets, the null hypothesis of M. Ojala, G. C. Garriga, "Permutation Tests for
    Studying Classifier Performance", JMLR 11, 2010, test 1. What targets share among themselves is kept:

    - Rows of their own: any order.
    - Groups whose rows have one target each: whole groups change places, whatever their size.
    - Other groups: those of equal size exchange their targets, then the rows of each group do (A. M. Winkler and
      others, "Multi-level block permutation", NeuroImage 123, 2015).
    - In time: all targets move on by a number of rows, and the last ones come first (K. D. Harris, "A Shift Test for
      Independence in Generic Time Series", arXiv 2012.06862, 2020). Only the start of a time step becomes the start.

    Args:
        part: The rows.
        seed: The study's seed.
        index: Number of the permutation, from 0.
        in_order: Whether the rows come in the order of time if they have no time of their own.

    Returns:
        The rows, and what has happened to their targets, in words; empty for any order.

    Raises:
        DataError: There are not so many ways to shift, or there are no targets.
    """
    if part.y.shape[1:] == (0,):
        raise DataError(
            "a null search permutes targets, and this study has none",
            code="no-targets",
            hint='a model with losses of its own ([data] target = "none") has no null search',
        )
    time = np.arange(len(part)) if in_order and part.time is None else part.time
    rng = np.random.default_rng(derive(seed, "null", index))
    if time is not None:
        sources, how = _shifted(time, seed, index), "shifted along time"
    elif part.groups is None:
        sources, how = rng.permutation(len(part)), ""
    else:
        groups = np.unique(part.groups, return_inverse=True)[1]
        (targets,) = number_rows(part.y)
        if len(np.unique(groups * (int(targets.max()) + 1) + targets)) == int(groups.max()) + 1:
            sources, how = _whole_groups(groups, rng), "of whole groups"
        else:
            sources, how = _within_groups(groups, rng), "exchanged within groups and among groups of equal size"
    # How much a row counts often follows from its class: a weight goes where its target goes.
    weights = None if part.weights is None else part.weights[sources]
    return replace(part, y=part.y[sources], weights=weights), how


def _shifted(time: Array, seed: int, index: int) -> Rows:
    order = np.argsort(time, kind="stable")
    begins = np.flatnonzero(time[order][1:] != time[order][:-1]) + 1
    if index >= len(begins):
        raise DataError(
            f"the targets of {len(begins) + 1} time steps can be shifted in {len(begins)} ways, which is too few for "
            f"{index + 1} null searches",
            code="too-few-shifts",
            hint=f"use --null {len(begins)} or less" if len(begins) else "use data with more time steps",
            steps=len(begins) + 1,
            shifts=len(begins),
        )
    shift = np.random.default_rng(derive(seed, "null")).permutation(begins)[index]
    sources = np.empty_like(order)
    sources[order] = np.roll(order, shift)
    return sources


def _whole_groups(groups: Rows, rng: np.random.Generator) -> Rows:
    firsts = np.unique(groups, return_index=True)[1]
    return np.asarray(firsts[rng.permutation(len(firsts))][groups])


def _within_groups(groups: Rows, rng: np.random.Generator) -> Rows:
    rows = np.lexsort((rng.random(len(groups)), groups))  # of each group in turn, in no order
    sizes = np.bincount(groups)
    begins = np.cumsum(sizes) - sizes
    sources = np.empty_like(rows)
    for size in np.unique(sizes):
        members = rows[begins[sizes == size][:, None] + np.arange(size)]
        sources[members] = rng.permuted(members[rng.permutation(len(members))], axis=1)
    return sources
