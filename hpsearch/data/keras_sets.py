"""The data sets of ``keras.datasets``, read from Keras' cache in the order in which Keras returns them.

NumPy reads the files: neither Keras nor TensorFlow is imported, and no Python list holds all texts of a data set.
"""

import gzip

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.words import quoted
from hpsearch.data.dataset import Array
from hpsearch.data.keras_cache import cached
from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source
from hpsearch.data.word_rows import same_width, word_rows, word_sequences
from hpsearch.errors import DataError

_SEED = 113  # of the shuffles in keras.datasets
_TEST_SPLIT = 0.2
_PIXELS = {"scale": 255.0}
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def mnist() -> Loaded:
    """60,000 + 10,000 digits: uint8 images ``(28, 28)``, classes 0 … 9."""
    with np.load(cached("mnist", "mnist.npz"), allow_pickle=False) as file:
        return Loaded(file["x_train"], file["y_train"], file["x_test"], file["y_test"], extra=_PIXELS)


def fashion_mnist() -> Loaded:
    """60,000 + 10,000 pieces of clothing: uint8 images ``(28, 28)``, 10 classes."""

    def read(kind: str, part: str, header: int) -> Array:
        path = cached("fashion_mnist", f"fashion-mnist/{part}-{kind}.gz")
        with gzip.open(path) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    x, x_test = (read("images-idx3-ubyte", part, 16).reshape(-1, 28, 28) for part in ("train", "t10k"))
    y, y_test = (read("labels-idx1-ubyte", part, 8) for part in ("train", "t10k"))
    return Loaded(x, y, x_test, y_test, classes=_CLOTHES, extra=_PIXELS)


def imdb(*, words: int = 10_000, sequences: int | None = None) -> Loaded:
    """25,000 + 25,000 film reviews as rows of word numbers; 0 is a bad review, 1 a good one.

    Args:
        words: Word numbers from this on become 2 ("unknown"), as in Keras.
        sequences: Rows hold the last so many words in their order, with 0 in front of shorter texts. Without it, they
            hold the distinct words of the text, ascending.
    """
    _check_words("keras:imdb", words, sequences)
    with np.load(cached("imdb", "imdb.npz"), allow_pickle=True) as file:
        parts = [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    random = np.random.RandomState(_SEED)  # one generator for both parts, as Keras shuffles
    order = [_shuffled(random, len(y)) for _, y in parts]
    (x, y), (x_test, y_test) = [(x[rows], y[rows]) for (x, y), rows in zip(parts, order, strict=True)]
    kinds = ("negative", "positive")
    return _texts(x, y.astype(np.int32), x_test, y_test.astype(np.int32), words, sequences, kinds)


def reuters(*, words: int = 10_000, sequences: int | None = None) -> Loaded:
    """8,982 + 2,246 newswires as rows of word numbers; 46 topics. See :func:`imdb`."""
    _check_words("keras:reuters", words, sequences)
    with np.load(cached("reuters", "reuters.npz"), allow_pickle=True) as file:
        x, y = file["x"], file["y"]
    return _texts(*_split(x, y.astype(np.int32)), words, sequences)


def _texts(
    x: Array, y: Array, x_test: Array, y_test: Array, words: int, length: int | None, classes: tuple[str, ...] = ()
) -> Loaded:
    extra: dict[str, object] = {"words": words}
    if length is None:
        rows, rows_test = same_width(word_rows(x, words), word_rows(x_test, words))
    else:
        rows, rows_test = (word_sequences(texts, words, length) for texts in (x, x_test))
        extra["sequences"] = length
    return Loaded(rows, y, rows_test, y_test, classes=classes, extra=extra)


def boston_housing() -> Loaded:
    """404 + 102 districts of 13 numbers; median home value in thousands of dollars."""
    with np.load(cached("boston_housing", "boston_housing.npz"), allow_pickle=False) as file:
        return Loaded(*_split(file["x"], file["y"]))


def california_housing(*, version: str = "large", unit: float = 1.0) -> Loaded:
    """Districts of 8 numbers; median house value in dollars.

    Args:
        version: ``large`` (16,512 + 4,128 rows) or ``small`` (480 + 120).
        unit: Targets are divided by this. With 100,000 they are near 1, which trains well.
    """
    if version not in ("large", "small"):
        raise _bad_option("keras:california_housing", "version", 'be "large" or "small"', version)
    if isinstance(unit, bool) or not isinstance(unit, int | float) or not unit > 0:
        raise _bad_option("keras:california_housing", "unit", "be a number above 0", unit)
    with np.load(cached("california_housing", "california_housing.npz"), allow_pickle=False) as file:
        rows = slice(600 if version == "small" else None)
        return Loaded(*_split(file["x"][rows], file["y"][rows] / np.float32(unit)))


def _split(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Shuffle and split as ``keras.datasets`` does by default."""
    order = _shuffled(np.random.RandomState(_SEED), len(y))
    cut = int(len(y) * (1 - _TEST_SPLIT))
    return x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]]


def _shuffled(random: np.random.RandomState, count: int) -> NDArray[np.intp]:
    order = np.arange(count)
    random.shuffle(order)
    return order


def _check_words(source: str, words: object, sequences: object) -> None:
    if isinstance(words, bool) or not isinstance(words, int) or not 3 < words <= 65_535:
        raise _bad_option(source, "words", "be a whole number from 4 to 65535", words)
    if sequences is not None and (isinstance(sequences, bool) or not isinstance(sequences, int) or sequences < 1):
        raise _bad_option(source, "sequences", "be a whole number of at least 1", sequences)


def _bad_option(source: str, option: str, rule: str, received: object) -> DataError:
    return DataError(
        f"{source}: option {option} must {rule}, but got {quoted(received)}",
        code="bad-option",
        hint="`hpsearch data` lists the options of every source",
        source=source,
        option=option,
        value=received,
    )


MNIST = Source("keras:mnist", "70,000 handwritten digits, 28 x 28", mnist)
FASHION_MNIST = Source("keras:fashion_mnist", "70,000 pieces of clothing, 28 x 28", fashion_mnist)
IMDB = Source("keras:imdb", "50,000 film reviews as word numbers, good or bad", imdb, ("words", "sequences"))
REUTERS = Source("keras:reuters", "11,228 newswires as word numbers, 46 topics", reuters, ("words", "sequences"))
BOSTON_HOUSING = Source("keras:boston_housing", "506 districts, 13 numbers, home value", boston_housing)
CALIFORNIA_HOUSING = Source(
    "keras:california_housing", "20,640 districts, 8 numbers, house value", california_housing, ("version", "unit")
)
