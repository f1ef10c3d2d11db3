"""Types of what JAX transforms."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

PyTree = Any  # nested lists, tuples and dicts of arrays: Python's types cannot say it
"""Arrays, or nested containers of arrays, as ``jax.tree`` understands them."""

Values = list[jax.Array]
"""Values of a model's variables, in the order of the variables."""

Inputs = jax.Array | dict[str, jax.Array] | list[jax.Array]
"""A batch of rows on the device: one array, or several, by name or in order."""

HostInputs = NDArray[np.generic] | Mapping[str, NDArray[np.generic]] | list[NDArray[np.generic]]
"""Rows in NumPy's hands."""
