"""Texts as compact rows: each row holds the distinct word numbers of a text, padded with 0.

A multi-hot matrix of 25,000 reviews × 10,000 words takes 1 GB as float32 (250 MB as bytes); these rows take 2 bytes a
word. The model turns them into a multi-hot sum batch by batch (:mod:`hpsearch.models.inputs`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

START, UNKNOWN, OFFSET = 1, 2, 3  # start_char, oov_char and index_from of keras.datasets


def word_rows(texts: Sequence[list[int]] | NDArray[np.object_], words: int) -> NDArray[np.uint16]:
    """Distinct word numbers of each text, ascending, padded at the end with 0.

    Args:
        texts: Lists of word numbers as stored (before Keras' offset and start mark).
        words: Numbers from this on become 2 ("unknown").

    Returns:
        Shape ``(n_texts, most distinct words of a text)``.
    """
    rows = []
    for text in texts:
        numbers = np.asarray(text, dtype=np.int64) + OFFSET
        numbers[numbers >= words] = UNKNOWN
        rows.append(np.unique(np.append(numbers, START)).astype(np.uint16))
    table = np.zeros((len(rows), max(map(len, rows))), dtype=np.uint16)
    for row, numbers in zip(table, rows, strict=True):
        row[: len(numbers)] = numbers
    return table


def same_width(*tables: NDArray[np.uint16]) -> list[NDArray[np.uint16]]:
    """The tables, each padded to the width of the widest."""
    width = max(table.shape[1] for table in tables)
    return [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in tables]
