"""The model that another study has of its space, asked about configs of this one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.space import Config
from hpsearch.core.transfer import Transferred
from hpsearch.tuners.gaussian_process import GaussianProcess
from hpsearch.tuners.outcome import standardised

Floats = NDArray[np.float64]


class OtherStudy:
    """A Gaussian process on the other study's trials.

    Args:
        taken: What was taken from it, with one observation at least.
    """

    def __init__(self, taken: Transferred) -> None:
        self._axes = taken.axes
        widths = [axis.width for axis in self._axes]
        y, _ = standardised([one.score for one in taken.observations], taken.direction)
        x = self._points([one.config for one in taken.observations])
        self._process = GaussianProcess.fit(x, y, np.repeat(np.arange(len(widths)), widths))

    def expects(self, configs: Sequence[Config]) -> Floats:
        """How good the other study expects configs to be, with its own scores of mean 0 and deviation 1."""
        return self._process.predict(self._points(configs))[0] if configs else np.zeros(0)

    def _points(self, configs: Sequence[Config]) -> Floats:
        rows = [[one for axis in self._axes for one in axis.place(config)] for config in configs]
        return np.array(rows, dtype=float).reshape(len(configs), -1)
