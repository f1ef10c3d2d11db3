"""Rows that a model cannot tell apart: found, counted where they stand on both sides of a split, or kept together."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import EqualRows
from hpsearch.core.folds import Fold
from hpsearch.core.words import percent
from hpsearch.data.dataset import Array, Features, Part

Numbers = NDArray[np.intp]

_CHUNK_BYTES = 16_000_000
"""Rows are made ready for the digest in chunks of about this size."""


def number_rows(*parts: Features) -> tuple[Numbers, ...]:
    """A number for each row of each part: equal rows share one, and new ones count up.

    Rows are equal if a model cannot tell them apart: in every input, ``-0.0`` is ``0.0`` and an empty cell is another
    empty cell. They are compared by digests of 128 bits.

    Args:
        parts: Rows with the same inputs.
    """
    seen: dict[bytes, int] = {}
    inputs = [_inputs(part) for part in parts]
    dtypes = [np.result_type(*arrays) for arrays in zip(*inputs, strict=True)]
    return tuple(
        np.fromiter((seen.setdefault(digest, len(seen)) for digest in _digests(one, dtypes)), dtype=np.intp)
        for one in inputs
    )


def _inputs(x: Features) -> list[Array]:
    arrays = [x[name] for name in sorted(x)] if isinstance(x, Mapping) else [x]
    return [_digests_of_texts(one) if one.dtype == object else one for one in arrays]


def _digests_of_texts(texts: Array) -> Array:
    """Texts of any length as 16 bytes each."""
    digests = [hashlib.blake2b(str(text).encode(), digest_size=16).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(texts), 16)


def _digests(inputs: Sequence[Array], dtypes: Sequence[np.dtype[np.generic]]) -> Iterator[bytes]:
    width = max(1, sum(array[:1].size * dtype.itemsize for array, dtype in zip(inputs, dtypes, strict=True)))
    step = max(1, _CHUNK_BYTES // width)
    for start in range(0, len(inputs[0]), step):
        pieces = [_plain(a[start : start + step], dtype) for a, dtype in zip(inputs, dtypes, strict=True)]
        for row in np.ascontiguousarray(np.concatenate(pieces, axis=1)):
            yield hashlib.blake2b(row, digest_size=16).digest()


def _plain(values: Array, dtype: np.dtype[np.generic]) -> NDArray[np.uint8]:
    """The bytes of each row, the same for values that a model takes for the same."""
    plain = np.ascontiguousarray(values, dtype).reshape(len(values), -1)
    if plain.dtype.kind == "f":
        plain = plain + plain.dtype.type(0)  # -0.0 becomes 0.0
        plain[np.isnan(plain)] = np.nan
    return plain.view(np.uint8)


def joined(first: Array, second: Array) -> Numbers:
    """Groups that keep together what either of two groupings does: the connected components of both."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = (np.unique(one, return_inverse=True)[1] for one in (first, second))
    count = int(a.max()) + 1
    size = count + int(b.max()) + 1
    edges = coo_array((np.ones(len(a), dtype=np.int8), (a, b + count)), shape=(size, size))
    found: Numbers = connected_components(edges, directed=False)[1][a].astype(np.intp)
    return found


def count_equal_rows(train: Part, test: Part | None, folds: Sequence[Fold]) -> EqualRows:
    """Count the rows that stand on both sides of a split.

    Args:
        train: Development rows.
        test: Test rows.
        folds: Of the development rows.
    """
    parts = [train] if test is None else [train, test]
    rows = number_rows(*(part.x for part in parts))
    targets = number_rows(*(part.y for part in parts))
    n_targets = 1 + max(int(one.max()) for one in targets)
    pairs = [row * n_targets + target for row, target in zip(rows, targets, strict=True)]
    crossing, differing = np.zeros((2, len(train)), dtype=bool)
    for fold in folds:
        found = _found(pairs[0][fold.validation], pairs[0][fold.train], n_targets)
        crossing[fold.validation] |= found[0]
        differing[fold.validation] |= found[1]
    in_test = _found(pairs[1], pairs[0], n_targets) if test is not None else np.zeros((2, 0), dtype=bool)
    return EqualRows(int(crossing.sum()), int(differing.sum()), int(in_test[0].sum()), int(in_test[1].sum()))


def _found(here: Numbers, there: Numbers, n_targets: int) -> NDArray[np.bool_]:
    """Which rows `here` have an equal row `there`, and which have one with another target, of shape ``(2, rows)``.

    Rows are numbered together with their targets.
    """
    others = np.unique(there)
    size = 1 + max(int(here.max(initial=0)), int(others.max(initial=0))) // n_targets
    count = np.bincount(others // n_targets, minlength=size)[here // n_targets]
    return np.stack([count > 0, count > np.isin(here, others)])


def warnings_of(found: EqualRows, *, rows: int, test_rows: int, time: bool, own_test: bool) -> tuple[str, ...]:
    """What to know about the splits that equal rows cross; empty if they cross none.

    Args:
        found: The counts.
        rows: Number of development rows.
        test_rows: Number of test rows.
        time: Whether folds follow time.
        own_test: Whether the test part came with the source.
    """
    sides, advice = [], []
    if found.validation:
        when = "while it validates" if found.validation == 1 else "while they validate"
        others = f"in all inputs to a row that trains {when}{_differing(found.validation_differing, found.validation)}"
        sides.append(f"{_counted(found.validation, rows, 'development')} {others}")
    if found.test:
        others = f"in all inputs to a development row{_differing(found.test_differing, found.test)}"
        sides.append(f"{_counted(found.test, test_rows, 'test')} {others}")
    if found.validation or (found.test and not own_test):
        cure = "drop them" if time else '[data] duplicates = "group" keeps equal rows together'
        advice.append(f"If they are copies, a model that memorises looks better than it is: {cure}")
    if found.test and own_test:
        advice.append("The test split is the source's own and stays as it is")
    return (". ".join(["; ".join(sides), *advice]),) if sides else ()


def _counted(count: int, total: int, what: str) -> str:
    return f"{count:,} of {total:,} {what} rows ({percent(count / total, 3)}) {'is' if count == 1 else 'are'} equal"


def _differing(count: int, of: int) -> str:
    who = "" if of == 1 else f"{count:,} of them "
    return f", {who}to one with another target" if count else ""
