"""A search for a linear model, and scikit-learn's checks of it as a program.

    python -m tests.scikit_learn.linear classification|regression [CHECK …]

All checks take some minutes, on TensorFlow (``KERAS_BACKEND``), where none of the fits compiles anything.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from sklearn.model_selection import ShuffleSplit
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from hpsearch import KerasSearchCV
from hpsearch.data.dataset import TrainingData

INLINE = {"resources": {"executor": "inline", "engine": "fit"}, "tracking": {"predictions": "none"}}

SPACE = {"rate": [0.1, 0.3], "epochs": 2, "batch_size": 64}

FAILING: dict[str, dict[str, str]] = {"classification": {}, "regression": {}}
"""Task → check → why it cannot pass."""


def build(config: dict[str, float], data: TrainingData) -> keras.Model:
    """A linear model of scaled columns."""
    classes = len(data.classes)
    scaled = keras.layers.Normalization()
    scaled.adapt(np.asarray(data.x))
    labels = data.task == "multilabel"
    outputs = keras.layers.Dense(classes or 1, "sigmoid" if labels else "softmax" if classes else None)
    model = keras.Sequential([keras.Input(data.x.shape[1:]), scaled, outputs])
    loss = "mse"
    if classes:
        loss = "sparse_categorical_crossentropy" if data.y.ndim == 1 else "categorical_crossentropy"
        loss = "binary_crossentropy" if labels else loss
    # TensorFlow is quicker without compiling anything, JAX is not.
    eager = keras.backend.backend() == "tensorflow"
    model.compile(
        keras.optimizers.SGD(config["rate"]),
        loss,
        metrics=["accuracy"] if classes and not labels else [],
        run_eagerly=eager,
    )
    return model


def of_logits(config: dict[str, float], data: TrainingData) -> keras.Model:
    """A linear model whose output is the logit of the second of two classes."""
    model = keras.Sequential([keras.Input(data.x.shape[1:]), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(config["rate"]), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def search(**changes: object) -> KerasSearchCV:
    """One trial on one fold."""
    given = {"cv": ShuffleSplit(1, test_size=0.3), "trials": 1, "sections": INLINE, "scoring": "loss", "build": build}
    return KerasSearchCV(space={**SPACE, "rate": 0.3}, **{**given, **changes})


if __name__ == "__main__":
    task, names = sys.argv[1], sys.argv[2:]
    one = search(task=task, scoring=None)
    if not names:
        check_estimator(one, expected_failed_checks=FAILING[task])
    for estimator, check in estimator_checks_generator(one) if names else ():
        if check.func.__name__ in names:
            check(estimator)
            print(check.func.__name__)
