"""Keras' own sets: read from its cache, in its order, and nothing that has been tampered with."""

import gzip
import hashlib

import numpy as np
import pytest

from hpsearch.core.facts import Task
from hpsearch.data import keras_cache
from hpsearch.data.word_rows import word_rows
from tests.raising import raises


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """A Keras cache with tiny files in Keras' formats."""
    folder = tmp_path / "home" / "datasets"
    (folder / "fashion-mnist").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (12, 28, 28), np.uint8), np.arange(12, dtype=np.uint8) % 4
    np.savez(folder / "mnist.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    for part, count in (("train", 12), ("t10k", 4)):
        for kind, header, values in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
            with gzip.open(folder / "fashion-mnist" / f"{part}-{kind}-ubyte.gz", "wb") as file:
                file.write(bytes(header) + values[:count].tobytes())
    for name in ("boston_housing", "california_housing"):
        np.savez(folder / f"{name}.npz", x=random.random((10, 3)), y=np.arange(10.0) * 100)
    texts = np.empty(10, dtype=object)
    texts[:] = [[i, i, 5, 40] for i in range(10)]
    half = np.arange(10) % 2
    np.savez(folder / "imdb.npz", x_train=texts, y_train=half, x_test=texts, y_test=half)
    np.savez(folder / "reuters.npz", x=texts, y=np.arange(10) % 3)
    digests = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in ("imdb.npz", "reuters.npz")}
    monkeypatch.setattr(keras_cache, "SHA256", digests)
    return folder


def test_sets_of_keras_are_read_from_its_cache(keras_home, load):
    for name in ("keras:mnist", "keras:fashion_mnist"):
        images = load(name)
        assert (images.train.x.shape, images.train.x.dtype, len(images.test)) == ((12, 28, 28), np.uint8, 4)
        assert images.train.y.tolist() == [0, 1, 2, 3] * 3
    assert load("keras:fashion_mnist").classes[3] == "Dress"
    housing = load("keras:california_housing", options={"unit": 100})
    assert sorted([*housing.train.y, *housing.test.y]) == list(range(10))
    assert len(load("keras:boston_housing").train) == 8
    films = load("keras:imdb", options={"words": 20})
    assert (films.train.x.dtype, films.task, films.extra["words"]) == (np.uint16, Task.BINARY, 20)
    # Keras shifts words by 3, marks the start with 1 and writes 2 for words from 20 on.
    first = int(np.flatnonzero(films.train.y == films.train.y[0])[0])
    assert set(films.train.x[first]) - {0} >= {1, 2, 8}
    wires = load("keras:reuters", labels="one-hot")
    assert (wires.train.y.shape, wires.train.y.dtype) == ((8, 3), np.float32)


def test_a_changed_pickle_is_not_opened(keras_home, load, monkeypatch):
    monkeypatch.setattr(keras_cache, "SHA256", {"imdb.npz": "0" * 64})
    with raises("data.changed-file", source="keras:imdb", path=str(keras_home / "imdb.npz")):
        load("keras:imdb")


def test_missing_file_says_where_to_place_it(tmp_path, load, monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))

    def refuse():
        raise OSError("Network is unreachable")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", refuse)
    folder = tmp_path / "empty" / "datasets"
    with raises("data.no-download", source="keras:mnist", path=str(folder / "mnist.npz")) as caught:
        load("keras:mnist")
    assert "Network is unreachable" in caught.value.what
    assert f"put mnist.npz into {folder}" in caught.value.hint


def test_word_rows_hold_distinct_words():
    rows = word_rows([[5, 5, 1, 9], [2]], words=10)
    assert rows.tolist() == [[1, 2, 4, 8], [1, 5, 0, 0]]
    assert rows.dtype == np.uint16


@pytest.mark.parametrize("name", ["boston_housing", "california_housing", "reuters", "mnist"])
def test_rows_come_in_the_order_of_keras(name, load):
    """Against `keras.datasets` itself, where its files are at hand."""
    import keras

    file = keras_cache.keras_folder() / f"{name}.npz"
    if not file.is_file():
        pytest.skip(f"{file} is missing")
    (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data(
        **({"num_words": 10_000} if name == "reuters" else {})
    )
    ours = load(f"keras:{name}")
    assert np.array_equal(ours.train.y, y.astype(ours.train.y.dtype))
    assert np.array_equal(ours.test.y, y_test.astype(ours.test.y.dtype))
    if name == "reuters":
        assert [set(row) - {0} for row in ours.train.x[:200]] == [set(words) for words in x[:200]]
    else:
        assert np.array_equal(ours.test.x, x_test.astype(ours.test.x.dtype))


def test_words_in_their_order(keras_home, load):
    films = load("keras:imdb", options={"words": 20, "sequences": 6})
    # Keras shifts words by 3, marks the start with 1, and writes 2 for words from 20 on; 0 fills the front.
    assert films.train.x.shape == (10, 6)
    assert films.train.x[:, :2].tolist() == [[0, 1]] * 10
    assert films.train.x[:, 4:].tolist() == [[8, 2]] * 10
    assert (films.train.x[:, 2] == films.train.x[:, 3]).all()
    assert load("keras:reuters", options={"words": 20, "sequences": 3}).train.x[:, 1:].tolist() == [[8, 2]] * 8
    with raises("data.bad-option", source="keras:imdb", option="sequences", value=0):
        load("keras:imdb", options={"sequences": 0})


def test_sequences_are_those_of_keras(load):
    import keras

    file = keras_cache.keras_folder() / "reuters.npz"
    if not file.is_file():
        pytest.skip(f"{file} is missing")
    (x, _), _ = keras.datasets.reuters.load_data(num_words=10_000)
    wanted = keras.utils.pad_sequences(x[:300], maxlen=80)
    assert np.array_equal(load("keras:reuters", options={"sequences": 80}).train.x[:300], wanted)
