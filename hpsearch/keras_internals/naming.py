"""The numbers in names that Keras gives to layers and metrics: ``dense``, ``dense_1``, ``auc_2``."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras

_COUNTERS = "object_name_uids"


def names_given() -> dict[str, int]:
    """How many of each name Keras has given in this thread so far; empty where it does not tell."""
    state = _state()
    return {} if state is None else dict(state.get_global_attribute(_COUNTERS) or {})


def count_names_from(given: Mapping[str, int]) -> None:
    """Number the next names in this thread as if those `given` were all so far.

    Keras counts per thread and process, so that the same code would name its metrics by what was built before it, and
    curves would be called otherwise from fold to fold.
    """
    state = _state()
    if state is not None:
        state.set_global_attribute(_COUNTERS, defaultdict(int, given))


def _state() -> Any:
    """Keras has no public handle for its counters (read in 3.12 … 3.15); None where they are gone."""
    try:
        return keras.src.backend.common.global_state
    except AttributeError:
        return None
