"""Texts as compact rows: the distinct word numbers of each text, padded with 0.

A multi-hot matrix of 25,000 reviews × 10,000 words takes 1 GB as float32 (250 MB as bytes); these rows take 2 bytes per
word. The model sums the weights of the words in a row, as a Dense layer does for a multi-hot row
(:func:`hpsearch.models.inputs.word_layer`).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

START, UNKNOWN, OFFSET = 1, 2, 3  # start_char, oov_char and index_from of keras.datasets

_TEXTS_AT_ONCE = 2_000  # about 4 MB of word numbers: quick in NumPy, and small compared with the data set

WordRows = NDArray[np.uint16]


def word_rows(texts: Sequence[list[int]] | NDArray[np.generic], words: int) -> WordRows:
    """Distinct word numbers of each text, ascending, padded with 0 at the end.

    Args:
        texts: Lists of word numbers as stored (without Keras' offset and start mark).
        words: Numbers from this on become 2 ("unknown").

    Returns:
        Shape ``(n_texts, largest number of distinct words in a text)``.
    """
    pieces = [_some_rows(texts[i : i + _TEXTS_AT_ONCE], words) for i in range(0, len(texts), _TEXTS_AT_ONCE)]
    return np.concatenate(same_width(*pieces))


def word_sequences(texts: Sequence[list[int]] | NDArray[np.generic], words: int, length: int) -> WordRows:
    """Word numbers in the order of each text, as Keras' ``load_data`` and ``pad_sequences`` give them.

    Args:
        texts: Lists of word numbers as stored (without Keras' offset and start mark).
        words: Numbers from this on become 2 ("unknown").
        length: Numbers per row: longer texts lose their beginning, shorter ones have 0 in front.

    Returns:
        Shape ``(n_texts, length)``.
    """
    table = np.zeros((len(texts), length), dtype=np.uint16)
    for row, text in enumerate(texts):
        numbers = np.array([START, *(number + OFFSET for number in text)][-length:], dtype=np.int64)
        table[row, length - len(numbers) :] = np.where(numbers < words, numbers, UNKNOWN)
    return table


def same_width(*tables: WordRows) -> list[WordRows]:
    """The tables, all padded to the width of the widest."""
    width = max(table.shape[1] for table in tables)
    return [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in tables]


def _some_rows(texts: Sequence[list[int]] | NDArray[np.generic], words: int) -> WordRows:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    numbers = np.fromiter(chain.from_iterable(texts), np.int64, lengths.sum()) + OFFSET
    numbers[numbers >= words] = UNKNOWN
    text = np.repeat(np.arange(len(texts)), lengths)
    # Text number and word number in one key, so that one sort finds the distinct words of all texts.
    starts = np.arange(len(texts)) * words + START
    keys = np.unique(np.concatenate([text * words + numbers, starts]))
    text, numbers = keys // words, keys % words
    first = np.searchsorted(text, np.arange(len(texts)))
    place = np.arange(len(keys)) - first[text]
    table = np.zeros((len(texts), int(place.max()) + 1), dtype=np.uint16)
    table[text, place] = numbers
    return table
