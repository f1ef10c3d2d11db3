"""The workloads of the comparison: every contender gets the same data, folds, model, space, trials and epochs.

Data and models use only Keras and NumPy, as a user of a peer would write them. hpsearch gets the same through its study
file. Keras is imported when a model is built.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Values = Mapping[str, Any]
"""A trial's hyperparameters by name."""

Dimension = tuple[float, float] | list[Any] | int | float | str
"""A range ``(low, high)``, a list of choices, or a constant."""

SEED = 7


@dataclass(frozen=True)
class Workload:
    """One row of the comparison.

    Attributes:
        name: The name on the command line.
        title: The title in the table.
        source: hpsearch's name of the data set.
        family: hpsearch's name of the model family.
        trials, folds, epochs: The size of the study.
        space: Searched and fixed hyperparameters, including ``batch_size``.
        load: Loads the development rows ``(x, y)``: the rows that hpsearch's study file leaves for the search.
        build: Builds a compiled Keras model for one config.
        test_fraction: Share of rows to hold out if the source has no test split.
        options: Further lines for ``[data]``.
    """

    name: str
    title: str
    source: str
    family: str
    trials: int
    folds: int
    epochs: int
    space: Mapping[str, Dimension]
    load: Callable[[], tuple[NDArray[Any], NDArray[Any]]]
    build: Callable[[Values], "keras.Model"]
    test_fraction: float = 0.0
    options: str = ""

    @property
    def searched(self) -> dict[str, tuple[float, float] | list[Any]]:
        return {name: one for name, one in self.space.items() if isinstance(one, tuple | list)}

    @property
    def fixed(self) -> dict[str, Any]:
        return {name: one for name, one in self.space.items() if not isinstance(one, tuple | list)}

    def missing_data(self) -> str:
        """What is missing for this workload, in words; empty if nothing is."""
        if not self.source.startswith("keras:"):
            return ""
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        file = home / "datasets" / f"{self.source.removeprefix('keras:')}.npz"
        return "" if file.exists() else f"{file.name} is not in the datasets folder of KERAS_HOME"

    def splits(self, y: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Training and validation rows of every fold."""
        from sklearn.model_selection import StratifiedKFold

        return list(StratifiedKFold(self.folds, shuffle=True, random_state=SEED).split(np.zeros(len(y)), y))


def _digits(*, images: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x, _, y, _ = train_test_split(x, y, test_size=359, stratify=y, random_state=SEED)
    x = (x / 16).astype("float32")
    return (x.reshape(-1, 8, 8, 1) if images else x), y


def _mnist(*, images: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    import keras

    (x, y), _ = keras.datasets.mnist.load_data()
    x = x.astype("float32") / 255
    return (x[..., None] if images else x.reshape(len(x), -1)), y


def _imdb() -> tuple[NDArray[Any], NDArray[Any]]:
    import keras

    (texts, y), _ = keras.datasets.imdb.load_data(num_words=10_000)
    # As in the tutorial: one float32 row of 10,000 zeros and ones per review.
    x = np.zeros((len(texts), 10_000), "float32")
    for row, words in enumerate(texts):
        x[row, words] = 1.0
    return x, y


def _optimizer(values: Values) -> "keras.optimizers.Optimizer":
    import keras

    kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    return kinds[values["optimizer"]](learning_rate=values["learning_rate"])


def _compiled(layers: list[Any], values: Values, *, binary: bool = False) -> "keras.Model":
    import keras

    last = keras.layers.Dense(1, activation="sigmoid") if binary else keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([*layers, last])
    loss = "binary_crossentropy" if binary else "sparse_categorical_crossentropy"
    model.compile(optimizer=_optimizer(values), loss=loss, metrics=["accuracy"])
    return model


def _mlp(values: Values, *, shape: tuple[int, ...], binary: bool = False) -> "keras.Model":
    import keras

    layers: list[Any] = [keras.Input(shape)]
    for _ in range(values["layers"]):
        layers.append(keras.layers.Dense(values["units"], activation="relu"))
        if values["dropout"]:
            layers.append(keras.layers.Dropout(values["dropout"]))
    return _compiled(layers, values, binary=binary)


def _cnn(values: Values, *, shape: tuple[int, ...]) -> "keras.Model":
    import keras

    layers: list[Any] = [
        keras.Input(shape),
        keras.layers.Conv2D(values["filters"], 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Dropout(values["dropout"]),
        keras.layers.Flatten(),
        keras.layers.Dense(values["dense_units"], activation="relu"),
    ]
    return _compiled(layers, values)


_SEARCHED: dict[str, Dimension] = {
    "learning_rate": (0.01, 0.04),
    "dropout": (0.0, 0.5),
    "optimizer": ["sgd", "adam", "rmsprop"],
}
"""The documented ranges."""

_RMSPROP: dict[str, Dimension] = {"learning_rate": (0.0005, 0.005), "optimizer": "rmsprop"}
_CNN: dict[str, Dimension] = {"blocks": 1, "convolutions": 1, "kernel_size": 3, "dense_units": 64, "dense_dropout": 0.0}

WORKLOADS: dict[str, Workload] = {
    one.name: one
    for one in (
        Workload(
            "digits-mlp",
            "digits MLP",
            "sklearn:digits",
            "mlp",
            40,
            5,
            20,
            {**_SEARCHED, "units": [64, 128, 256], "layers": 2, "batch_size": 32},
            partial(_digits, images=False),
            partial(_mlp, shape=(64,)),
            test_fraction=0.2,
        ),
        Workload(
            "digits-cnn",
            "digits CNN",
            "sklearn:digits",
            "cnn",
            40,
            5,
            20,
            {**_SEARCHED, "filters": [16, 32], **_CNN, "batch_size": 32},
            partial(_digits, images=True),
            partial(_cnn, shape=(8, 8, 1)),
            test_fraction=0.2,
        ),
        Workload(
            "mnist-ann",
            "MNIST ANN",
            "keras:mnist",
            "mlp",
            8,
            3,
            5,
            {**_RMSPROP, "units": 512, "layers": 1, "dropout": (0.0, 0.5), "batch_size": 128},
            partial(_mnist, images=False),
            partial(_mlp, shape=(784,)),
        ),
        Workload(
            "mnist-cnn",
            "MNIST CNN",
            "keras:mnist",
            "cnn",
            8,
            3,
            3,
            {"learning_rate": (0.0005, 0.005), "optimizer": "adam", "filters": 32, **_CNN}
            | {"dropout": (0.0, 0.5), "batch_size": 128},
            partial(_mnist, images=True),
            partial(_cnn, shape=(28, 28, 1)),
        ),
        Workload(
            "imdb",
            "IMDB",
            "keras:imdb",
            "mlp",
            8,
            3,
            5,
            {**_RMSPROP, "units": 16, "layers": 2, "dropout": (0.0, 0.5), "batch_size": 512},
            _imdb,
            partial(_mlp, shape=(10_000,), binary=True),
            options="options = { words = 10000 }",
        ),
    )
}
