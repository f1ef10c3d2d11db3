"""The data sets that come with scikit-learn: nothing is downloaded."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from hpsearch.data.dataset import Array
from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source


def digits() -> Loaded:
    """1,797 images of 8 x 8 whole numbers 0 … 16, as uint8."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Loaded(bunch.images.astype(np.uint8), bunch.target, classes=_names(bunch), extra={"scale": 16.0})


def iris() -> Loaded:
    """150 rows of 4 measures; 3 kinds."""
    from sklearn.datasets import load_iris

    return _classes(load_iris())


def wine() -> Loaded:
    """178 rows of 13 measures; 3 growers."""
    from sklearn.datasets import load_wine

    return _classes(load_wine())


def breast_cancer() -> Loaded:
    """569 rows of 30 measures; malignant or benign."""
    from sklearn.datasets import load_breast_cancer

    return _classes(load_breast_cancer())


def diabetes() -> Loaded:
    """442 rows of 10 measures; disease progression after a year (regression)."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    return Loaded(bunch.data, bunch.target.astype(np.float64))


class _Bunch(Protocol):
    """The part of ``sklearn.utils.Bunch`` that is used here."""

    data: Array
    target: Array
    target_names: Iterable[object]


def _classes(bunch: _Bunch) -> Loaded:
    return Loaded(bunch.data, bunch.target, classes=_names(bunch))


def _names(bunch: _Bunch) -> tuple[str, ...]:
    return tuple(str(name) for name in bunch.target_names)


DIGITS = Source("sklearn:digits", "1,797 handwritten digits, 8 x 8", digits)
IRIS = Source("sklearn:iris", "150 flowers, 4 numbers, 3 kinds", iris)
WINE = Source("sklearn:wine", "178 wines, 13 numbers, 3 growers", wine)
BREAST_CANCER = Source("sklearn:breast_cancer", "569 tumours, 30 numbers, benign or not", breast_cancer)
DIABETES = Source("sklearn:diabetes", "442 patients, 10 numbers, progression", diabetes)
